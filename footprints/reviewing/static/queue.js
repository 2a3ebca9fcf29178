// The panel at the left of a review of photos.

import { el } from "./dom.js";
import { classOf, count, ending, score, stem } from "./format.js";
import { Panel } from "./panel.js";
import { ORDERS } from "./words.js";

const NAME_LETTERS = 18; // of a photo, in a row

export class QueuePanel extends Panel {
  filterRows() {
    const { project } = this.app;
    const any = ["", "all"];
    const unknown = { name: project.unknown, n: project.totals.classes[project.unknown] ?? 0 };
    const rows = this.classFilters([...project.classes, unknown]);
    if (project.folders.length > 1) rows.push(this.choice("folder", "Folder", [any, ...project.folders.map((name) => [name || ".", name || "(top)"])]));
    if (project.trails.length) rows.push(this.choice("trail", "Trail", [any, ...project.trails.map((name) => [name, name])]));
    rows.push(...this.commonFilters(ORDERS, Boolean(project.starts)));
    if (project.unread) rows.push(el("p", { class: "faint", text: `The times of ${count(project.unread)} photos are still being read.` }));
    return rows;
  }

  describe(row) {
    return [
      el("span", { class: "name", text: row.class || row.label ? classOf(row) : "–" }),
      el("span", { class: "numbers", text: score(row.score) }),
      el("span", { class: "file", title: row.name, text: ending(stem(row.name), NAME_LETTERS) }),
    ];
  }
}
