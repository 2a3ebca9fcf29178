// The rows of a queue: which there are, what is known of them, which are undecided.

import { address } from "./address.js";
import { QUERY } from "./address_parts.js";
import { get } from "./server.js";

const LETTERS = { "-": "open", r: "right", w: "wrong", o: "other", u: "unsure", s: "skip" };
const AT_ONCE = 100; // rows fetched together

/**
 * A row is what the server says of a detection, with `key`, its name in the address. Rows that are
 * no detection yet have no id until somebody decides on them.
 */
export class Items extends EventTarget {
  keys = [];
  rows = new Map();
  states = new Map();
  secondsEach = null;
  note = "";
  #places = new Map();
  #asked = new Set();

  get total() {
    return this.keys.length;
  }

  get left() {
    let n = 0;
    for (const state of this.states.values()) if (state === "open") n++;
    return n;
  }

  index(key) {
    return this.#places.get(key) ?? -1;
  }

  row(key) {
    return this.rows.get(key);
  }

  stateOf(key) {
    return this.states.get(key) ?? "open";
  }

  /** Place of the next undecided row after `index`, or -1. */
  nextOpen(index) {
    for (let step = 1; step <= this.total; step++) {
      const i = (index + step) % this.total;
      if (this.stateOf(this.keys[i]) === "open") return i;
    }
    return -1;
  }

  /** Take in what is known of rows. */
  update(rows) {
    for (const row of rows) {
      const key = row.key ?? String(row.id);
      this.rows.set(key, { ...row, key });
      if (this.#places.has(key)) this.states.set(key, row.state);
    }
    if (rows.length) this.dispatchEvent(new Event("change"));
  }

  /** Put a row that the filter does not hold in front, such as one from a link, or before `index`. */
  pin(row, index = 0) {
    this.update([row]);
    const key = row.key ?? String(row.id);
    if (this.#places.has(key)) return;
    this.keys.splice(index, 0, key);
    this.settle();
    this.states.set(key, row.state);
    this.dispatchEvent(new Event("change"));
  }

  /** Take a row out of the queue. */
  drop(key) {
    this.keys = this.keys.filter((other) => other !== key);
    this.rows.delete(key);
    this.states.delete(key);
    this.settle();
    this.dispatchEvent(new Event("change"));
  }

  /** Fetch the rows of these places that are not known yet. */
  async load(first, last) {
    const from = Math.max(0, Math.floor(first / AT_ONCE) * AT_ONCE);
    const to = Math.min(this.total, Math.ceil(last / AT_ONCE) * AT_ONCE);
    const wanted = this.keys.slice(from, to).filter((key) => !this.rows.has(key) && !this.#asked.has(key));
    for (let i = 0; i < wanted.length; i += AT_ONCE) {
      const ids = wanted.slice(i, i + AT_ONCE);
      ids.forEach((key) => this.#asked.add(key));
      try {
        const { rows } = await get("/api/rows", { ids: ids.join(","), reviewer: address.get("reviewer") });
        this.update(rows);
      } finally {
        ids.forEach((key) => this.#asked.delete(key));
      }
    }
  }

  /** Ask for the queue that the address describes. */
  async open(signal) {
    const params = Object.fromEntries(Object.entries(QUERY).map(([name, place]) => [name, address.get(place)]));
    const answer = await get("/api/queue", { ...params, ids: 1, limit: AT_ONCE }, signal);
    const most = params.order === "bins" ? Math.max(1, address.number("n")) : Infinity;
    this.keys = answer.ids.slice(0, most).map(String);
    this.settle();
    this.keys.forEach((key, i) => this.states.set(key, LETTERS[answer.states?.[i]] ?? "open"));
    this.secondsEach = answer.seconds_each;
    this.update(answer.rows);
  }

  /** The keys are others now. */
  settle() {
    this.#places = new Map(this.keys.map((key, i) => [key, i]));
  }
}
