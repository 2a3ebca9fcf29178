// How far the numbers can be trusted, and how far reviewers agree.

import { address } from "./address.js";
import { bar, curve } from "./chart.js";
import { button, el } from "./dom.js";
import { count, interval, score } from "./format.js";
import { Gone, Locked, get } from "./server.js";
import { NOUNS } from "./words.js";

export class StatisticsView {
  constructor(app) {
    this.app = app;
    this.el = el("section", { class: "figures", "aria-label": "Figures" });
  }

  async show() {
    const chosen = address.get("class");
    if (!this.el.firstChild) this.el.append(el("p", { class: "faint", text: "Computing …" }));
    const why = (error) => {
      if (error instanceof Gone || error instanceof Locked) throw error;
      return { error: error.message };
    };
    const [{ classes = [], error }, { pairs }] = await Promise.all([get("/api/statistics").catch(why), get("/api/agreement")]);
    const one = classes.find((c) => c.class === chosen) ?? classes[0];
    this.el.replaceChildren(
      el("h1", { text: "How far can it be trusted?" }),
      el("p", {
        class: "faint",
        text: "From all rows of the model that were decided, whatever their order. Intervals hold the truth in 95 of 100 cases if the order was “sample over score bins” or “at random”.",
      }),
      classes.length ? this.#table(classes, one) : el("p", { text: error ?? "No class yet." }),
      reasons(classes) ?? el("p"),
      one ? this.#details(one) : el("p"),
      el("h2", { text: "Agreement of reviewers" }),
      this.#agreement(pairs),
    );
  }

  #table(classes, one) {
    const heads = ["Class", NOUNS.many, "Reviewed", "Right", "Precision", "", NOUNS.right, "Reviews to halve the interval"];
    const row = (c) =>
      el(
        "tr",
        { "aria-current": c === one ? "true" : null },
        el("th", { scope: "row" }, button(c.class, () => address.set({ class: c.class }), { class: "link" })),
        number(count(c.detections)),
        number(count(c.reviewed)),
        number(count(c.right)),
        number(interval(c.precision)),
        el("td", {}, c.precision ? bar(c.precision) : null),
        number(interval(c.true_calls, 0)),
        number(count(c.more)),
      );
    return el(
      "div",
      { class: "scroll", tabindex: "0", role: "region", "aria-label": "Figures of the classes" },
      el(
        "table",
        {},
        el("thead", {}, el("tr", {}, ...heads.map((text) => (text ? el("th", { scope: "col", text }) : el("td"))))),
        el("tbody", {}, ...classes.map(row)),
      ),
    );
  }

  #details(c) {
    const wanted = (c.wanted ?? []).filter((w) => w.threshold !== null);
    const charts = [];
    if (c.curve?.some(isKnown)) charts.push(curve("Precision of what is above a threshold", c.curve.map((p) => ({ ...p, x: p.threshold })), "threshold"));
    if (c.logistic?.length) charts.push(curve("Chance of being right at a score", c.logistic.map((p) => ({ ...p, x: p.score })), "score"));
    return el(
      "div",
      { class: "details" },
      el("h2", { text: c.class }),
      c.threshold === null || c.threshold === undefined
        ? null
        : el("p", { text: `${c.threshold_given ? "Present threshold" : "Lowest score found"}: ${score(c.threshold)}` }),
      wanted.length
        ? el(
            "ul",
            {},
            ...wanted.map((w) =>
              el("li", { text: `For a precision of ${w.precision}: threshold ${interval({ value: w.threshold, low: w.low, high: w.high }, 3)}` }),
            ),
          )
        : null,
      charts.length ? el("div", { class: "charts" }, ...charts) : null,
    );
  }

  #agreement(pairs) {
    if (!pairs.length) return el("p", { class: "faint", text: "No two reviewers have judged the same rows yet." });
    const heads = ["Reviewers", "Judged by both", "The same", "Cohen’s kappa", "They differ in"];
    return el(
      "table",
      {},
      el("thead", {}, el("tr", {}, ...heads.map((text) => el("th", { scope: "col", text })))),
      el(
        "tbody",
        {},
        ...pairs.map((p) =>
          el(
            "tr",
            {},
            el("th", { scope: "row", text: `${p.a} and ${p.b}` }),
            number(count(p.both)),
            number(count(p.same)),
            number(interval({ value: p.kappa, low: p.low, high: p.high })),
            el("td", {}, ...this.#differing(p.differ ?? [])),
          ),
        ),
      ),
    );
  }

  #differing(ids) {
    const most = 12;
    const links = ids.slice(0, most).map((id) => button(String(id), () => this.app.openRow({ id }), { class: "link", "aria-label": `${NOUNS.one} ${id}` }));
    return ids.length > most ? [...links, ` and ${count(ids.length - most)} more`] : links;
  }

  key() {
    return false;
  }
}

/** Whether a point of a curve says more than that the precision lies between 0 and 1. */
const isKnown = ({ value, low, high }) => value !== null || low > 0 || high < 1;

/** What a reader of the figures must know, of all classes: a class that is not opened has it too. */
function reasons(classes) {
  const lines = classes.flatMap((c) => (c.reasons ?? []).map((text) => el("li", { text: `${c.class}: ${text}` })));
  return lines.length ? el("ul", { class: "reasons" }, ...lines) : null;
}

const number = (text) => el("td", { class: "numbers", text });
