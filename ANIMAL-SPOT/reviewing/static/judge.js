// Deciding and undoing: shown at once, sent in order, put right by what the server answers.

import { address } from "./address.js";

const PAUSE_MS = 60_000; // longer ones are no part of the work
const LATEST = 50; // decisions whose pace counts

export class Judge {
  #history = [];
  #paces = [];
  #latest = null;

  /** @param {object} app `items`, `outbox`, `say`; `bodyOf` says what is sent of a row that is new. */
  constructor(app) {
    this.app = app;
  }

  /** Seconds for one decision at the present pace, or null. */
  get secondsEach() {
    if (this.#paces.length < 5) return this.app.items.secondsEach;
    const sorted = [...this.#paces].sort((a, b) => a - b);
    return sorted[Math.floor(sorted.length / 2)];
  }

  /**
   * Decide on rows.
   * @param {string[]} keys
   * @param {"right"|"wrong"|"other"|"unsure"|"skip"} verdict
   * @param {object} [extra] `class` for another class; `box` and `note` for one row.
   * @returns {boolean} Whether it was decided.
   */
  decide(keys, verdict, extra = {}) {
    const { items } = this.app;
    const rows = keys.map((key) => items.row(key)).filter((row) => row);
    if (!rows.length) return false;
    if (rows.some((row) => row.isWaiting)) {
      this.app.say("This one waits for the server; go on with others.");
      return false;
    }
    const nameless = rows.some((row) => !row.class && !extra.class);
    if (verdict === "right" && nameless) {
      this.app.say("Nothing is proposed here: choose a class.");
      return false;
    }
    const before = rows.map((row) => ({ ...row, state: items.stateOf(row.key) }));
    const known = rows.filter((row) => row.id !== null);
    const fresh = rows.filter((row) => row.id === null);
    items.update(rows.map((row) => changed(row, verdict, extra)));
    let posts = 0;
    if (known.length) {
      posts++;
      this.#send("/api/decide", this.#body(known, verdict, extra), known);
    }
    for (const row of verdict === "skip" ? [] : fresh) {
      posts++;
      this.#add(row, verdict, extra);
    }
    this.#history.push({ before, posts });
    this.#count(rows.length);
    return true;
  }

  /** Take the latest decision back. @returns {Promise<string|null>} Key of its row. */
  async undo() {
    const { items, outbox } = this.app;
    const latest = this.#history.pop();
    if (!latest) {
      const { rows } = await outbox.add("/api/undo", { reviewer: address.get("reviewer") });
      items.update(rows);
      return rows.length ? String(rows[0].id) : null;
    }
    const rows = latest.before.map((row) => {
      const now = items.row(row.key);
      return now && row.id === null ? { ...row, id: null } : row;
    });
    items.update(rows);
    for (let i = 0; i < latest.posts; i++) {
      this.#send("/api/undo", { reviewer: address.get("reviewer") }, rows);
    }
    return rows[0].key;
  }

  /** What was decided last is undone together with what was decided before it: one key did both. */
  join() {
    const [first, second] = this.#history.splice(-2);
    this.#history.push({ before: [...first.before, ...second.before], posts: first.posts + second.posts });
  }

  /** Forget what could be undone at once, since the rows are others now. */
  forget() {
    this.#history = [];
  }

  #body(rows, verdict, { class: name, box, note }) {
    return {
      ids: rows.map((row) => row.id),
      verdict,
      ...(verdict === "other" ? { class: name } : {}),
      ...(box ?? {}),
      ...(note ? { note } : {}),
      reviewer: address.get("reviewer"),
    };
  }

  async #send(place, body, rows) {
    const { items, outbox } = this.app;
    try {
      const answer = await outbox.add(place, body);
      const stretches = new Map(rows.filter((row) => row.key !== String(row.id)).map((row) => [row.id, row.key]));
      if (!outbox.waiting) items.update(answer.rows.map((row) => ({ ...row, key: stretches.get(row.id) ?? String(row.id) })));
    } catch (error) {
      this.#refused(error, rows);
    }
  }

  async #add(row, verdict, { class: name, box, note }) {
    const { items, outbox } = this.app;
    const body = { ...this.app.bodyOf(row, verdict, { class: name, box, note }), reviewer: address.get("reviewer") };
    items.update([{ ...items.row(row.key), isWaiting: true }]);
    try {
      const { rows } = await outbox.add("/api/add", body);
      const now = items.row(row.key);
      // Undone meanwhile: then it stays without an id.
      items.update([now.state === "open" ? { ...now, isWaiting: false } : { ...rows[0], key: row.key }]);
    } catch (error) {
      items.update([{ ...row, isWaiting: false }]);
      this.app.say(error.message, true);
    }
  }

  /** The server would not take it: say so, and show the rows as they were. */
  #refused(error, rows) {
    this.app.say(`Not kept: ${error.message}`, true);
    this.app.items.update(rows);
  }

  #count(n) {
    const now = performance.now();
    const pause = this.#latest === null ? Infinity : now - this.#latest;
    this.#latest = now;
    if (pause > PAUSE_MS) return;
    this.#paces.push(pause / 1000 / n);
    if (this.#paces.length > LATEST) this.#paces.shift();
  }
}

/** The row as it will be when the server has the decision. */
function changed(row, verdict, { class: name, box }) {
  const stretch = row.id === null;
  return {
    ...row,
    ...(box ?? {}),
    class: stretch && name ? name : row.class,
    state: stretch && verdict === "other" ? "right" : verdict,
    label: verdict === "other" ? name : null,
  };
}
