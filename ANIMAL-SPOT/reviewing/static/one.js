// One detection at a time: look, listen, press a key.

import { address } from "./address.js";
import { afterFrame, button, el, field, select } from "./dom.js";
import { STATES, classOf, clock, score, wallClock } from "./format.js";
import { SPEEDS, sound, speedName } from "./media.js";
import { sign, stepper } from "./parts.js";
import { Plot } from "./plot.js";
import { Single } from "./single.js";
import { khz } from "./words.js";

const BEFORE_S = 0.3; // sound starts this long before the call
const CONTEXTS = [0.1, 0.25, 0.5, 1, 2, 4, 8, 16];
const GAIN_STEP = 3;
const NEAREST = 8;

export class OneView extends Single {
  #range = null; // what is shown, in s; stays while edges are moved
  #heard = "";
  #controlsSay = "";

  constructor(app) {
    super(app);
    this.plot = new Plot({
      label: "Spectrogram",
      onBox: (box, finished) => this.boxMoved(box, finished),
      onClick: (seconds) => this.row && this.#load().play(seconds),
    });
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
          button("More like this", () => app.moreLike(this.row?.id ?? this.row?.key), { key: "m", class: "quiet" }),
          button("In the recording", () => app.openRecording(this.row), { key: "l", class: "quiet" }),
        ),
        el("div", { class: "box-list" }, el("h2", { text: "Decisions" }), this.past),
        el("div", { class: "box-list" }, el("h2", { text: "Close by" }), this.near),
      ),
    );
    app.player.addEventListener("time", () => this.el.isConnected && this.plot.playhead(app.player.time));
    app.player.addEventListener("change", () => this.#drawPlay());
    app.player.addEventListener("silent", () => app.say("Press space to listen."), { once: true });
  }

  clear() {
    this.app.player.stop();
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

  showRow(row, draft, isOther) {
    if (isOther || !this.#range) this.#range = row;
    this.plot.box = null;
    const shown = this.#shown(this.#range);
    const thing = this.plot.fetch(shown);
    const ready = this.plot.show(shown);
    this.plot.box = draft.box ?? boxOf(row);
    if (isOther) {
      this.plot.setOthers([]);
      this.plot.playhead(null);
    }
    if (thing.isReady) ready.then(() => afterFrame(() => this.row === row && this.#sound(row)));
    else this.#sound(row);
    return ready;
  }

  async fetch(row) {
    await this.plot.fetch(this.#shown(row)).ready;
    sound(this.#soundOf(row));
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

  drawDetails(details) {
    const near = nearest(details.neighbours ?? [], this.row);
    const link = (row) =>
      el(
        "li",
        {},
        button(`${clock(row.begin_s)}  ${classOf(row)}  ${score(row.score)}`, () => this.app.go(String(row.id)), { class: "link" }),
      );
    this.near.replaceChildren(...(near.length ? near.map(link) : [el("li", { class: "faint", text: "no other detection" })]));
    this.plot.setOthers(near.map((row) => ({ box: row, css: row.state, text: classOf(row), title: classOf(row) })));
  }

  drawFacts(row, draft) {
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
      this.details?.time?.begin_s ? el("time", { class: "numbers", text: wallClock(this.details.time.begin_s) }) : null,
    ];
    this.facts.replaceChildren(...facts.filter((fact) => fact));
  }

  drawControls() {
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
    else if (this.row) this.#load().play(Math.max(0, Math.min(this.row.begin_s - BEFORE_S, this.row.begin_s)));
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

  key(event) {
    if (super.key(event)) return true;
    if (event.key === " " && event.shiftKey) {
      if (this.row) this.#load().play(this.row.begin_s, this.row.end_s);
    } else if (event.key === " ") this.#toggle();
    else if (event.key === "+" || event.key === "=") this.#zoom(-1);
    else if (event.key === "-") this.#zoom(1);
    else if (event.key === "[") this.#gain(-1);
    else if (event.key === "]") this.#gain(1);
    else if (event.key === ",") this.#speed(-1);
    else if (event.key === ".") this.#speed(1);
    else if (event.key === "m") this.app.moreLike(this.row?.id ?? this.row?.key);
    else if (event.key === "l") this.app.openRecording(this.row);
    else if (event.key === "Home" && this.row) this.#load().play();
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
