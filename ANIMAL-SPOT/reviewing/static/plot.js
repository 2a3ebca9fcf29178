// A spectrogram with axes, boxes that can be moved, and a playhead.

import { el, svg } from "./dom.js";
import { Edges, follow } from "./edges.js";
import { clock, ticks } from "./format.js";
import { picture } from "./media.js";
import { khz } from "./words.js";

const LEFT = 46; // px, for the frequencies
const BOTTOM = 22; // px, for the times
const SETTLED_MS = 120; // after the window has changed its size
const EDGES = {
  begin_s: { axis: "x", name: "Begin", side: "left" },
  end_s: { axis: "x", name: "End", side: "right" },
  low_hz: { axis: "y", name: "Lowest frequency", side: "bottom" },
  high_hz: { axis: "y", name: "Highest frequency", side: "top" },
};
const LEAST_S = 0.005;
const LEAST_HZ = 10;

export class Plot {
  #shown = null; // {recording, from, to, low, high, gain, limit_s}
  #box = null;
  #edges = null;
  #token = null;
  #measured = null; // size; asking for it makes the browser lay out the page
  #axesOf = "";

  /**
   * @param {object} options
   * @param {string} options.label What it shows, for screen readers.
   * @param {(box: object, finished: boolean) => void} [options.onBox] An edge was moved.
   * @param {(seconds: number) => void} [options.onClick]
   * @param {(box: object) => void} [options.onDrag] A box was drawn.
   */
  constructor({ label, onBox = null, onClick = null, onDrag = null }) {
    this.onBox = onBox;
    this.onClick = onClick;
    this.onDrag = onDrag;
    this.picture = el("div", { class: "picture" });
    this.others = el("div", { class: "others" });
    this.head = el("div", { class: "playhead", hidden: true });
    if (onBox) this.#edges = new Edges(EDGES, this, 1);
    this.frame = this.#edges?.frame ?? el("div", { class: "box", hidden: true });
    this.drawn = el("div", { class: "drawn", hidden: true });
    this.pane = el(
      "div",
      { class: "pane", role: "group", "aria-label": label },
      this.picture,
      this.others,
      this.frame,
      this.drawn,
      this.head,
    );
    this.axes = svg("svg", { class: "axes", "aria-hidden": "true" });
    this.el = el("div", { class: "plot" }, this.axes, this.pane);
    this.pane.addEventListener("pointerdown", (event) => this.#press(event));
    let timer = 0;
    const settle = () => {
      this.#measured = null;
      if (this.#shown) this.show(this.#shown);
    };
    new ResizeObserver(() => {
      clearTimeout(timer);
      timer = setTimeout(settle, SETTLED_MS);
    }).observe(this.el);
  }

  /** Size of the pane in px, and of the picture to ask for. */
  size() {
    if (this.#measured) return this.#measured;
    const width = Math.max(50, this.el.clientWidth - LEFT);
    const height = Math.max(50, this.el.clientHeight - BOTTOM);
    const scale = Math.min(2, window.devicePixelRatio || 1);
    const up = (x) => Math.min(4000, Math.round(x * scale)); // one to one: scaling takes time
    const size = { width, height, picture: { width: up(width), height: up(height) } };
    if (this.el.clientWidth) this.#measured = size;
    return size;
  }

  /** The picture of a stretch, which is fetched if it is not there yet. */
  fetch(shown) {
    return picture({ ...shown, ...this.size().picture });
  }

  /** Show a stretch: {recording, from, to (s), low, high (Hz), gain (dB)}.
   * @returns {Promise} when its picture is there. */
  show(shown) {
    this.#shown = shown;
    const { image, ready, isReady } = this.fetch(shown);
    this.#token = image;
    if (this.picture.firstChild !== image) {
      if (isReady) this.picture.replaceChildren(image);
      else {
        this.picture.replaceChildren();
        this.el.classList.add("waiting");
        ready.then(() => this.#token === image && this.picture.replaceChildren(image));
      }
    }
    const done = ready.then(() => this.#token === image && this.el.classList.remove("waiting"));
    if (isReady) this.el.classList.remove("waiting");
    this.#drawAxes();
    this.box = this.#box;
    return done;
  }

  get box() {
    return this.#box;
  }

  /** The box whose edges can be moved: {begin_s, end_s, low_hz, high_hz}, or null. */
  set box(box) {
    this.#box = box;
    this.frame.hidden = box === null || this.#shown === null;
    if (this.frame.hidden) return;
    this.#place(this.frame, box);
    this.#edges?.tell();
  }

  /** What screen readers are told of an edge. */
  told(edge) {
    const seconds = EDGES[edge].axis === "x";
    const value = this.edge(edge);
    const { from, to, low, high } = this.#shown;
    return seconds
      ? { least: from.toFixed(2), most: to.toFixed(2), now: value.toFixed(2), text: clock(value, 2) }
      : { least: low, most: high, now: Math.round(value), text: `${khz(value)} kHz` };
  }

  /** Show boxes that cannot be moved: [{box, class (CSS), text, title, action}]. */
  setOthers(others) {
    this.others.replaceChildren(
      ...others.map(({ box, css, text, title, action }) => {
        const node = action
          ? el("button", { type: "button", class: `found ${css}`, title, on: { click: action } })
          : el("div", { class: `found ${css}`, title });
        if (action) node.addEventListener("pointerdown", (event) => event.stopPropagation());
        node.append(el("span", { text }));
        this.#place(node, box);
        return node;
      }),
    );
  }

  /** Put the playhead at a time of the recording; null takes it away. */
  playhead(seconds) {
    const x = seconds === null || !this.#shown ? -1 : this.x(seconds);
    this.head.hidden = x < 0 || x > 1;
    if (!this.head.hidden) this.head.style.left = `${100 * x}%`;
  }

  /** Share of the width at a time. */
  x(seconds) {
    return (seconds - this.#shown.from) / (this.#shown.to - this.#shown.from);
  }

  #y(hz) {
    return 1 - (hz - this.#shown.low) / (this.#shown.high - this.#shown.low);
  }

  /** Where an edge is, in s or Hz. */
  edge(edge) {
    const value = this.#box[edge];
    if (value !== null && value !== undefined) return value;
    return edge === "low_hz" ? this.#shown.low : this.#shown.high;
  }

  #place(node, box) {
    const { low, high } = this.#shown;
    const left = this.x(box.begin_s);
    const top = Math.max(0, this.#y(box.high_hz ?? high));
    node.style.left = `${100 * left}%`;
    node.style.width = `${100 * (this.x(box.end_s) - left)}%`;
    node.style.top = `${100 * top}%`;
    node.style.height = `${100 * (Math.min(1, this.#y(box.low_hz ?? low)) - top)}%`;
  }

  #drawAxes() {
    const { width, height } = this.size();
    const { from, to, low, high } = this.#shown;
    const axesOf = [width, height, from, to, low, high].join();
    if (axesOf === this.#axesOf) return;
    this.#axesOf = axesOf;
    const marks = [];
    const text = (x, y, anchor, words) => svg("text", { x, y, "text-anchor": anchor, text: words });
    for (const hz of ticks(low, high, height / 45)) {
      const y = Math.round(this.#y(hz) * height) + 0.5;
      marks.push(svg("line", { x1: LEFT - 5, x2: LEFT, y1: y, y2: y }));
      marks.push(text(LEFT - 8, Math.min(height - 2, Math.max(9, y + 4)), "end", khz(hz)));
    }
    const seconds = ticks(from, to, width / 90);
    const digits = seconds.length > 1 ? Math.max(0, -Math.floor(Math.log10(seconds[1] - seconds[0]) + 1e-9)) : 1;
    for (const s of seconds) {
      const x = Math.round(LEFT + this.x(s) * width) + 0.5;
      marks.push(svg("line", { x1: x, x2: x, y1: height, y2: height + 4 }));
      if (x > LEFT + 12 && x < LEFT + width - 18) marks.push(text(x, height + 16, "middle", clock(s, digits)));
    }
    marks.push(text(LEFT - 8, height + 16, "end", "kHz"));
    this.axes.replaceChildren(...marks);
  }

  /** Time in s and frequency in Hz under the pointer. */
  under(event) {
    const r = this.pane.getBoundingClientRect();
    const clamp = (v) => Math.min(1, Math.max(0, v));
    const { from, to, low, high } = this.#shown;
    return {
      x: from + clamp((event.clientX - r.left) / r.width) * (to - from),
      y: high - clamp((event.clientY - r.top) / r.height) * (high - low),
    };
  }

  /** How far a key moves an edge. */
  step(axis) {
    const { from, to, low, high } = this.#shown;
    return axis === "x" ? (to - from) / 200 : (high - low) / 100;
  }

  /** Take a new place of an edge. */
  moveEdge(edge, value, finished) {
    const box = {};
    for (const name of Object.keys(EDGES)) box[name] = this.#box[name] ?? null;
    const [low, high] = EDGES[edge].axis === "x" ? ["begin_s", "end_s"] : ["low_hz", "high_hz"];
    const least = EDGES[edge].axis === "x" ? LEAST_S : LEAST_HZ;
    if (edge === low) value = Math.min(value, this.edge(high) - least);
    else value = Math.max(value, this.edge(low) + least);
    box[edge] = EDGES[edge].axis === "x" ? Math.max(0, Number(value.toFixed(4))) : Math.max(0, Math.round(value));
    if (edge === "low_hz") box.high_hz = this.edge("high_hz");
    if (edge === "high_hz") box.low_hz = this.edge("low_hz");
    this.box = box;
    this.onBox(box, finished);
  }

  /** A click says a time; a drag draws a box. */
  #press(event) {
    if (!this.#shown) return;
    let box = null;
    follow(this.pane, event, {
      draws: Boolean(this.onDrag),
      under: (e) => this.under(e),
      drag: (start, now) => {
        box = {
          begin_s: Math.min(start.x, now.x),
          end_s: Math.max(start.x, now.x),
          low_hz: Math.round(Math.min(start.y, now.y)),
          high_hz: Math.round(Math.max(start.y, now.y)),
        };
        this.drawn.hidden = false;
        this.#place(this.drawn, box);
      },
      done: (isDrawn, start) => {
        this.drawn.hidden = true;
        if (!isDrawn) this.onClick?.(start.x);
        else if (box.end_s - box.begin_s > LEAST_S) this.onDrag(box);
      },
      cancel: () => (this.drawn.hidden = true),
    });
  }
}
