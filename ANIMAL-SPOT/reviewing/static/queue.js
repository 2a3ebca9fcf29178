// The panel at the left of a review of sounds.

import { address } from "./address.js";
import { el } from "./dom.js";
import { classOf, clock, ending, score, stem } from "./format.js";
import { Panel } from "./panel.js";
import { ORDERS, SOURCES } from "./words.js";

const NAME_LETTERS = 12; // of a recording, in a row

export class QueuePanel extends Panel {
  filterRows() {
    const { project, recordings } = this.app;
    const source = address.get("src");
    const any = ["", "all"];
    const sources = SOURCES.filter(([name]) => name !== "like" || source === "like");
    const rows = [this.choice("src", "Show", sources)];
    if (source === "detections") rows.push(...this.classFilters(project.classes));
    if (source !== "like") {
      if (project.sites.length) rows.push(this.choice("site", "Site", [any, ...project.sites.map((site) => [site, site])]));
      rows.push(this.choice("rec", "Recording", [any, ...recordings.map((r) => [String(r.id), r.name])]));
    }
    if (source === "detections") rows.push(...this.commonFilters(ORDERS, Boolean(project.starts)));
    if (source === "windows") rows.push(this.number("len", "Window, s", { min: "0.1" }));
    return rows;
  }

  describe(row) {
    return [
      el("span", { class: "name", text: row.class || row.label ? classOf(row) : "–" }),
      el("span", { class: "numbers", text: score(row.score) }),
      el("span", { class: "file", title: this.app.nameOf(row), text: ending(stem(this.app.nameOf(row)), NAME_LETTERS) }),
      el("span", { class: "numbers", text: clock(row.begin_s) }),
    ];
  }
}
