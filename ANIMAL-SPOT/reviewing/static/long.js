// A whole recording, page by page: see what was found, mark what was missed.

import { address } from "./address.js";
import { button, el, field, select } from "./dom.js";
import { STATES, classOf, clock } from "./format.js";
import { speedName } from "./media.js";
import { stepper } from "./parts.js";
import { Plot } from "./plot.js";
import { stretchKey } from "./sound_items.js";
import { get } from "./server.js";
import { khz } from "./words.js";

const LINES = [1, 2, 3, 4, 6];
const LENGTHS = [1, 2, 5, 10, 15, 30, 60, 120];
const LONGEST_SOUND_S = 300;
const GAIN_STEP = 3;

export class LongView {
  #recording = null;
  #plots = [];
  #rows = [];
  #cursor = 0; // s
  #begun = null; // s, where the mark begins that the keyboard makes
  #mark = null; // {begin_s, end_s, low_hz, high_hz}: a call about to be added
  #line = 0; // which the mark is on
  #abort = null;

  constructor(app) {
    this.app = app;
    this.controls = el("div", { class: "controls", role: "group", "aria-label": "What is shown" });
    this.lines = el("div", { class: "lines" });
    this.position = el("input", {
      type: "range",
      min: "0",
      step: "1",
      "aria-label": "Place in the recording",
      on: { input: () => address.set({ at: this.position.value }) },
    });
    this.form = el("div", { class: "verdicts", role: "group", "aria-label": "New call" });
    this.el = el(
      "section",
      { class: "long", "aria-label": "Whole recording" },
      this.controls,
      this.lines,
      this.position,
      this.form,
    );
    app.player.addEventListener("time", () => this.#drawPlayhead(app.player.time));
  }

  async show() {
    const { recordings } = this.app;
    this.#recording = this.app.recording(address.get("file")) ?? recordings[0] ?? null;
    if (!this.#recording) {
      this.form.replaceChildren(el("p", { class: "notice", text: "There is no recording." }));
      return;
    }
    const at = this.#at();
    const page = this.#pageLength();
    if (this.#cursor < at || this.#cursor >= at + page) this.#cursor = at;
    this.#drawControls();
    this.#drawLines();
    this.#drawForm();
    this.#drawPlayhead(this.#cursor);
    const { id, duration_s } = this.#recording;
    const to = Math.min(duration_s, at + page, at + LONGEST_SOUND_S);
    this.app.player.load({ recording: id, from: at, to, speed: address.number("speed") });
    await this.#loadRows();
  }

  #at() {
    return Math.max(0, Math.min(address.number("at") || 0, Math.max(0, this.#recording.duration_s - 0.1)));
  }

  #pageLength() {
    return address.number("lines") * address.number("line");
  }

  async #loadRows() {
    this.#abort?.abort();
    this.#abort = new AbortController();
    const begin = this.#at();
    const params = { recording: this.#recording.id, from: begin, to: begin + this.#pageLength(), reviewer: address.get("reviewer") };
    try {
      const { rows } = await get("/api/near", params, this.#abort.signal);
      this.#rows = rows;
      this.#drawRows();
    } catch (error) {
      if (error.name !== "AbortError") this.app.trouble(error);
    }
  }

  #drawControls() {
    const { recordings } = this.app;
    const move = (by) => () => this.#turn(by);
    const change = (name, choices) => (by) => {
      const now = address.number(name);
      const wanted = by > 0 ? choices.find((c) => c > now) : choices.findLast((c) => c < now);
      if (wanted !== undefined) address.set({ [name]: wanted });
    };
    this.changeLength = change("line", LENGTHS);
    const changeLines = change("lines", LINES);
    const { duration_s } = this.#recording;
    const at = this.#at();
    const focused = document.activeElement?.getAttribute("aria-label");
    this.controls.replaceChildren(
      field("Recording", select(recordings.map((r) => [String(r.id), r.name]), String(this.#recording.id), (id) => address.set({ file: id, at: 0 }, { push: true }), { "aria-label": "Recording" })),
      button("Earlier", move(-1), { key: "PageUp", class: "quiet" }),
      el("span", { class: "numbers", text: `${clock(at, 0)} – ${clock(Math.min(duration_s, at + this.#pageLength()), 0)} of ${clock(duration_s, 0)}` }),
      button("Next", move(1), { key: "PageDown", class: "quiet" }),
      button("Play", () => this.#toggle(), { key: "Space", class: "quiet" }),
      el("span", { class: "rule" }),
      stepper("Line", `${address.get("line")} s`, () => this.changeLength(-1), () => this.changeLength(1), ["+", "-"], ["Shorter lines", "Longer lines"]),
      stepper("Lines", address.get("lines"), () => changeLines(-1), () => changeLines(1), ["", ""], ["Fewer lines", "More lines"]),
      stepper("Gain", `${address.get("gain")} dB`, () => this.#gain(-1), () => this.#gain(1), ["[", "]"], ["Less gain", "More gain"]),
      el("span", { class: "faint", text: address.get("speed") === "1" ? "" : `speed ${speedName(address.number("speed"))}` }),
    );
    if (focused) this.controls.querySelector(`[aria-label="${CSS.escape(focused)}"]`)?.focus();
    this.position.max = String(Math.max(0, Math.floor(duration_s - 1)));
    this.position.value = String(at);
    this.position.setAttribute("aria-valuetext", clock(at, 0));
  }

  #drawLines() {
    const n = address.number("lines");
    while (this.#plots.length < n) {
      const line = this.#plots.length;
      this.#plots.push(
        new Plot({
          label: `Line ${line + 1}`,
          onClick: (seconds) => this.#clicked(seconds),
          onDrag: (box) => this.#drawn(box, line),
          onBox: (box) => {
            this.#mark = box;
            this.#drawForm();
          },
        }),
      );
    }
    const shown = this.#plots.slice(0, n);
    if (this.lines.childElementCount !== n) this.lines.replaceChildren(...shown.map((plot) => plot.el));
    const length = address.number("line");
    shown.forEach((plot, i) => {
      const from = this.#at() + i * length;
      const isThere = from < this.#recording.duration_s;
      plot.el.classList.toggle("beyond", !isThere);
      const place = { recording: this.#recording.id, from, to: from + length };
      if (isThere) this.app.pictureShown(plot.show({ ...place, ...this.app.band(), gain: address.number("gain") }));
      plot.box = this.#mark && this.#line === i && isThere ? this.#mark : null;
    });
    this.#drawRows();
  }

  #drawRows() {
    const length = address.number("line");
    this.#plots.slice(0, address.number("lines")).forEach((plot, i) => {
      const from = this.#at() + i * length;
      if (from >= this.#recording.duration_s) return;
      const inside = this.#rows.filter((row) => row.end_s > from && row.begin_s < from + length);
      plot.setOthers(
        inside.map((row) => ({
          box: row,
          css: row.state,
          text: `${STATES[row.state].sign} ${classOf(row)}`,
          title: `${classOf(row)}, ${STATES[row.state].text}, ${clock(row.begin_s)}`,
          action: () => this.app.openRow(row),
        })),
      );
    });
  }

  #drawPlayhead(seconds) {
    if (!this.el.isConnected || !this.#recording) return;
    this.#cursor = seconds;
    const length = address.number("line");
    const line = Math.floor((seconds - this.#at()) / length);
    this.#plots.forEach((plot, i) => plot.playhead(i === line ? seconds : null));
  }

  #drawForm() {
    if (!this.#mark) {
      const words = this.#begun === null
        ? "Drag over a call that was missed. By keyboard: arrows move the line, b begins a mark, arrows, Enter ends it."
        : `The mark begins at ${clock(this.#begun, 2)}: arrows, then Enter. Esc takes it back.`;
      this.form.replaceChildren(el("span", { class: "faint", text: words }), el("span", { class: "gap" }), button("Undo", () => this.app.undo(), { key: "z", class: "quiet" }));
      return;
    }
    const { begin_s, end_s, low_hz, high_hz } = this.#mark;
    const band = low_hz === null ? "" : `, ${khz(Math.round(low_hz / 100) * 100)} – ${khz(Math.round(high_hz / 100) * 100)} kHz`;
    const focused = this.form.contains(document.activeElement);
    this.form.replaceChildren(
      el("strong", { text: "New call" }),
      el("span", { class: "numbers", text: `${clock(begin_s, 2)} – ${clock(end_s, 2)}${band}` }),
      el("span", { class: "rule" }),
      ...[...this.app.keys].map(([key, name]) => button(name, () => this.#add(name), { key, class: "verdict named", title: name })),
      button("Class …", () => this.#askClass(), { key: "c", class: "verdict named" }),
      el("span", { class: "gap" }),
      button("Listen", () => this.#hearMark(), { key: "Space", class: "quiet" }),
      button("More like this", () => this.#moreLike(), { key: "m", class: "quiet" }),
      button("Discard", () => this.#discard(), { key: "Esc", class: "quiet" }),
    );
    if (focused) this.form.querySelector("button")?.focus();
  }

  #clicked(seconds) {
    this.app.player.play(seconds);
    this.#drawPlayhead(seconds);
  }

  #drawn(box, line) {
    this.#mark = { ...box, end_s: Math.min(box.end_s, this.#recording.duration_s) };
    this.#line = line;
    this.#begun = null;
    this.#drawLines();
    this.#drawForm();
    this.app.say("New call: choose its class.");
  }

  async #add(name) {
    const recording = this.#recording.id;
    const body = { recording, ...this.#mark, class: name, source: "missed", reviewer: address.get("reviewer") };
    const shown = { ...this.#mark, id: null, class: name, state: "right", label: null };
    this.#discard();
    this.#rows = [...this.#rows, shown];
    this.#drawRows();
    this.app.say(`Added: ${name}`);
    try {
      await this.app.outbox.add("/api/add", body);
      this.app.queueGrew();
    } catch (error) {
      this.app.say(`Not kept: ${error.message}`, true);
    }
    this.#loadRows();
  }

  async #askClass() {
    const name = await this.app.askClass();
    if (name) this.#add(name);
  }

  #discard() {
    this.#mark = null;
    this.#begun = null;
    this.#plots.forEach((plot) => (plot.box = null));
    this.#drawForm();
  }

  #hearMark() {
    this.app.player.play(this.#mark.begin_s, this.#mark.end_s);
  }

  #moreLike() {
    const { begin_s, end_s } = this.#mark;
    this.app.moreLike(stretchKey(this.#recording.id, begin_s, end_s));
  }

  #toggle() {
    const { player } = this.app;
    if (player.isPlaying) player.stop();
    else if (this.#mark) this.#hearMark();
    else player.play(this.#cursor);
  }

  #turn(by) {
    const at = this.#at() + by * this.#pageLength();
    if (at < this.#recording.duration_s) address.set({ at: Math.max(0, Number(at.toFixed(3))) }, { push: true });
  }

  #gain(by) {
    address.set({ gain: address.number("gain") + by * GAIN_STEP });
  }

  #moveCursor(by) {
    const { duration_s } = this.#recording;
    const cursor = Math.max(0, Math.min(duration_s, this.#cursor + by));
    if (cursor < this.#at()) this.#turn(-1);
    else if (cursor >= this.#at() + this.#pageLength()) this.#turn(1);
    this.#drawPlayhead(cursor);
  }

  #endMark() {
    const [begin_s, end_s] = [Math.min(this.#begun, this.#cursor), Math.max(this.#begun, this.#cursor)];
    if (end_s - begin_s < 0.01) {
      this.app.say("Move the line before the mark ends.");
      return;
    }
    const line = Math.floor((begin_s - this.#at()) / address.number("line"));
    this.#drawn({ begin_s, end_s, low_hz: null, high_hz: null }, Math.max(0, line));
    this.form.querySelector("button")?.focus();
  }

  /** What was added or taken back is drawn anew. */
  refresh() {
    return this.#loadRows();
  }

  /** @returns {boolean} Whether the key meant something here. */
  key(event) {
    const step = (address.number("line") / 100) * (event.shiftKey ? 10 : 1);
    const length = address.number("line");
    if (this.#mark && this.app.keys.has(event.key)) this.#add(this.app.keys.get(event.key));
    else if (this.#mark && event.key === "c") this.#askClass();
    else if (this.#mark && event.key === "m") this.#moreLike();
    else if (event.key === "Escape") this.#discard();
    else if (event.key === " ") this.#toggle();
    else if (event.key === "ArrowRight") this.#moveCursor(step);
    else if (event.key === "ArrowLeft") this.#moveCursor(-step);
    else if (event.key === "ArrowDown") this.#moveCursor(length);
    else if (event.key === "ArrowUp") this.#moveCursor(-length);
    else if (event.key === "PageDown") this.#turn(1);
    else if (event.key === "PageUp") this.#turn(-1);
    else if (event.key === "Home") address.set({ at: 0 });
    else if (event.key === "+" || event.key === "=") this.changeLength(-1);
    else if (event.key === "-") this.changeLength(1);
    else if (event.key === "[") this.#gain(-1);
    else if (event.key === "]") this.#gain(1);
    else if (event.key === "b" && !this.#mark) {
      this.#begun = this.#cursor;
      this.#drawForm();
    } else if (event.key === "Enter" && this.#begun !== null) this.#endMark();
    else return false;
    return true;
  }
}
