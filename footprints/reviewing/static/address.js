// What the page shows stands in its address, so that reload, back and a sent link show the same.

import { CHOICES, DEFAULTS, QUEUE } from "./address_parts.js";

class Address extends EventTarget {
  #now = read();

  constructor() {
    super();
    window.addEventListener("popstate", () => this.#change(read()));
  }

  /** @returns {string} */
  get(name) {
    return this.#now[name];
  }

  number(name) {
    return Number(this.#now[name]);
  }

  /** What decides which rows are in the queue, as one string. */
  get queue() {
    return JSON.stringify(QUEUE.map((name) => this.#now[name]));
  }

  /** Change some parts. `push`: the back button returns to what is shown now. */
  set(changes, { push = false } = {}) {
    const next = { ...this.#now };
    for (const [name, value] of Object.entries(changes)) next[name] = String(value ?? "");
    if (Object.keys(next).every((name) => next[name] === this.#now[name])) return;
    const params = new URLSearchParams();
    for (const [name, value] of Object.entries(next)) if (value !== DEFAULTS[name]) params.set(name, value);
    const text = params.toString();
    history[push ? "pushState" : "replaceState"](null, "", text ? `?${text}` : location.pathname);
    this.#change(next);
  }

  #change(next) {
    const before = this.#now;
    this.#now = next;
    const changed = Object.keys(next).filter((name) => next[name] !== before[name]);
    if (changed.length) this.dispatchEvent(new CustomEvent("change", { detail: changed }));
  }
}

function read() {
  const params = new URLSearchParams(location.search);
  const value = (name) => {
    const given = params.get(name);
    return given === null || CHOICES[name]?.includes(given) === false ? DEFAULTS[name] : given;
  };
  return Object.fromEntries(Object.keys(DEFAULTS).map((name) => [name, value(name)]));
}

export const address = new Address();
export const isQueuePart = (name) => QUEUE.includes(name);
