// The rows of a queue: which there are, what is known of them, which are undecided.

import { address } from "./address.js";
import { get } from "./server.js";

const LETTERS = { "-": "open", r: "right", w: "wrong", o: "other", u: "unsure", s: "skip" };
const AT_ONCE = 100; // rows fetched together

/**
 * A row is what the server says of a detection, with `key`, its name in the address. Rows that are
 * no detection yet (windows, similar stretches) have no id until somebody decides on them.
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

  /** Put a row that the filter does not hold in front, such as one from a link. */
  pin(row) {
    this.update([row]);
    const key = row.key ?? String(row.id);
    if (this.#places.has(key)) return;
    this.keys.unshift(key);
    this.#settle();
    this.states.set(key, row.state);
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
  static async open(recordings, signal) {
    const items = new Items();
    const source = address.get("src");
    if (source === "windows") await items.#openWindows(recordings, signal);
    else if (source === "like") await items.#openSimilar(signal);
    else await items.#openDetections(signal);
    return items;
  }

  async #openDetections(signal) {
    const names = ["class", "state", "site", "min", "max", "from", "to", "hours", "order", "seed", "reviewer"];
    const params = Object.fromEntries(names.map((name) => [name, address.get(name)]));
    const answer = await get(
      "/api/queue",
      { ...params, recording: address.get("rec"), ids: 1, limit: AT_ONCE },
      signal,
    );
    const most = params.order === "bins" ? Math.max(1, address.number("n")) : Infinity;
    this.keys = answer.ids.slice(0, most).map(String);
    this.#settle();
    this.keys.forEach((key, i) => this.states.set(key, LETTERS[answer.states?.[i]] ?? "open"));
    this.secondsEach = answer.seconds_each;
    this.update(answer.rows);
  }

  /** Windows of the recordings one after the other; those labelled before have their row. */
  async #openWindows(recordings, signal) {
    const length = Math.max(0.1, address.number("len"));
    const only = address.get("rec");
    const site = address.get("site");
    for (const recording of recordings) {
      if ((only && String(recording.id) !== only) || (site && recording.site !== site)) continue;
      for (let begin = 0; begin < recording.duration_s - 0.05; begin += length) {
        this.#addStretch(recording, begin, Math.min(recording.duration_s, begin + length), {});
      }
    }
    const reviewer = address.get("reviewer");
    const known = await get("/api/queue", { source: "window", recording: only, reviewer, limit: 1000 }, signal);
    for (const row of known.rows) {
      const key = stretchKey(row.recording, row.begin_s, row.end_s);
      if (this.rows.has(key)) this.rows.set(key, { ...row, key });
      if (this.rows.has(key)) this.states.set(key, row.state);
    }
    this.secondsEach = known.seconds_each;
    this.#settle();
  }

  async #openSimilar(signal) {
    const { rows } = await get("/api/similar", { ...likeParams(address.get("like")), n: 80 }, signal);
    for (const row of rows) {
      const state = row.state ?? "open";
      if (row.id === null) this.#addStretch({ id: row.recording }, row.begin_s, row.end_s, row);
      else {
        const key = String(row.id);
        this.keys.push(key);
        this.rows.set(key, { ...row, key, state });
        this.states.set(key, state);
      }
    }
    this.#settle();
  }

  #addStretch(recording, begin_s, end_s, row) {
    const key = stretchKey(recording.id, begin_s, end_s);
    this.keys.push(key);
    this.states.set(key, "open");
    const none = { class: null, score: null, label: null, low_hz: null, high_hz: null };
    this.rows.set(key, { ...none, ...row, id: null, key, recording: recording.id, begin_s, end_s, state: "open" });
  }

  #settle() {
    this.#places = new Map(this.keys.map((key, i) => [key, i]));
  }
}

/** Name of a stretch of a recording in the address. */
export const stretchKey = (recording, from, to) => `${recording}@${from.toFixed(2)}-${to.toFixed(2)}`;

function likeParams(like) {
  const [recording, times] = like.split("@");
  if (!times) return { id: like };
  const [from, to] = times.split("-");
  return { recording, from, to };
}
