// A photo with its boxes; the box of the row can be moved, others drawn.

import { el } from "./dom.js";
import { Edges, follow } from "./edges.js";
import { photo } from "./pictures.js";

const EDGES = {
  x1: { axis: "x", name: "Left edge", side: "left" },
  x2: { axis: "x", name: "Right edge", side: "right" },
  y1: { axis: "y", name: "Upper edge", side: "top" },
  y2: { axis: "y", name: "Lower edge", side: "bottom" },
};
const LEAST = 0.004; // of the photo's width and height
const STEP = 1 / 250;
const SETTLED_MS = 120; // after the window has changed its size

export class PhotoPlot {
  #shown = null; // {photo, zoom, at: {x, y}}
  #image = null;
  #box = null;
  #edges;

  /**
   * @param {object} on `box(box, finished)`: an edge was moved; `drawn(box, isAnew)`: one was drawn,
   *   with Shift; `zoom(direction, point)`: the wheel was turned; `pan(point)`: the middle is another.
   */
  constructor(on) {
    this.on = on;
    this.picture = el("div", { class: "picture" });
    this.others = el("div", { class: "others" });
    this.#edges = new Edges(EDGES, this, -1);
    this.drawn = el("div", { class: "drawn", hidden: true });
    this.sheet = el("div", { class: "sheet" }, this.picture, this.others, this.#edges.frame, this.drawn);
    this.failure = el("p", { class: "notice failure", hidden: true });
    this.el = el("div", { class: "photo-pane", role: "group", "aria-label": "Photo" }, this.sheet, this.failure);
    this.el.addEventListener("pointerdown", (event) => this.#press(event));
    this.el.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    let timer = 0;
    new ResizeObserver(() => {
      if (this.#shown) this.#place();
      clearTimeout(timer); // then a picture of another size is fetched
      timer = setTimeout(() => this.#shown && this.show(this.#shown), SETTLED_MS);
    }).observe(this.el);
  }

  /** Fetch the picture of a photo. */
  fetch(id, zoom = 1) {
    const { clientWidth, clientHeight } = this.el;
    const px = Math.max(clientWidth, clientHeight, 300) * zoom * Math.min(2, window.devicePixelRatio || 1);
    return photo(id, px);
  }

  /**
   * Show a photo.
   * @param {{photo: number, zoom: number, at: {x: number, y: number}}} shown `at` is kept in the middle
   *   where the photo is larger than the pane, in parts of the photo.
   * @returns {Promise} when its picture is there.
   */
  show(shown) {
    this.#shown = shown;
    const thing = this.fetch(shown.photo, shown.zoom);
    this.#image = thing.image;
    if (thing.isReady) this.#put(thing.image);
    else {
      // A smaller one of the same photo stays till the larger one is there.
      if (this.picture.firstChild?.dataset.photo !== String(shown.photo)) {
        this.picture.replaceChildren();
        this.sheet.style.visibility = "hidden";
      } else this.#place();
      this.el.classList.add("waiting");
    }
    this.failure.hidden = true;
    this.el.scrollTo(0, 0); // to where a focused edge had brought it
    return thing.ready.then(() => {
      if (this.#image !== thing.image) return;
      this.el.classList.remove("waiting");
      if (thing.isReady) this.#put(thing.image);
      else this.#fail(thing.image.src);
    });
  }

  async #fail(src) {
    const answer = await fetch(src).then((r) => r.json()).catch(() => ({}));
    if (this.#image?.src !== src) return;
    this.failure.textContent = answer.error ?? "This photo cannot be shown.";
    this.failure.hidden = false;
  }

  #put(image) {
    image.dataset.photo = String(this.#shown.photo);
    if (this.picture.firstChild !== image) this.picture.replaceChildren(image);
    this.sheet.style.visibility = "";
    this.#place();
  }

  /** Lay the sheet so that the photo fits, or is as large as the zoom says. */
  #place() {
    const image = this.picture.firstChild;
    const { clientWidth: width, clientHeight: height } = this.el;
    if (!image?.naturalWidth || !width) return;
    const { zoom, at } = this.#shown;
    const scale = Math.min(width / image.naturalWidth, height / image.naturalHeight) * zoom;
    const w = image.naturalWidth * scale;
    const h = image.naturalHeight * scale;
    const start = (size, pane, middle) => (size <= pane ? (pane - size) / 2 : Math.min(0, Math.max(pane - size, pane / 2 - middle * size)));
    const { style } = this.sheet;
    style.width = `${w}px`;
    style.height = `${h}px`;
    style.left = `${start(w, width, at.x)}px`;
    style.top = `${start(h, height, at.y)}px`;
    this.box = this.#box;
  }

  get box() {
    return this.#box;
  }

  /** The box whose edges can be moved, in parts of the photo: {x1, y1, x2, y2}, or null. */
  set box(box) {
    this.#box = box;
    const { frame } = this.#edges;
    frame.hidden = box === null;
    if (box === null) return;
    place(frame, box);
    this.#edges.tell();
  }

  focusEdges() {
    this.#edges.focus();
  }

  /** Show boxes that cannot be moved: [{box, css, text, action}]. */
  setOthers(others) {
    this.others.replaceChildren(
      ...others.map(({ box, css, text, action }) => {
        const node = el("button", { type: "button", class: `found ${css}`, on: { click: action } }, el("span", { text }));
        node.addEventListener("pointerdown", (event) => event.stopPropagation());
        place(node, box);
        return node;
      }),
    );
  }

  // --- what edges.js asks ---

  edge(name) {
    return this.#box[name];
  }

  step() {
    return STEP / Math.sqrt(this.#shown.zoom);
  }

  told(name) {
    const percent = (100 * this.#box[name]).toFixed(1);
    return { least: 0, most: 100, now: percent, text: `${percent} percent` };
  }

  under(event) {
    const r = this.sheet.getBoundingClientRect();
    const clamp = (v) => Math.min(1, Math.max(0, v));
    return { x: clamp((event.clientX - r.left) / r.width), y: clamp((event.clientY - r.top) / r.height) };
  }

  moveEdge(name, value, finished) {
    const box = { ...this.#box };
    const [low, high] = EDGES[name].axis === "x" ? ["x1", "x2"] : ["y1", "y2"];
    const bounded = name === low ? Math.min(value, box[high] - LEAST) : Math.max(value, box[low] + LEAST);
    box[name] = Number(Math.min(1, Math.max(0, bounded)).toFixed(5));
    this.box = box;
    this.on.box(box, finished);
  }

  /** Follow the middle button: the photo moves with it. */
  #pan(event) {
    event.preventDefault();
    this.el.setPointerCapture(event.pointerId);
    const { at } = this.#shown;
    const { width, height } = this.sheet.getBoundingClientRect();
    const move = (e) => this.on.pan({ x: at.x - (e.clientX - event.clientX) / width, y: at.y - (e.clientY - event.clientY) / height });
    const up = () => this.el.removeEventListener("pointermove", move);
    this.el.addEventListener("pointermove", move);
    this.el.addEventListener("pointerup", up, { once: true });
    this.el.addEventListener("pointercancel", up, { once: true });
  }

  #press(event) {
    if (!this.#shown || !this.picture.firstChild) return;
    if (event.button === 1) this.#pan(event);
    let box = null;
    follow(this.el, event, {
      draws: true,
      under: (e) => this.under(e),
      drag: (start, now) => {
        const between = (f, name) => Number(f(start[name], now[name]).toFixed(5));
        box = { x1: between(Math.min, "x"), y1: between(Math.min, "y"), x2: between(Math.max, "x"), y2: between(Math.max, "y") };
        this.drawn.hidden = false;
        place(this.drawn, box);
      },
      done: (isDrawn) => {
        this.drawn.hidden = true;
        if (isDrawn && box.x2 - box.x1 > LEAST && box.y2 - box.y1 > LEAST) this.on.drawn(box, event.shiftKey);
      },
      cancel: () => (this.drawn.hidden = true),
    });
  }

  #wheel(event) {
    if (!this.#shown || event.ctrlKey) return;
    event.preventDefault();
    this.on.zoom(event.deltaY < 0 ? 1 : -1, this.under(event));
  }
}

function place(node, { x1, y1, x2, y2 }) {
  node.style.left = `${100 * x1}%`;
  node.style.top = `${100 * y1}%`;
  node.style.width = `${100 * (x2 - x1)}%`;
  node.style.height = `${100 * (y2 - y1)}%`;
}
