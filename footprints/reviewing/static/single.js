// One row at a time: look, press a key, the next one comes.

import { address } from "./address.js";
import { button, el } from "./dom.js";
import { STATES, wallClock } from "./format.js";
import { sign } from "./parts.js";
import { get } from "./server.js";

const AHEAD = 5; // rows that are fetched before they are wanted
const DETAILS_MS = 120; // who hurries through the rows needs no details

/**
 * What a kind of review adds: `showRow(row, draft, isOther)` shows a row and gives a promise of its
 * picture, `fetch(row)` fetches one ahead, `drawFacts(row, draft)` and `drawDetails(details)` say what
 * is known of it, `drawControls()` what can be set; `moreVerdicts(make)` are further buttons.
 */
export class Single {
  row = null;
  details = null;
  #timer = 0;
  #verdictsSay = "";

  constructor(app) {
    this.app = app;
    this.facts = el("div", { class: "facts" });
    this.end = el("p", { class: "notice", hidden: true });
    this.verdicts = el("div", { class: "verdicts", role: "group", "aria-label": "Decision" });
    this.note = el("input", {
      type: "text",
      maxlength: "2000",
      autocomplete: "off",
      on: {
        keydown: (event) => event.key === "Enter" && this.note.blur(),
        change: () => this.#noteChanged(),
      },
    });
    this.past = el("ul", { class: "past" });
  }

  drawControls() {}

  /** Nothing is shown any more. */
  clear() {}

  moreVerdicts() {
    return [];
  }

  /** Show the row that the address names; the first undecided one if it names none. */
  async show() {
    const { items } = this.app;
    this.drawControls();
    const key = await this.#currentKey();
    if (key !== address.get("id")) {
      address.set({ id: key });
      return; // the address's change shows it
    }
    if (!key) {
      this.#showNothing();
      return;
    }
    if (!items.row(key)) await items.load(items.index(key), items.index(key) + 1);
    const row = items.row(key);
    if (!row || key !== address.get("id")) return;
    this.el.classList.remove("nothing");
    const other = this.row?.key !== key;
    this.row = row;
    if (other) this.details = null;
    this.#showRow(other);
  }

  async #currentKey() {
    const { items } = this.app;
    const wanted = address.get("id");
    if (wanted && items.index(wanted) >= 0) return wanted;
    if (/^\d+$/.test(wanted)) {
      const { rows } = await get("/api/rows", { ids: wanted, reviewer: address.get("reviewer") });
      if (rows.length) {
        items.pin(rows[0]);
        return wanted;
      }
    }
    const first = items.nextOpen(-1);
    return items.keys[first >= 0 ? first : 0] ?? "";
  }

  #showNothing() {
    this.row = null;
    this.clear();
    this.el.classList.add("nothing");
    this.end.hidden = false;
    this.end.textContent = this.app.items.note || "Nothing in this queue. Change the filter at the left.";
  }

  #showRow(isOther) {
    const row = this.row;
    const draft = this.draft;
    const ready = this.showRow(row, draft, isOther);
    this.app.pictureShown(ready);
    this.drawFacts(row, draft);
    this.#drawVerdicts(row);
    if (document.activeElement !== this.note) this.note.value = draft.note ?? row.note ?? "";
    this.end.hidden = this.app.items.left > 0 || row.state === "open";
    this.end.textContent = "All of this queue is decided. Choose another one, look at the figures, or export.";
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#later(row), DETAILS_MS);
    ready.then(() => this.#fetchAhead());
  }

  async #fetchAhead() {
    const { items } = this.app;
    const here = items.index(this.row?.key);
    if (here < 0) return;
    const places = new Set();
    for (let i = 1; i <= AHEAD; i++) if (here + i < items.total) places.add(here + i);
    for (let i = 0, next = here; i < AHEAD; i++) {
      next = items.nextOpen(next);
      if (next < 0) break;
      places.add(next);
    }
    if (places.size) await items.load(Math.min(...places), Math.max(...places) + 1).catch(() => {});
    for (const place of places) {
      const row = items.row(items.keys[place]);
      if (!row) continue;
      await this.fetch(row);
    }
  }

  /** What is asked for only when somebody stays at a row. */
  async #later(row) {
    try {
      const details = row.id === null ? { decisions: [] } : await get(`/api/detection/${row.id}`, { reviewer: address.get("reviewer") });
      if (this.row?.key === row.key) await this.#drawDetails(details);
    } catch (error) {
      this.app.trouble(error);
    }
  }

  #drawDetails(details) {
    this.details = details;
    this.drawFacts(this.row, this.draft);
    if (details.note && document.activeElement !== this.note && !this.draft.note) this.note.value = details.note;
    const line = (d) =>
      el(
        "li",
        { class: d.undone ? "undone" : "" },
        sign(d.verdict),
        el("span", { text: [d.reviewer, d.verdict === "other" ? d.class : STATES[d.verdict].text, d.note].filter(Boolean).join(": ") }),
        el("time", { text: wallClock(d.at).slice(0, 16) }),
      );
    // What others said is shown once the reviewer has decided: two shall judge independently.
    const isOpen = this.app.items.stateOf(this.row.key) === "open";
    const own = (d) => d.reviewer === address.get("reviewer");
    const decisions = details.decisions.filter((d) => !isOpen || own(d));
    this.past.replaceChildren(...(decisions.length ? decisions.map(line) : [el("li", { class: "faint", text: "none yet" })]));
    return this.drawDetails(details);
  }

  #drawVerdicts(row) {
    const state = this.app.items.stateOf(row.key);
    const chosen = state === "other" ? row.label : row.id === null && state === "right" ? row.class : null;
    const says = JSON.stringify([state, chosen, Boolean(row.class), [...this.app.keys]]);
    if (says === this.#verdictsSay) return;
    this.#verdictsSay = says;
    const make = (verdict, label, key) =>
      button(label, () => this.decide(verdict), { key, class: `verdict ${verdict}`, "aria-pressed": String(state === verdict) });
    const classes = [...this.app.keys].map(([key, name]) =>
      button(name, () => this.decideClass(name), { key, class: "verdict named", "aria-pressed": String(name === chosen), title: name }),
    );
    this.verdicts.replaceChildren(
      make("right", "Right", "y"),
      make("wrong", row.class ? "Wrong" : "Nothing here", "n"),
      make("unsure", "Unsure", "u"),
      make("skip", "Skip", "s"),
      ...this.moreVerdicts(chosen),
      button("Undo", () => this.app.undo(), { key: "z", class: "quiet" }),
      el("span", { class: "rule" }),
      ...classes,
      button("Class …", () => this.#askClass(), { key: "c", class: "verdict named" }),
    );
    this.verdicts.firstChild.disabled = !row.class;
  }

  /** An edge of the box was moved. */
  boxMoved(box, finished) {
    const row = this.row;
    writeDraft(row.key, { ...this.draft, box });
    this.drawFacts(row, this.draft);
    const state = this.app.items.stateOf(row.key);
    if (finished && !["open", "skip"].includes(state)) this.#again(state);
  }

  #noteChanged() {
    const row = this.row;
    if (!row) return;
    writeDraft(row.key, { ...readDraft(row.key), note: this.note.value });
    const state = this.app.items.stateOf(row.key);
    if (!["open", "skip"].includes(state)) this.#again(state);
  }

  /** Keep what was changed at a row that is decided already: the same verdict once more. */
  #again(state) {
    const row = this.row;
    if (this.#decide(state, state === "other" ? row.label : undefined)) this.app.say("Kept.");
  }

  #decide(verdict, name) {
    const row = this.row;
    const draft = readDraft(row.key);
    const note = draft.note ?? (document.activeElement === this.note ? this.note.value : "");
    const done = this.app.judge.decide([row.key], verdict, { class: name, box: draft.box, note });
    if (done) writeDraft(row.key, null);
    return done;
  }

  /** Decide on the row shown, and go to the next one. */
  decide(verdict, name = undefined) {
    const row = this.row;
    if (!row) return;
    const wasOpen = this.app.items.stateOf(row.key) === "open";
    const here = this.app.items.index(row.key);
    if (!this.#decide(verdict, name)) return;
    const next = wasOpen ? this.app.items.nextOpen(here) : Math.min(here + 1, this.app.items.total - 1);
    if (next < 0 || next === here) this.show();
    else this.app.go(this.app.items.keys[next]);
    this.app.sayProgress(name ?? STATES[verdict].text);
  }

  decideClass(name) {
    const row = this.row;
    if (!row) return;
    if (this.app.isAnswer(row, name)) this.decide("right");
    else this.decide(row.id !== null || row.class ? "other" : "right", name);
  }

  async #askClass() {
    const name = await this.app.askClass();
    if (name) this.decideClass(name);
  }

  step(by) {
    const { items } = this.app;
    const next = items.index(this.row?.key) + by;
    if (next >= 0 && next < items.total) this.app.go(items.keys[next]);
  }

  /** What was changed at the row shown and no decision has kept yet. */
  get draft() {
    return this.row ? readDraft(this.row.key) : {};
  }

  /** @returns {boolean} Whether the key meant something here. */
  key(event) {
    const verdict = { y: "right", n: "wrong", u: "unsure", s: "skip" }[event.key];
    const { keys } = this.app;
    if (verdict) this.decide(verdict);
    else if (keys.has(event.key)) this.decideClass(keys.get(event.key));
    else if (event.key === "ArrowRight" || event.key === "ArrowDown") this.step(1);
    else if (event.key === "ArrowLeft" || event.key === "ArrowUp") this.step(-1);
    else if (event.key === "c") this.#askClass();
    else return false;
    return true;
  }
}

// Edges and notes that no decision has kept yet; they outlive a reload.
const draftName = (key) => `review-draft ${key}`;

function readDraft(key) {
  return JSON.parse(sessionStorage.getItem(draftName(key)) ?? "{}");
}

function writeDraft(key, draft) {
  if (draft === null) sessionStorage.removeItem(draftName(key));
  else sessionStorage.setItem(draftName(key), JSON.stringify(draft));
}
