// One print at a time: the photo with its box, what the classifier sees, what the model says.

import { address } from "./address.js";
import { button, el, field } from "./dom.js";
import { STATES, classOf, score, wallClock } from "./format.js";
import { sign, stepper } from "./parts.js";
import { PhotoPlot } from "./photo_plot.js";
import { boxOf, crop, small } from "./pictures.js";
import { get } from "./server.js";
import { Single } from "./single.js";

const ZOOMS = [1, 1.5, 2, 3, 4, 6, 8];
const PANS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const PAN = 0.25; // of what is shown
const NEW_BOX = { x1: 0.35, y1: 0.35, x2: 0.65, y2: 0.65 }; // in the middle, to be moved by keys
const SETTLED_MS = 150; // after an edge was moved
const MOST_OF_TRAIL = 24;

export class OneView extends Single {
  #at = null; // what is in the middle; null: the middle of the box
  #zoomSays = "";
  #cropTimer = 0;
  #drawn = 0; // how many boxes were drawn in this page

  constructor(app) {
    super(app);
    this.plot = new PhotoPlot({
      box: (box, finished) => this.#boxChanged(box, finished),
      drawn: (box, isAnew) => this.#boxDrawn(box, isAnew),
      zoom: (direction, point) => this.#zoom(direction, point),
      pan: (point) => this.#pan(point),
    });
    this.crop = el("div", { class: "crop" });
    this.top = el("ol", { class: "top" });
    this.notes = el("ul", { class: "reasons" });
    this.place = el("p", { class: "faint numbers", title: "latitude, longitude" });
    this.others = el("ul", { class: "near" });
    this.trail = el("div", { class: "trail-strip" });
    this.controls = el("div", { class: "controls", role: "group", "aria-label": "Picture and box" });
    this.el = el(
      "section",
      { class: "one", "aria-label": "One print" },
      this.facts,
      el(
        "div",
        { class: "stage photo-stage" },
        this.plot.el,
        el(
          "div",
          { class: "beside", tabindex: "0", role: "region", "aria-label": "Crop and answer" },
          this.crop,
          el("h2", { text: "Answer" }),
          this.top,
          this.notes,
          this.place,
          el("h2", { text: "Other prints of this photo" }),
          this.others,
        ),
      ),
      this.controls,
      this.verdicts,
      this.end,
      el(
        "div",
        { class: "below" },
        field("Note", this.note, { class: "field wide" }),
        el("div"),
        el("div", { class: "box-list", tabindex: "0", role: "region", "aria-label": "Decisions" }, el("h2", { text: "Decisions" }), this.past),
        el("div", { class: "box-list", tabindex: "0", role: "region", "aria-label": "Trail" }, el("h2", { text: "Trail" }), this.trail),
      ),
    );
  }

  moreVerdicts(chosen) {
    const { unknown, no_print: none } = this.app.project;
    const make = (name, label, key) => button(label, () => this.decideClass(name), { key, class: "verdict named", "aria-pressed": String(name === chosen) });
    return [make(unknown, "Unknown animal", "k"), make(none, "No print", "o")];
  }

  showRow(row, draft, isOther) {
    if (isOther) {
      this.#at = null;
      this.plot.setOthers([]);
      this.others.replaceChildren();
      this.trail.replaceChildren();
    }
    const box = draft.box ?? boxOf(row);
    const at = this.#at ?? (box ? { x: (box.x1 + box.x2) / 2, y: (box.y1 + box.y2) / 2 } : { x: 0.5, y: 0.5 });
    this.plot.box = box;
    const ready = this.plot.show({ photo: row.photo, zoom: address.number("zoom"), at });
    this.#drawCrop(row, box);
    this.#drawAnswer(row);
    return ready;
  }

  async fetch(row) {
    const things = [this.plot.fetch(row.photo, address.number("zoom")), small(row)];
    await Promise.all(things.map((thing) => thing.ready));
  }

  #drawCrop(row, box) {
    if (!box) {
      this.crop.replaceChildren(el("p", { class: "faint", text: "No box yet: draw one with the mouse, or press b." }));
      return;
    }
    const { image, ready, isReady } = crop(row.photo, box);
    this.crop.dataset.src = image.src;
    const put = () => this.crop.dataset.src === image.src && this.crop.replaceChildren(image);
    image.alt = "What the classifier sees";
    if (isReady) put();
    else ready.then(put);
  }

  #drawAnswer(row) {
    const line = ({ class: name, probability }) => {
      const share = el("div", { class: "share" }, el("div"));
      share.firstChild.style.width = `${100 * probability}%`;
      return el("li", {}, el("span", { class: "name", text: name, title: name }), el("span", { class: "numbers", text: `${(100 * probability).toFixed(0)} %` }), share);
    };
    this.top.replaceChildren(...(row.top ?? []).map(line));
    const notes = [];
    // First: what is below may need scrolling.
    if (row.source === "prediction" && this.app.project.note) notes.push(this.app.project.note);
    if (row.source === "prediction" && row.class === this.app.project.unknown) notes.push(row.why === "stranger" ? "It looks like none of the classes: unknown." : "Too doubtful for a name: unknown.");
    if (row.together) notes.push(`One of several prints; by all together it is ${row.together}.`);
    if (row.print_found === false) notes.push("No print was found; the centre of the photo was looked at.");
    else if (typeof row.confidence === "number") notes.push(`The detector is ${(100 * row.confidence).toFixed(0)} % sure of the box.`);
    if (row.level === "group") notes.push("A group: no species is probable enough.");
    if (row.without_region) notes.push(`Without what occurs in the region: ${row.without_region}.`);
    if (row.trail_answer) notes.push(`All photos of ${row.trail} together: ${row.trail_answer}, ${(100 * row.trail_probability).toFixed(0)} %.`);
    if (!row.top?.length) notes.push(row.source === "drawn" || row.id === null ? "Drawn by a person." : "No prediction of this photo.");
    this.place.textContent = typeof row.latitude === "number" ? `Taken at ${row.latitude.toFixed(5)}, ${row.longitude.toFixed(5)}` : "";
    this.notes.replaceChildren(...notes.map((text) => el("li", { text })));
  }

  async drawDetails(details) {
    const { row } = this;
    // A box that was just drawn: what is beside it is known of the box that it was drawn beside.
    const known = row.id === null && row.beside !== null ? await this.#beside(row) : details;
    if (this.row === row) this.#drawBeside(known);
  }

  async #beside(row) {
    const details = await get(`/api/detection/${row.beside}`, { reviewer: address.get("reviewer") });
    return { ...details, others: [details, ...details.others] };
  }

  #drawBeside(details) {
    const others = details.others ?? [];
    const text = (row) => `${classOf(row)}  ${score(row.score)}`;
    const link = (row) => el("li", {}, sign(row.state), button(text(row), () => this.app.openRow(row), { class: "link" }));
    this.others.replaceChildren(...(others.length ? others.map(link) : [el("li", { class: "faint", text: "none" })]));
    const boxed = others.filter(boxOf);
    this.plot.setOthers(boxed.map((row) => ({ box: boxOf(row), css: row.state, text: classOf(row), action: () => this.app.openRow(row) })));
    const trail = (details.trail ?? []).slice(0, MOST_OF_TRAIL);
    this.trail.replaceChildren(...(trail.length ? trail.map((row) => this.#ofTrail(row)) : [el("span", { class: "faint", text: "This photo is of no trail." })]));
  }

  #ofTrail(row) {
    const node = button("", () => this.app.openRow(row), {
      class: `trail-cell ${row.state}`,
      "aria-label": `${classOf(row)}, ${STATES[row.state].text}`,
      "aria-current": row.id === this.row.id ? "true" : null,
    });
    const { image, ready, isReady } = small(row, 96);
    const put = () => node.replaceChildren(image.isConnected ? image.cloneNode() : image);
    if (isReady) put();
    else ready.then(put);
    return node;
  }

  drawFacts(row, draft) {
    const state = this.app.items.stateOf(row.key);
    const facts = [
      el("strong", { class: "class-name", text: classOf(row) }),
      row.state === "other" && row.class ? el("s", { class: "faint", text: row.class }) : null,
      row.score === null || row.score === undefined ? null : el("span", { class: "score", title: "score", text: score(row.score) }),
      el("span", { class: `state ${state}` }, sign(state), el("span", { text: STATES[state].text })),
      row.id === null && state === "open" ? el("span", { class: "state edited", text: "new box", title: "Choose a class; Esc drops it" }) : null,
      draft.box && row.id !== null ? el("span", { class: "state edited", text: "box changed", title: "A decision keeps it" }) : null,
      el("span", { class: "gap" }),
      el("span", { class: "file", title: row.name, text: row.name }),
      row.taken_at ? el("time", { class: "numbers", text: wallClock(row.taken_at) }) : null,
      row.trail ? button(row.trail, () => this.#wholeTrail(), { key: "t", class: "quiet", title: "All of this trail" }) : null,
    ];
    this.facts.replaceChildren(...facts.filter((fact) => fact));
  }

  drawControls() {
    if (address.get("zoom") === this.#zoomSays) return;
    this.#zoomSays = address.get("zoom");
    const focused = document.activeElement?.getAttribute("aria-label");
    this.controls.replaceChildren(
      stepper("Zoom", `${address.get("zoom")}×`, () => this.#zoom(-1), () => this.#zoom(1), ["-", "+"], ["Zoom out", "Zoom in"]),
      button("New box", () => this.#newBox(), { key: "b", class: "quiet" }),
      button("Move the edges", () => this.plot.box && this.plot.focusEdges(), { class: "quiet" }),
      el("span", { class: "faint hint", text: "Draw with the mouse: a new box. With Shift: this one anew." }),
    );
    if (focused) this.controls.querySelector(`[aria-label="${CSS.escape(focused)}"]`)?.focus();
  }

  #zoom(direction, point = null) {
    const now = address.number("zoom");
    const wanted = direction > 0 ? ZOOMS.find((z) => z > now) : ZOOMS.findLast((z) => z < now);
    if (wanted === undefined) return;
    this.#at = point ?? this.#at;
    address.set({ zoom: wanted });
  }

  /** Bring a point of the zoomed photo to the middle, in parts of the photo. */
  #pan({ x, y }) {
    if (!this.row) return;
    const inside = (v) => Math.min(1, Math.max(0, v));
    this.#at = { x: inside(x), y: inside(y) };
    this.plot.show({ photo: this.row.photo, zoom: address.number("zoom"), at: this.#at });
  }

  #panBy([x, y]) {
    const box = this.plot.box ?? { x1: 0.5, x2: 0.5, y1: 0.5, y2: 0.5 };
    const at = this.#at ?? { x: (box.x1 + box.x2) / 2, y: (box.y1 + box.y2) / 2 };
    const step = PAN / address.number("zoom");
    this.#pan({ x: at.x + x * step, y: at.y + y * step });
  }

  #boxChanged(box, finished) {
    this.boxMoved(box, finished);
    clearTimeout(this.#cropTimer);
    const { row } = this;
    this.#cropTimer = setTimeout(() => this.row === row && this.#drawCrop(row, box), SETTLED_MS);
  }

  /** A box was drawn: that of the row where it has none, or a wrong one; else of another print. */
  #boxDrawn(box, isAnew) {
    const { row } = this;
    const isFree = !this.plot.box || row.print_found === false || (row.id === null && this.app.items.stateOf(row.key) === "open");
    if (isAnew || isFree) {
      this.plot.box = box;
      this.#boxChanged(box, true);
    } else this.#newBox(box);
  }

  #newBox(box = NEW_BOX) {
    const { row } = this;
    if (!row) return;
    if (!this.plot.box) {
      this.plot.box = box;
      this.#boxChanged(box, true);
      this.plot.focusEdges();
      return;
    }
    const { photo, name, taken_at, latitude, longitude, trail } = row;
    const key = `new-${photo}-${++this.#drawn}`;
    const fresh = { photo, name, taken_at, latitude, longitude, trail, ...box, id: null, key, beside: row.id, class: null, score: null, source: "drawn", state: "open", label: null, note: null };
    this.app.items.pin(fresh, this.app.items.index(row.key) + 1);
    this.app.rowsChanged();
    this.app.go(key);
    if (box === NEW_BOX) requestAnimationFrame(() => this.plot.focusEdges());
  }

  /** Drop a box that was drawn and not decided on. */
  #drop() {
    const { row } = this;
    const { items } = this.app;
    if (row?.id !== null || items.stateOf(row.key) !== "open") return false;
    const index = items.index(row.key);
    items.drop(row.key);
    this.app.rowsChanged();
    this.app.go(items.keys[Math.max(0, index - 1)]);
    return true;
  }

  /** What nobody calls a print is no box of its own. */
  decide(verdict, name = undefined) {
    const isNothing = ["wrong", "skip"].includes(verdict) || name === this.app.project.no_print;
    if (isNothing && this.#drop()) return;
    super.decide(verdict, name);
  }

  #wholeTrail() {
    if (this.row?.trail) address.set({ view: "grid", trail: this.row.trail, class: "", state: "", folder: "" }, { push: true });
  }

  key(event) {
    const pan = event.shiftKey && address.number("zoom") > 1 && PANS[event.key];
    if (pan) this.#panBy(pan);
    if (pan || super.key(event)) return true;
    const { unknown, no_print: none } = this.app.project;
    if (event.key === "k") this.decideClass(unknown);
    else if (event.key === "o") this.decideClass(none);
    else if (event.key === "b") this.#newBox();
    else if (event.key === "t") this.#wholeTrail();
    else if (event.key === "+" || event.key === "=") this.#zoom(1);
    else if (event.key === "-") this.#zoom(-1);
    else if (event.key === "Home") address.set({ zoom: 1 });
    else if (event.key === "Escape") return this.#drop();
    else return false;
    return true;
  }
}
