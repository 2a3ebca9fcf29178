// Train anew with what was decided, and see what it brought.

import { button, el } from "./dom.js";
import { classOf, clock, count, interval, score } from "./format.js";
import { Gone, get, post } from "./server.js";

const AGAIN_MS = 1000;

export class RetrainView {
  #timer = 0;
  #spoken = "";

  constructor(app) {
    this.app = app;
    this.start = button("Retrain", () => this.#post({}), { class: "primary" });
    this.stop = button("Stop", () => this.#post({ stop: true }), { class: "quiet" });
    this.step = el("p", { class: "step" });
    this.meter = el("progress", { max: "1", "aria-label": "Progress of the training" });
    this.lines = el("pre", { class: "log", tabindex: "0", role: "region", "aria-label": "Messages of the training" });
    this.result = el("div", { class: "result" });
    this.el = el(
      "section",
      { class: "figures", "aria-label": "Retrain" },
      el("h1", { text: "Retrain with what was decided" }),
      el("p", {
        class: "faint",
        text: "Right and relabelled calls become training clips, wrong ones examples of noise. Test clips stay as they are. The model at hand is kept; a new one is written beside it.",
      }),
      el("div", { class: "controls" }, this.start, this.stop),
      this.step,
      this.meter,
      this.lines,
      this.result,
    );
  }

  async show() {
    clearTimeout(this.#timer);
    if (!this.el.isConnected) return;
    let now;
    try {
      now = await get("/api/retrain");
    } catch (error) {
      if (!(error instanceof Gone)) throw error;
      this.step.textContent = error.message;
      this.#timer = setTimeout(() => this.show(), AGAIN_MS);
      return;
    }
    this.#draw(now);
    if (now.state === "running") this.#timer = setTimeout(() => this.show(), AGAIN_MS);
  }

  async #post(body) {
    try {
      await this.app.outbox.empty();
      await post("/api/retrain", body);
    } catch (error) {
      this.app.say(error.message, true);
    }
    this.show();
  }

  #draw({ state, step = "", done = null, lines = [], error = null, result = null }) {
    const isRunning = state === "running";
    const hasModel = this.app.project.has_model;
    if (!hasModel && state === "idle") step = "No model was given: start again with --model MODEL.";
    this.start.disabled = isRunning || !hasModel;
    this.stop.hidden = !isRunning;
    this.meter.hidden = !isRunning;
    if (done === null) this.meter.removeAttribute("value");
    else this.meter.value = done;
    const words = state === "failed" ? `It failed: ${error ?? step}` : state === "done" ? this.#doneWords(result) : (step ?? "");
    this.step.textContent = words;
    if (words && words !== this.#spoken && state !== "idle") this.app.speak(words);
    this.#spoken = words;
    const text = lines.join("\n");
    this.lines.hidden = !text;
    if (this.lines.textContent !== text) {
      this.lines.textContent = text;
      this.lines.scrollTop = this.lines.scrollHeight;
    }
    this.result.replaceChildren(...(result ? this.#resultParts(result) : []));
  }

  #doneWords(result) {
    return typeof result?.round === "number" ? `Done: round ${result.round}.` : "Done.";
  }

  #resultParts({ round = null, model = null, sets = [], notes = [], gone = [], still = [], newly = [] }) {
    return [
      round === null ? null : el("h2", { text: `Result of round ${count(round)}` }),
      model === null ? null : el("p", { class: "new-model" }, "New model: ", el("code", { text: model })),
      notes.length ? el("ul", { class: "notes" }, ...notes.map((text) => el("li", { text }))) : null,
      ...sets.flatMap((set) => [
        el("h2", { text: set.name }),
        el(
          "table",
          {},
          el("thead", {}, el("tr", {}, ...["Measure", "Before", "After"].map((text) => el("th", { scope: "col", text })))),
          el(
            "tbody",
            {},
            ...set.rows.map((row) =>
              el(
                "tr",
                {},
                el("th", { scope: "row", text: row.measure }),
                el("td", { class: "numbers", text: interval(row.before) }),
                el("td", { class: "numbers", text: interval(row.after) }),
              ),
            ),
          ),
        ),
      ]),
      el("h2", { text: `Mistakes that are gone: ${count(gone.length)} of ${count(gone.length + still.length)}` }),
      this.#rows(gone),
      still.length ? el("h2", { text: "Still there" }) : null,
      still.length ? this.#rows(still) : null,
      newly.length ? el("h2", { text: "Made only by the new model" }) : null,
      newly.length ? this.#rows(newly) : null,
    ].filter((part) => part);
  }

  #rows(rows) {
    const link = (row) =>
      el("li", {}, button(`${this.app.nameOf(row)}  ${clock(row.begin_s)}  ${classOf(row)}  ${score(row.score)}`, () => this.app.openRow(row), { class: "link" }));
    return el("ul", { class: "rows" }, ...rows.slice(0, 200).map(link));
  }

  key() {
    return false;
  }
}
