// Forty crops at once: select many, decide with one key.

import { Cells } from "./cells.js";
import { button } from "./dom.js";
import { small } from "./pictures.js";

export class GridView extends Cells {
  constructor(app) {
    super(app, { label: "Prints", hint: "Click: mark. Ctrl-click: select." });
    this.el.classList.add("photos");
  }

  thumb(row) {
    return { picture: small(row), marks: [] };
  }

  moreVerdicts() {
    const { unknown, no_print: none } = this.app.project;
    const make = (name, label, key) => button(label, () => this.decide("other", name), { key, class: "verdict named" });
    return [make(unknown, "Unknown animal", "k"), make(none, "No print", "o")];
  }

  key(event) {
    if (super.key(event)) return true;
    const { unknown, no_print: none } = this.app.project;
    if (event.key === "k") this.decide("other", unknown);
    else if (event.key === "o") this.decide("other", none);
    else return false;
    return true;
  }
}
