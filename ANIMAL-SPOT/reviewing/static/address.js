// What the page shows stands in its address, so that reload, back and a sent link show the same.

import { ORDERS, SOURCES, STATES } from "./format.js";

const DEFAULTS = {
  view: "one", // one, grid, long, statistics, retrain
  src: "detections", // detections, windows, like
  id: "", // key of the row shown
  class: "",
  state: "",
  site: "",
  rec: "", // recordings of the queue: empty, or one
  min: "",
  max: "",
  from: "",
  to: "",
  hours: "", // of the day, such as 21-5
  order: "time",
  seed: "1",
  n: "100", // size of a sample over score bins
  like: "", // what "more like this" started from: an id, or recording@from-to
  len: "3", // length of windows labelled from nothing, in s
  file: "", // recording of the long view
  at: "0", // start of the long view, in s
  lines: "3",
  line: "15", // length of a line of the long view, in s
  context: "2", // shown before and after a detection, in s
  gain: "0", // dB
  low: "0", // Hz
  high: "", // Hz; empty: chosen by the project
  speed: "1",
  auto: "1", // sound starts by itself
  reviewer: "",
};

// These make another queue; all else only shows another part of it.
const QUEUE = ["src", "class", "state", "site", "rec", "min", "max", "from", "to", "hours", "order", "seed", "n", "like", "len", "reviewer"];

// Anything else in an address, such as an old or mistyped one, is read as the default.
const CHOICES = {
  src: SOURCES.map(([name]) => name),
  state: ["", ...Object.keys(STATES)],
  order: ORDERS.map(([name]) => name),
};

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
