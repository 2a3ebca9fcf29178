// The page of a review of photos.

import { App } from "./app.js";
import { GridView } from "./grid.js";
import { OneView } from "./one.js";
import { boxOf } from "./pictures.js";
import { QueuePanel } from "./queue.js";
import { StatisticsView } from "./statistics.js";

const VIEWS = [
  ["one", "One by one", OneView],
  ["grid", "Many at once", GridView],
  ["statistics", "Figures", StatisticsView],
];

class PhotoApp extends App {
  /** What is sent of a box that a person drew. */
  bodyOf(row, verdict, { class: name, box, note }) {
    return {
      photo: row.photo,
      ...(box ?? boxOf(row)),
      class: name ?? row.class ?? null,
      verdict: verdict === "other" ? "right" : verdict,
      note: note || null,
    };
  }

  /** An answer "unknown" is right also where nobody could tell; an animal of no class is more. */
  isAnswer(row, name) {
    return name !== this.project.unknown && super.isAnswer(row, name);
  }

  /** Rows were put into the queue, or taken out. */
  rowsChanged() {
    this.panel.drawRows();
  }
}

const app = new PhotoApp();
app.start(VIEWS, QueuePanel).catch((error) => app.trouble(error));
