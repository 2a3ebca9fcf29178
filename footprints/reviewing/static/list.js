// A list that holds only the rows that can be seen: 100,000 rows scroll like 30.

import { afterFrame, el } from "./dom.js";

const MARGIN = 12; // rows made above and below what can be seen

export class VirtualList {
  #total = 0;
  #current = -1;
  #first = -1;
  #last = -1;
  #isDue = false;

  /**
   * @param {object} options
   * @param {number} options.rowHeight In px.
   * @param {(index: number) => Node[]} options.cells What stands in a row.
   * @param {(index: number) => void} options.choose
   * @param {(first: number, last: number) => void} options.need Rows that will be seen.
   */
  constructor({ label, rowHeight, cells, choose, need }) {
    Object.assign(this, { rowHeight, cells, choose, need });
    this.spacer = el("div", { class: "spacer", role: "presentation" });
    this.el = el(
      "div",
      { class: "list", role: "listbox", tabindex: "0", "aria-label": label },
      this.spacer,
    );
    this.el.addEventListener("scroll", () => this.#draw(), { passive: true });
    this.el.addEventListener("keydown", (event) => this.#key(event));
    new ResizeObserver(() => this.#draw()).observe(this.el);
  }

  set total(total) {
    this.#total = total;
    this.spacer.style.height = `${total * this.rowHeight}px`;
    this.#first = -1;
    this.#draw();
  }

  /** Mark a row as the one shown, and bring it into view. */
  set current(index) {
    this.#current = index;
    this.redraw();
  }

  #bringIntoView() {
    const index = this.#current;
    const top = index * this.rowHeight;
    const { scrollTop, clientHeight } = this.el;
    if (index >= 0 && (top < scrollTop || top + this.rowHeight > scrollTop + clientHeight)) {
      this.el.scrollTop = top - clientHeight / 3;
    }
  }

  /** Make the visible rows anew, since what they say has changed. */
  redraw() {
    if (this.#isDue) return;
    this.#isDue = true;
    afterFrame(() => {
      this.#isDue = false;
      if (this.#current !== this.#inView) this.#bringIntoView();
      this.#inView = this.#current;
      this.#first = -1;
      this.#draw();
    });
  }

  #inView = -1; // the row that was brought into view last; who scrolls away stays there

  #draw() {
    const seen = Math.ceil((this.el.clientHeight || 600) / this.rowHeight);
    const top = Math.floor(this.el.scrollTop / this.rowHeight);
    const first = Math.max(0, top - MARGIN);
    const last = Math.min(this.#total, top + seen + MARGIN);
    if (first === this.#first && last === this.#last) return;
    this.#first = first;
    this.#last = last;
    this.need(first, last);
    const rows = [];
    for (let i = first; i < last; i++) rows.push(this.#row(i));
    this.spacer.replaceChildren(...rows);
    if (this.#current >= first && this.#current < last) this.el.setAttribute("aria-activedescendant", `row-${this.#current}`);
    else this.el.removeAttribute("aria-activedescendant");
  }

  #row(i) {
    const row = el(
      "div",
      {
        id: `row-${i}`,
        class: "row",
        role: "option",
        "aria-selected": String(i === this.#current),
        "aria-setsize": String(this.#total),
        "aria-posinset": String(i + 1),
        on: { click: () => this.choose(i) },
      },
      ...this.cells(i),
    );
    row.style.top = `${i * this.rowHeight}px`;
    return row;
  }

  #key(event) {
    const page = Math.max(1, Math.floor(this.el.clientHeight / this.rowHeight) - 1);
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity };
    const step = steps[event.key];
    if (step === undefined || !this.#total) return;
    event.preventDefault();
    event.stopPropagation();
    this.choose(Math.min(this.#total - 1, Math.max(0, this.#current + step)));
  }
}
