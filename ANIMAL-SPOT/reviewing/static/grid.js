// Forty small spectrograms: listen, select many, decide with one key.

import { address } from "./address.js";
import { Cells } from "./cells.js";
import { el } from "./dom.js";
import { clock } from "./format.js";
import { picture } from "./media.js";

const CONTEXT_S = 0.5;
const SIZE = { width: 240, height: 130 };
const GAIN_STEP = 3;

export class GridView extends Cells {
  #playing = null;

  constructor(app) {
    super(app, { label: "Detections", hint: "Click: listen. Ctrl-click: select." });
    app.player.addEventListener("time", () => this.#drawPlayhead());
  }

  #shown(row) {
    const { recording } = row;
    const gain = address.number("gain");
    return { recording, from: row.begin_s - CONTEXT_S, to: row.end_s + CONTEXT_S, ...this.app.band(), gain, ...SIZE };
  }

  thumb(row) {
    const shown = this.#shown(row);
    const mark = el("div", { class: "mark" });
    const share = (s) => `${(100 * (s - shown.from)) / (shown.to - shown.from)}%`;
    mark.style.left = share(row.begin_s);
    mark.style.right = `calc(100% - ${share(row.end_s)})`;
    return { picture: picture(shown), marks: [mark, el("div", { class: "playhead", hidden: true })] };
  }

  corner(row) {
    return clock(row.begin_s);
  }

  pressed(index) {
    const row = this.app.items.row(this.app.items.keys[index]);
    if (!row) return;
    const { from, to, recording } = this.#shown(row);
    const duration = this.app.recording(recording)?.duration_s ?? to;
    this.#playing = { key: row.key, from, to };
    this.app.player.load({ recording, from: Math.max(0, from), to: Math.min(to, duration), speed: address.number("speed") });
    this.app.player.play();
  }

  #drawPlayhead() {
    if (!this.#playing || !this.el.isConnected) return;
    const { key, from, to } = this.#playing;
    for (const [cellKey, cell] of this.shownCells) {
      const head = cell.querySelector(".playhead");
      if (!head) continue;
      head.hidden = cellKey !== key || !this.app.player.isPlaying;
      head.style.left = `${(100 * (this.app.player.time - from)) / (to - from)}%`;
    }
  }

  key(event) {
    if (super.key(event)) return true;
    if (event.key === " ") this.app.player.isPlaying ? this.app.player.stop() : this.pressed(this.here);
    else if (event.key === "[") address.set({ gain: address.number("gain") - GAIN_STEP });
    else if (event.key === "]") address.set({ gain: address.number("gain") + GAIN_STEP });
    else if (event.key === "m") this.app.moreLike(address.get("id"));
    else if (event.key === "l") this.app.openRecording(this.app.items.row(address.get("id")));
    else return false;
    return true;
  }
}
