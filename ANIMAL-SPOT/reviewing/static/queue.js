// The panel at the left: which rows, in which order, how many are left.

import { address } from "./address.js";
import { button, el, field, select } from "./dom.js";
import { ORDERS, SOURCES, STATES, classOf, clock, count, ending, score, span, stem } from "./format.js";
import { VirtualList } from "./list.js";
import { sign } from "./parts.js";

const ROW_PX = 26;
const NAME_LETTERS = 12; // of a recording, in a row

export class QueuePanel {
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

  /** Draw the controls; the project or the address has changed. */
  drawFilters() {
    const { project, recordings } = this.app;
    const isList = address.get("src") !== "windows";
    const set = (name) => (value) => address.set({ [name]: value, id: "" }, { push: true });
    const sources = SOURCES.filter(([name]) => name !== "like" || address.get("src") === "like");
    const any = ["", "all"];
    const choice = (name, label, options) => field(label, select(options, address.get(name), set(name)));
    const number = (name, label, props = {}) => input(name, label, { type: "number", step: "any", ...props }, set(name));
    const rows = [choice("src", "Show", sources)];
    if (address.get("src") === "detections") {
      rows.push(
        choice("class", "Class", [any, ...project.classes.map((c) => [c.name, `${c.name} (${count(c.n)})`])]),
        choice("state", "State", [any, ...Object.entries(STATES).map(([state, { text }]) => [state, text])]),
      );
    }
    if (address.get("src") !== "like") {
      if (project.sites.length) rows.push(choice("site", "Site", [any, ...project.sites.map((site) => [site, site])]));
      rows.push(choice("rec", "Recording", [any, ...recordings.map((r) => [String(r.id), r.name])]));
    }
    if (address.get("src") === "detections") {
      rows.push(
        el("div", { class: "pair" }, number("min", "Score from", { min: "0", max: "1" }), number("max", "to", { min: "0", max: "1" })),
      );
      if (project.starts) {
        const time = { type: "datetime-local", step: "1" };
        rows.push(input("from", "Time from", time, set("from")), input("to", "to", time, set("to")));
        const hours = { type: "text", placeholder: "21-5", pattern: "\\s*[\\d.]+\\s*-\\s*[\\d.]+\\s*", title: "Hours of the day, such as 21-5" };
        rows.push(input("hours", "Hours", hours, set("hours")));
      }
      rows.push(choice("order", "Order", ORDERS));
      if (address.get("order") === "bins") rows.push(number("n", "How many", { min: "1", step: "1" }));
      if (["random", "bins"].includes(address.get("order"))) {
        rows.push(button("Draw anew", () => set("seed")(address.number("seed") + 1), { class: "quiet" }));
      }
    }
    if (!isList) rows.push(number("len", "Window, s", { min: "0.1" }));
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
    return [
      sign(state),
      el("span", { class: "off-screen", text: STATES[state].text }),
      el("span", { class: "name", text: row.class || row.label ? classOf(row) : "–" }),
      el("span", { class: "numbers", text: score(row.score) }),
      el("span", { class: "file", title: this.app.nameOf(row), text: ending(stem(this.app.nameOf(row)), NAME_LETTERS) }),
      el("span", { class: "numbers", text: clock(row.begin_s) }),
    ];
  }
}

/** Such as "127 of 400 left, about 9 minutes". */
export function progressText(left, total, secondsEach) {
  if (!total) return "Nothing in this queue";
  if (!left) return `All ${count(total)} decided`;
  const about = secondsEach ? `, about ${span(left * secondsEach)}` : "";
  return `${count(left)} of ${count(total)} left${about}`;
}

function input(name, label, props, change) {
  const node = el("input", { ...props, on: { change: () => change(node.value) } });
  node.value = address.get(name);
  return field(label, node);
}

