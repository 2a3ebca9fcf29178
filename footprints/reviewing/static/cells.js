// Forty small pictures: select many, decide with one key.

import { address } from "./address.js";
import { button, el } from "./dom.js";
import { STATES, classOf, count, score } from "./format.js";
import { sign } from "./parts.js";

const PAGE = 40;

/**
 * `thumb(row)` gives {picture, marks}: a picture of kept.js and what is drawn on it; `corner(row)` the
 * words at the right of a cell; `pressed(index)` is called when a cell is clicked.
 */
export class Cells {
  #selected = new Set();
  #anchor = 0;
  #cells = [];
  #first = 0;

  constructor(app, { label, hint }) {
    this.app = app;
    this.grid = el("div", {
      class: "cells",
      role: "listbox",
      "aria-multiselectable": "true",
      "aria-label": label,
    });
    this.where = el("span", { class: "numbers" });
    this.verdicts = el("div", { class: "verdicts", role: "group", "aria-label": "Decision on what is selected" });
    this.notice = el("p", { class: "notice", hidden: true });
    this.el = el(
      "section",
      { class: "grid", "aria-label": "Many at once" },
      el(
        "div",
        { class: "controls" },
        button("Earlier", () => this.#turn(-1), { key: "PageUp", class: "quiet" }),
        this.where,
        button("Next", () => this.#turn(1), { key: "PageDown", class: "quiet" }),
        el("span", { class: "rule" }),
        button("Select undecided", () => this.#selectOpen(), { key: "r", class: "quiet" }),
        button("Select none", () => this.#select([]), { key: "Esc", class: "quiet" }),
        el("span", { class: "faint hint", text: hint }),
      ),
      this.notice,
      this.grid,
      this.verdicts,
    );
  }

  async show() {
    const { items } = this.app;
    this.notice.hidden = items.total > 0;
    this.notice.textContent = items.note || "Nothing in this queue. Change the filter at the left.";
    let here = items.index(address.get("id"));
    if (here < 0 && items.total) {
      here = Math.max(0, items.nextOpen(-1));
      address.set({ id: items.keys[here] });
      return;
    }
    const first = Math.max(0, Math.floor(here / PAGE) * PAGE);
    const last = Math.min(items.total, first + PAGE);
    if (first !== this.#first) this.#selected.clear();
    this.#first = first;
    await items.load(first, last);
    this.#draw(first, last, here);
    if (last < items.total) {
      await items.load(last, last + PAGE);
      for (const key of items.keys.slice(last, last + PAGE)) if (items.row(key)) this.thumb(items.row(key));
    }
  }

  #draw(first, last, here) {
    const { items } = this.app;
    const hadFocus = this.grid.contains(document.activeElement) || document.activeElement === document.body;
    this.#cells = items.keys.slice(first, last).map((key, i) => this.#cell(key, first + i, here));
    this.grid.replaceChildren(...this.#cells);
    this.where.textContent = items.total ? `${count(first + 1)} to ${count(last)} of ${count(items.total)}` : "";
    this.#drawVerdicts();
    if (hadFocus) this.#cells[here - first]?.focus({ preventScroll: true });
  }

  #cell(key, index, here) {
    const row = this.app.items.row(key);
    const state = this.app.items.stateOf(key);
    const isSelected = this.#selected.has(key);
    const words = row ? `${classOf(row)} ${score(row.score)}, ${STATES[state].text}` : "not loaded";
    const cell = el(
      "div",
      {
        class: `cell ${state}`,
        role: "option",
        "aria-selected": String(isSelected),
        "aria-label": words,
        tabindex: index === here ? "0" : "-1",
        data: { key },
        on: { click: (event) => this.#click(event, index) },
      },
    );
    if (!row) return cell;
    const { picture: thing, marks } = this.thumb(row);
    const pane = el("div", { class: "thumb" });
    const put = () => pane.prepend(thing.image);
    if (thing.isReady) put();
    else thing.ready.then(put);
    pane.append(...marks, el("span", { class: "corner", title: "Select" }));
    cell.append(
      pane,
      el(
        "div",
        { class: "caption" },
        sign(state),
        el("span", { class: "name", text: classOf(row) }),
        el("span", { class: "numbers", text: score(row.score) || this.corner(row) }),
      ),
    );
    return cell;
  }

  #drawVerdicts() {
    const n = this.#selected.size;
    const make = (verdict, label, key) => button(label, () => this.decide(verdict), { key, class: `verdict ${verdict}` });
    const classes = [...this.app.keys].map(([key, name]) =>
      button(name, () => this.decide("other", name), { key, class: "verdict named", title: name }),
    );
    this.verdicts.replaceChildren(
      el("span", { class: "numbers selected-count", text: n ? `${n} selected` : "the marked one" }),
      make("right", "Right", "y"),
      make("wrong", "Wrong", "n"),
      make("unsure", "Unsure", "u"),
      make("skip", "Skip", "s"),
      ...this.moreVerdicts(),
      button("Undo", () => this.app.undo(), { key: "z", class: "quiet" }),
      el("span", { class: "rule" }),
      ...classes,
      button("Class …", () => this.#askClass(), { key: "c", class: "verdict named" }),
    );
  }

  #select(keys) {
    this.#selected = new Set(keys);
    for (const cell of this.#cells) cell.setAttribute("aria-selected", String(this.#selected.has(cell.dataset.key)));
    this.#drawVerdicts();
  }

  #toggle(index) {
    const selected = new Set(this.#selected);
    const key = this.app.items.keys[index];
    if (!selected.delete(key)) selected.add(key);
    this.#anchor = index;
    this.#select(selected);
  }

  #selectTo(index) {
    const [from, to] = [Math.min(this.#anchor, index), Math.max(this.#anchor, index)];
    this.#select([...this.#selected, ...this.app.items.keys.slice(from, to + 1)]);
  }

  #selectOpen() {
    const { items } = this.app;
    this.#select(this.#page().filter((key) => items.stateOf(key) === "open"));
  }

  #page() {
    return this.app.items.keys.slice(this.#first, this.#first + PAGE);
  }

  #click(event, index) {
    const inCorner = event.target.classList.contains("corner");
    if (event.shiftKey) this.#selectTo(index);
    else if (event.ctrlKey || event.metaKey || inCorner) this.#toggle(index);
    else {
      this.#anchor = index;
      this.pressed(index);
    }
    this.#focus(index);
  }

  /** The cells that are shown, each with its key. */
  get shownCells() {
    return this.#cells.map((cell) => [cell.dataset.key, cell]);
  }

  /** Place of the marked cell in the queue. */
  get here() {
    return this.app.items.index(address.get("id"));
  }

  #focus(index) {
    const cell = this.#cells[index - this.#first];
    if (!cell) return;
    for (const other of this.#cells) other.tabIndex = other === cell ? 0 : -1;
    cell.focus();
    address.set({ id: this.app.items.keys[index] });
  }

  #turn(by) {
    const { items } = this.app;
    const first = this.#first + by * PAGE;
    if (first < 0 || first >= items.total) return;
    this.app.go(items.keys[first]);
  }

  /** Further buttons of decisions. */
  moreVerdicts() {
    return [];
  }

  /** A cell was clicked. */
  pressed() {}

  /** Words at the right of a cell without a score. */
  corner() {
    return "";
  }

  /** Decide on what is selected, or on the marked one. */
  decide(verdict, name = undefined) {
    const { items, judge } = this.app;
    const chosen = this.#selected.size ? this.#page().filter((key) => this.#selected.has(key)) : [address.get("id")];
    const same = name === undefined ? [] : chosen.filter((key) => items.row(key) && this.app.isAnswer(items.row(key), name));
    const others = chosen.filter((key) => !same.includes(key));
    const wasOpen = chosen.every((key) => items.stateOf(key) === "open");
    const isRight = same.length > 0 && judge.decide(same, "right");
    const isOther = others.length > 0 && judge.decide(others, verdict, { class: name });
    if (isRight && isOther) judge.join();
    if (!isRight && !isOther) return;
    this.#selected.clear();
    this.app.sayProgress(`${count(chosen.length)} ${name ?? STATES[verdict].text}`);
    this.#goOn(items.index(chosen.at(-1)), wasOpen, chosen.length > 1);
  }

  /** Mark the cell after those decided, so that the next key is about another one. After many at
   * once the page stays, so that what the one key did is seen. */
  #goOn(here, wasOpen, isMany) {
    const { items } = this.app;
    const next = wasOpen ? items.nextOpen(here) : Math.min(here + 1, items.total - 1);
    const isElsewhere = next < this.#first || next >= this.#first + PAGE;
    if (next < 0 || next === this.here || (isMany && isElsewhere)) this.show();
    else address.set({ id: items.keys[next] });
  }

  async #askClass() {
    const name = await this.app.askClass();
    if (name) this.decide("other", name);
  }

  #columns() {
    const tops = this.#cells.map((cell) => cell.offsetTop);
    const n = tops.filter((top) => top === tops[0]).length;
    return Math.max(1, n);
  }

  #move(by, isSelecting) {
    const from = this.here;
    const to = from + by;
    if (to < 0 || to >= this.app.items.total) return;
    if (isSelecting) {
      if (!this.#selected.size) this.#anchor = from;
      this.#selectTo(Math.min(to, this.#first + PAGE - 1));
    }
    if (to < this.#first || to >= this.#first + PAGE) this.app.go(this.app.items.keys[to]);
    else this.#focus(to);
  }

  /** @returns {boolean} Whether the key meant something here. */
  key(event) {
    const verdict = { y: "right", n: "wrong", u: "unsure", s: "skip" }[event.key];
    const moves = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: this.#columns(), ArrowUp: -this.#columns() };
    if (verdict) this.decide(verdict);
    else if (this.app.keys.has(event.key)) this.decide("other", this.app.keys.get(event.key));
    else if (event.key in moves) this.#move(moves[event.key], event.shiftKey);
    else if (event.key === "x") this.#toggle(this.here);
    else if (event.key === "r") this.#selectOpen();
    else if (event.key === "Escape") this.#select([]);
    else if (event.key === "PageDown") this.#turn(1);
    else if (event.key === "PageUp") this.#turn(-1);
    else if (event.key === "c") this.#askClass();
    else if (event.key === "Enter") address.set({ view: "one" }, { push: true });
    else return false;
    return true;
  }
}
