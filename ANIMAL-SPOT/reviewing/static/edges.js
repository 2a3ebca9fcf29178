// A box on a picture whose edges are moved by pointer or arrow keys, and boxes that are drawn anew.

import { el } from "./dom.js";

const DRAG_PX = 5; // less is a click
const FAR = 10; // times as far with Shift

/**
 * The frame of a box with a handle at each edge.
 *
 * `host` says what the picture shows: `under(event)` gives {x, y} under the pointer, `step(axis)` how
 * far a key moves an edge, `edge(name)` where an edge is, `told(name)` {least, most, now, text} for
 * screen readers, and `moveEdge(name, value, finished)` takes a new place. On the y axis a key upwards
 * makes the value greater if `up` is 1, less if it is -1.
 */
export class Edges {
  #handles = {};

  /** @param {Object<string, {axis: "x"|"y", name: string, side: string}>} edges */
  constructor(edges, host, up) {
    Object.assign(this, { edges, host, up });
    this.frame = el("div", { class: "box", hidden: true });
    for (const [edge, { axis, name, side }] of Object.entries(edges)) {
      const handle = el("div", {
        class: `edge ${side}`,
        role: "slider",
        tabindex: "0",
        "aria-label": name,
        "aria-orientation": axis === "x" ? "horizontal" : "vertical",
        data: { edge },
      });
      handle.addEventListener("pointerdown", (event) => this.#pull(event, edge));
      handle.addEventListener("keydown", (event) => this.#nudge(event, edge));
      this.#handles[edge] = handle;
      this.frame.append(handle);
    }
  }

  /** Tell screen readers where the edges are. */
  tell() {
    for (const [edge, handle] of Object.entries(this.#handles)) {
      const { least, most, now, text } = this.host.told(edge);
      handle.setAttribute("aria-valuemin", least);
      handle.setAttribute("aria-valuemax", most);
      handle.setAttribute("aria-valuenow", now);
      handle.setAttribute("aria-valuetext", text);
    }
  }

  /** Let the keys move the first edge. */
  focus() {
    Object.values(this.#handles)[0].focus();
  }

  #pull(event, edge) {
    if (event.button !== 0) return;
    event.preventDefault();
    event.stopPropagation();
    const handle = event.currentTarget;
    handle.setPointerCapture(event.pointerId);
    const move = (e) => this.host.moveEdge(edge, this.host.under(e)[this.edges[edge].axis], e.type === "pointerup");
    const up = (e) => {
      handle.removeEventListener("pointermove", move);
      if (e.type === "pointerup") move(e);
    };
    handle.addEventListener("pointermove", move);
    handle.addEventListener("pointerup", up, { once: true });
    handle.addEventListener("pointercancel", up, { once: true });
  }

  #nudge(event, edge) {
    const { axis } = this.edges[edge];
    const direction = { ArrowRight: 1, ArrowUp: this.up, ArrowLeft: -1, ArrowDown: -this.up }[event.key];
    if (!direction || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    event.stopPropagation();
    const step = this.host.step(axis) * (event.shiftKey ? FAR : 1);
    this.host.moveEdge(edge, this.host.edge(edge) + direction * step, true);
  }
}

/**
 * Follow a pointer that was pressed on a picture: a click, or a drag that draws a box.
 * @param {HTMLElement} pane
 * @param {PointerEvent} event
 * @param {object} on `drag(from, to)` while it is drawn ({x, y} as of `under`), `done(isDrawn, from)` at
 *   the end, `cancel()` if it ended otherwise; `under(event)`; `draws`: whether boxes can be drawn.
 */
export function follow(pane, event, on) {
  if (event.button !== 0) return;
  const start = on.under(event);
  const { clientX, clientY } = event;
  pane.setPointerCapture(event.pointerId);
  let isDrawn = false;
  const move = (e) => {
    if (!on.draws || (!isDrawn && Math.hypot(e.clientX - clientX, e.clientY - clientY) < DRAG_PX)) return;
    isDrawn = true;
    on.drag(start, on.under(e));
  };
  const up = (e) => {
    pane.removeEventListener("pointermove", move);
    if (e.type === "pointerup") on.done(isDrawn, start);
    else on.cancel();
  };
  pane.addEventListener("pointermove", move);
  pane.addEventListener("pointerup", up, { once: true });
  pane.addEventListener("pointercancel", up, { once: true });
}
