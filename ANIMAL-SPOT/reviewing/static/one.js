// One detection at a time: look, listen, press a key.

import { address } from "./address.js";
import { afterFrame, button, el, field, select } from "./dom.js";
import { STATES, classOf, clock, khz, score, wallClock } from "./format.js";
import { SPEEDS, sound, speedName } from "./media.js";
import { sign, stepper } from "./parts.js";
import { Plot } from "./plot.js";
import { get } from "./server.js";

const AHEAD = 5; // rows whose picture and sound are fetched before they are wanted
const BEFORE_S = 0.3; // sound starts this long before the call
const DETAILS_MS = 120; // who hurries through the rows needs no details
const CONTEXTS = [0.1, 0.25, 0.5, 1, 2, 4, 8, 16];
const GAIN_STEP = 3;
const NEAREST = 8;

export class OneView {
  #row = null;
  #range = null; // what is shown, in s; stays while edges are moved
  #details = null;
  #timer = 0;
  #heard = "";
  #controlsSay = "";
  #verdictsSay = "";

  constructor(app) {
    this.app = app;
    this.plot = new Plot({
      label: "Spectrogram",
      onBox: (box, finished) => this.#boxMoved(box, finished),
      onClick: (seconds) => this.#row && this.#load().play(seconds),
    });
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
    this.near = el("ul", { class: "near" });
    this.play = button("Play", () => this.#toggle(), { key: "Space", class: "quiet" });
    this.controls = el("div", { class: "controls", role: "group", "aria-label": "Sound and picture" });
    this.el = el(
      "section",
      { class: "one", "aria-label": "One detection" },
      this.facts,
      el("div", { class: "stage" }, this.plot.el),
      this.controls,
      this.verdicts,
      this.end,
      el(
        "div",
        { class: "below" },
        field("Note", this.note, { class: "field wide" }),
        el("div", { class: "links" },
          button("More like this", () => app.moreLike(this.#row?.id ?? this.#row?.key), { key: "m", class: "quiet" }),
          button("In the recording", () => app.openRecording(this.#row), { key: "l", class: "quiet" }),
        ),
        el("div", { class: "box-list" }, el("h2", { text: "Decisions" }), this.past),
        el("div", { class: "box-list" }, el("h2", { text: "Close by" }), this.near),
      ),
    );
    this.empty = el("p", { class: "notice" });
    app.player.addEventListener("time", () => this.el.isConnected && this.plot.playhead(app.player.time));
    app.player.addEventListener("change", () => this.#drawPlay());
    app.player.addEventListener("silent", () => app.say("Press space to listen."), { once: true });
  }

  /** Show the row that the address names; the first undecided one if it names none. */
  async show() {
    const { items } = this.app;
    this.#drawControls();
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
    const other = this.#row?.key !== key;
    this.#row = row;
    if (other) this.#details = null;
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
    this.#row = null;
    this.app.player.stop();
    this.el.classList.add("nothing");
    this.end.hidden = false;
    this.end.textContent = this.app.items.note || "Nothing in this queue. Change the filter at the left.";
  }

  #stretch(row) {
    const context = address.number("context");
    return { recording: row.recording, from: row.begin_s - context, to: row.end_s + context };
  }

  #shown(row) {
    return { ...this.#stretch(row), ...this.app.band(), gain: address.number("gain") };
  }

  #soundOf(row) {
    const { recording, from, to } = this.#stretch(row);
    const duration = this.app.recording(recording)?.duration_s ?? to;
    return { recording, from: Math.max(0, from), to: Math.min(duration, to), speed: address.number("speed") };
  }

  #showRow(isOther) {
    const row = this.#row;
    const draft = readDraft(row.key);
    if (isOther || !this.#range) this.#range = row;
    this.plot.box = null;
    const shown = this.#shown(this.#range);
    const thing = this.plot.fetch(shown);
    const ready = this.plot.show(shown);
    this.plot.box = draft.box ?? boxOf(row);
    this.app.pictureShown(ready);
    if (isOther) {
      this.plot.setOthers([]);
      this.plot.playhead(null);
    }
    this.#drawFacts(row, draft);
    this.#drawVerdicts(row);
    if (document.activeElement !== this.note) this.note.value = draft.note ?? row.note ?? "";
    this.end.hidden = this.app.items.left > 0 || row.state === "open";
    this.end.textContent = "All of this queue is decided. Choose another one, look at the figures, or export.";
    if (thing.isReady) ready.then(() => afterFrame(() => this.#row === row && this.#sound(row)));
    else this.#sound(row);
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#later(row), DETAILS_MS);
    ready.then(() => this.#fetchAhead());
  }

  /** Make the sound of what is shown ready. */
  #load() {
    this.app.player.load(this.#soundOf(this.#range));
    return this.app.player;
  }

  #sound(row) {
    const stretch = this.#soundOf(row);
    const heard = JSON.stringify([row.key, stretch.speed]);
    const { player } = this.app;
    this.#load();
    if (address.get("auto") === "1" && heard !== this.#heard) {
      player.play(Math.max(stretch.from, row.begin_s - BEFORE_S));
    }
    this.#heard = heard;
  }

  async #fetchAhead() {
    const { items } = this.app;
    const here = items.index(this.#row?.key);
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
      await this.plot.fetch(this.#shown(row)).ready;
      sound(this.#soundOf(row));
    }
  }

  /** What is asked for only when somebody stays at a row. */
  async #later(row) {
    if (row.id === null) {
      this.#drawDetails({ decisions: [], neighbours: [], time: null });
      return;
    }
    try {
      const details = await get(`/api/detection/${row.id}`, { reviewer: address.get("reviewer") });
      if (this.#row?.key === row.key) this.#drawDetails(details);
    } catch (error) {
      this.app.trouble(error);
    }
  }

  #drawDetails(details) {
    this.#details = details;
    this.#drawFacts(this.#row, readDraft(this.#row.key));
    if (details.note && document.activeElement !== this.note && !readDraft(this.#row.key).note) this.note.value = details.note;
    const line = (d) =>
      el(
        "li",
        { class: d.undone ? "undone" : "" },
        sign(d.verdict),
        el("span", { text: [d.reviewer, d.verdict === "other" ? d.class : STATES[d.verdict].text, d.note].filter(Boolean).join(": ") }),
        el("time", { text: wallClock(d.at).slice(0, 16) }),
      );
    // What others said is shown once the reviewer has decided: two shall judge independently.
    const isOpen = this.app.items.stateOf(this.#row.key) === "open";
    const own = (d) => d.reviewer === address.get("reviewer");
    const decisions = details.decisions.filter((d) => !isOpen || own(d));
    this.past.replaceChildren(...(decisions.length ? decisions.map(line) : [el("li", { class: "faint", text: "none yet" })]));
    const near = nearest(details.neighbours, this.#row);
    const link = (row) =>
      el(
        "li",
        {},
        button(`${clock(row.begin_s)}  ${classOf(row)}  ${score(row.score)}`, () => this.app.go(String(row.id)), { class: "link" }),
      );
    this.near.replaceChildren(...(near.length ? near.map(link) : [el("li", { class: "faint", text: "no other detection" })]));
    this.plot.setOthers(near.map((row) => ({ box: row, css: row.state, text: classOf(row), title: classOf(row) })));
  }

  #drawFacts(row, draft) {
    const box = draft.box ?? row;
    const recording = this.app.recording(row.recording);
    const state = this.app.items.stateOf(row.key);
    const facts = [
      el("strong", { class: "class-name", text: classOf(row) }),
      row.state === "other" && row.class ? el("s", { class: "faint", text: row.class }) : null,
      row.score === null ? null : el("span", { class: "score", title: "score", text: score(row.score) }),
      el("span", { class: `state ${state}` }, sign(state), el("span", { text: STATES[state].text })),
      draft.box ? el("span", { class: "state edited", text: "edges moved: a decision keeps them" }) : null,
      el("span", { class: "gap" }),
      el("span", { class: "file", title: this.app.nameOf(row), text: this.app.nameOf(row) }),
      el("span", { class: "numbers", text: `${clock(box.begin_s, 2)} – ${clock(box.end_s, 2)}` }),
      box.low_hz === null || box.high_hz === null ? null : el("span", { class: "numbers", text: `${khz(Math.round(box.low_hz / 100) * 100)} – ${khz(Math.round(box.high_hz / 100) * 100)} kHz` }),
      recording?.site ? el("span", { text: recording.site }) : null,
      this.#details?.time?.begin_s ? el("time", { class: "numbers", text: wallClock(this.#details.time.begin_s) }) : null,
    ];
    this.facts.replaceChildren(...facts.filter((fact) => fact));
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
      button("Undo", () => this.app.undo(), { key: "z", class: "quiet" }),
      el("span", { class: "rule" }),
      ...classes,
      button("Class …", () => this.#askClass(), { key: "c", class: "verdict named" }),
    );
    this.verdicts.firstChild.disabled = !row.class;
  }

  #drawControls() {
    const says = ["speed", "auto", "context", "gain", "low", "high"].map((name) => address.get(name)).join() + this.app.band().high;
    if (says === this.#controlsSay) return;
    this.#controlsSay = says;
    const low = el("input", { type: "number", min: "0", step: "any", "aria-label": "Lowest frequency shown, in kHz", on: { change: () => address.set({ low: Math.max(0, low.value * 1000) }) } });
    const high = el("input", { type: "number", min: "0", step: "any", "aria-label": "Highest frequency shown, in kHz", on: { change: () => address.set({ high: high.value === "" ? "" : high.value * 1000 }) } });
    const band = this.app.band();
    low.value = band.low / 1000;
    high.value = band.high / 1000;
    const auto = el("input", { type: "checkbox", on: { change: () => address.set({ auto: auto.checked ? "1" : "0" }) } });
    auto.checked = address.get("auto") === "1";
    const focused = document.activeElement?.getAttribute("aria-label");
    this.controls.replaceChildren(
      this.play,
      field("Speed", select(SPEEDS.map((s) => [s, speedName(s)]), address.number("speed"), (v) => address.set({ speed: v }), { "aria-label": "Speed of the sound" }), { title: "Keys , and ." }),
      el("label", { class: "check" }, auto, el("span", { text: "Plays by itself" })),
      el("span", { class: "rule" }),
      stepper("Context", `${address.get("context")} s`, () => this.#zoom(-1), () => this.#zoom(1), ["+", "-"], ["Less context", "More context"]),
      stepper("Gain", `${address.get("gain")} dB`, () => this.#gain(-1), () => this.#gain(1), ["[", "]"], ["Less gain", "More gain"]),
      el("span", { class: "field" }, el("span", { text: "Band" }), low, el("span", { text: "to" }), high, el("span", { text: "kHz" })),
    );
    if (focused) this.controls.querySelector(`[aria-label="${CSS.escape(focused)}"]`)?.focus();
  }

  #drawPlay() {
    this.play.firstChild.textContent = this.app.player.isPlaying ? "Stop" : "Play";
  }

  #toggle() {
    const { player } = this.app;
    if (player.isPlaying) player.stop();
    else if (this.#row) this.#load().play(Math.max(0, Math.min(this.#row.begin_s - BEFORE_S, this.#row.begin_s)));
  }

  #zoom(direction) {
    const now = address.number("context");
    const wanted = direction > 0 ? CONTEXTS.find((c) => c > now) : CONTEXTS.findLast((c) => c < now);
    if (wanted !== undefined) address.set({ context: wanted });
  }

  #gain(direction) {
    const wanted = address.number("gain") + direction * GAIN_STEP;
    if (Math.abs(wanted) <= 60) address.set({ gain: wanted });
  }

  #speed(direction) {
    const now = address.number("speed");
    const wanted = direction > 0 ? SPEEDS.find((s) => s > now) : SPEEDS.findLast((s) => s < now);
    if (wanted === undefined) return;
    address.set({ speed: wanted });
    this.app.say(`Speed ${speedName(wanted)}`);
  }

  #boxMoved(box, finished) {
    const row = this.#row;
    writeDraft(row.key, { ...readDraft(row.key), box });
    this.#drawFacts(row, readDraft(row.key));
    const state = this.app.items.stateOf(row.key);
    if (finished && !["open", "skip"].includes(state)) this.#again(state);
  }

  #noteChanged() {
    const row = this.#row;
    if (!row) return;
    writeDraft(row.key, { ...readDraft(row.key), note: this.note.value });
    const state = this.app.items.stateOf(row.key);
    if (!["open", "skip"].includes(state)) this.#again(state);
  }

  /** Keep what was changed at a row that is decided already: the same verdict once more. */
  #again(state) {
    const row = this.#row;
    if (this.#decide(state, state === "other" ? row.label : undefined)) this.app.say("Kept.");
  }

  #decide(verdict, name) {
    const row = this.#row;
    const draft = readDraft(row.key);
    const note = draft.note ?? (document.activeElement === this.note ? this.note.value : "");
    const done = this.app.judge.decide([row.key], verdict, { class: name, box: draft.box, note });
    if (done) writeDraft(row.key, null);
    return done;
  }

  /** Decide on the row shown, and go to the next one. */
  decide(verdict, name = undefined) {
    const row = this.#row;
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
    const row = this.#row;
    if (!row) return;
    if (row.class === name) this.decide("right");
    else this.decide(row.id !== null || row.class ? "other" : "right", name);
  }

  async #askClass() {
    const name = await this.app.askClass();
    if (name) this.decideClass(name);
  }

  #step(by) {
    const { items } = this.app;
    const next = items.index(this.#row?.key) + by;
    if (next >= 0 && next < items.total) this.app.go(items.keys[next]);
  }

  /** @returns {boolean} Whether the key meant something here. */
  key(event) {
    const verdict = { y: "right", n: "wrong", u: "unsure", s: "skip" }[event.key];
    const { keys } = this.app;
    if (verdict) this.decide(verdict);
    else if (keys.has(event.key)) this.decideClass(keys.get(event.key));
    else if (event.key === " " && event.shiftKey) {
      if (this.#row) this.#load().play(this.#row.begin_s, this.#row.end_s);
    } else if (event.key === " ") this.#toggle();
    else if (event.key === "ArrowRight" || event.key === "ArrowDown") this.#step(1);
    else if (event.key === "ArrowLeft" || event.key === "ArrowUp") this.#step(-1);
    else if (event.key === "+" || event.key === "=") this.#zoom(-1);
    else if (event.key === "-") this.#zoom(1);
    else if (event.key === "[") this.#gain(-1);
    else if (event.key === "]") this.#gain(1);
    else if (event.key === ",") this.#speed(-1);
    else if (event.key === ".") this.#speed(1);
    else if (event.key === "c") this.#askClass();
    else if (event.key === "m") this.app.moreLike(this.#row?.id ?? this.#row?.key);
    else if (event.key === "l") this.app.openRecording(this.#row);
    else if (event.key === "Home" && this.#row) this.#load().play();
    else return false;
    return true;
  }
}

/** The rows closest to another one, in the order of their times. */
function nearest(rows, row) {
  const away = (other) => Math.abs(other.begin_s - row.begin_s);
  return [...rows].sort((a, b) => away(a) - away(b)).slice(0, NEAREST).sort((a, b) => a.begin_s - b.begin_s);
}

const boxOf = ({ begin_s, end_s, low_hz, high_hz }) => ({ begin_s, end_s, low_hz, high_hz });

// Edges and notes that no decision has kept yet; they outlive a reload.
const draftName = (key) => `review-draft ${key}`;

function readDraft(key) {
  return JSON.parse(sessionStorage.getItem(draftName(key)) ?? "{}");
}

function writeDraft(key, draft) {
  if (draft === null) sessionStorage.removeItem(draftName(key));
  else sessionStorage.setItem(draftName(key), JSON.stringify(draft));
}
