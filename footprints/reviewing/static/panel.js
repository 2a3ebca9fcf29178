// The panel at the left: which rows, in which order, how many are left.

import { address } from "./address.js";
import { button, el, field, select } from "./dom.js";
import { STATES, count, span } from "./format.js";
import { VirtualList } from "./list.js";
import { sign } from "./parts.js";

const ROW_PX = 26;

/** `filterRows()` makes the controls, `describe(row)` what stands in a row. */
export class Panel {
  constructor(app) {
    this.app = app;
    this.progress = el("div", { class: "progress" });
    this.meter = el("div", { class: "meter", "aria-hidden": "true" }, el("div"));
    this.filters = el("div", { class: "filters" });
    this.list = new VirtualList({
      label: "Rows of the queue",
      rowHeight: ROW_PX,
      cells: (i) => this.#cells(i),
      choose: (i) => app.go(app.items.keys[i]),
      need: (first, last) => app.items.load(first, last).catch((error) => app.trouble(error)),
    });
    const details = el("details", { class: "filter-box" }, el("summary", { text: "Which rows" }), this.filters);
    details.open = localStorage.getItem("review-filters") !== "closed";
    details.addEventListener("toggle", () => localStorage.setItem("review-filters", details.open ? "open" : "closed"));
    this.el = [el("div", { class: "progress-box" }, this.progress, this.meter), details, this.list.el];
  }

  /** Another value of a part of the address: another queue. */
  setter(name) {
    return (value) => address.set({ [name]: value, id: "" }, { push: true });
  }

  /** A choice from `[value, text]` pairs. */
  choice(name, label, options) {
    return field(label, select(options, address.get(name), this.setter(name)));
  }

  /** A field to write in. */
  input(name, label, props) {
    const node = el("input", { ...props, on: { change: () => this.setter(name)(node.value) } });
    node.value = address.get(name);
    return field(label, node);
  }

  number(name, label, props = {}) {
    return this.input(name, label, { type: "number", step: "any", ...props });
  }

  /** Controls that reviews of all kinds have: scores, times, order. */
  commonFilters(orders, hasTimes) {
    const order = address.get("order");
    const rows = [
      el("div", { class: "pair" }, this.number("min", "Score from", { min: "0", max: "1" }), this.number("max", "to", { min: "0", max: "1" })),
    ];
    if (hasTimes) {
      const time = { type: "datetime-local", step: "1" };
      rows.push(this.input("from", "Time from", time), this.input("to", "to", time));
      const hours = { type: "text", placeholder: "21-5", pattern: "\\s*[\\d.]+\\s*-\\s*[\\d.]+\\s*", title: "Hours of the day, such as 21-5" };
      rows.push(this.input("hours", "Hours", hours));
    }
    rows.push(this.choice("order", "Order", orders));
    if (order === "bins") rows.push(this.number("n", "How many", { min: "1", step: "1" }));
    if (["random", "bins"].includes(order)) {
      rows.push(button("Draw anew", () => this.setter("seed")(address.number("seed") + 1), { class: "quiet" }));
    }
    return rows;
  }

  /** Classes and states to choose from. */
  classFilters(classes) {
    const any = ["", "all"];
    return [
      this.choice("class", "Class", [any, ...classes.map((c) => [c.name, `${c.name} (${count(c.n)})`])]),
      this.choice("state", "State", [any, ...Object.entries(STATES).map(([state, { text }]) => [state, text])]),
    ];
  }

  /** Draw the controls; the project or the address has changed. */
  drawFilters() {
    const rows = this.filterRows();
    const focused = document.activeElement?.closest(".filters .field")?.querySelector("span")?.textContent;
    this.filters.replaceChildren(...rows);
    if (focused) {
      const again = [...this.filters.querySelectorAll(".field")].find((f) => f.querySelector("span").textContent === focused);
      again?.querySelector("input, select")?.focus();
    }
  }

  /** Other rows. */
  drawRows() {
    this.list.total = this.app.items.total;
    this.drawCurrent();
    this.drawProgress();
  }

  drawCurrent() {
    this.list.current = this.app.items.index(address.get("id"));
  }

  /** What is known of the rows has changed. */
  refresh() {
    this.list.redraw();
    this.drawProgress();
  }

  drawProgress() {
    const { items } = this.app;
    this.progress.textContent = progressText(items.left, items.total, this.app.judge.secondsEach);
    const done = items.total ? 1 - items.left / items.total : 0;
    this.meter.firstChild.style.width = `${100 * done}%`;
  }

  #cells(i) {
    const key = this.app.items.keys[i];
    const row = this.app.items.row(key);
    const state = this.app.items.stateOf(key);
    if (!row) return [sign(state), el("span", { class: "faint", text: "…" })];
    return [sign(state), el("span", { class: "off-screen", text: STATES[state].text }), ...this.describe(row)];
  }
}

/** Such as "127 of 400 left, about 9 minutes". */
export function progressText(left, total, secondsEach) {
  if (!total) return "Nothing in this queue";
  if (!left) return `All ${count(total)} decided`;
  const about = secondsEach ? `, about ${span(left * secondsEach)}` : "";
  return `${count(left)} of ${count(total)} left${about}`;
}
