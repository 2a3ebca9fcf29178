// The page of a review of sounds.

import { address } from "./address.js";
import { App } from "./app.js";
import { GridView } from "./grid.js";
import { LongView } from "./long.js";
import { Player } from "./media.js";
import { OneView } from "./one.js";
import { QueuePanel } from "./queue.js";
import { RetrainView } from "./retrain.js";
import { get } from "./server.js";
import { SoundItems } from "./sound_items.js";
import { StatisticsView } from "./statistics.js";

const VIEWS = [
  ["one", "One by one", OneView],
  ["grid", "Many at once", GridView],
  ["long", "Whole recording", LongView],
  ["statistics", "Figures", StatisticsView],
  ["retrain", "Retrain", RetrainView],
];

class SoundApp extends App {
  recordings = [];
  player = new Player();
  ofRows = { src: "detections" };
  #recordingOf = new Map();

  async loadMore() {
    this.recordings = await get("/api/recordings");
    this.#recordingOf = new Map(this.recordings.map((recording) => [String(recording.id), recording]));
  }

  openItems(signal) {
    return SoundItems.of(this.recordings, signal);
  }

  leave() {
    this.player.stop();
  }

  recording(id) {
    return this.#recordingOf.get(String(id));
  }

  /** The name of the recording of a row. */
  nameOf(row) {
    return this.recording(row.recording)?.name ?? "";
  }

  /** Frequencies shown, in Hz; a picture is dark above what its recording holds. */
  band() {
    const high = address.number("high") || this.project.max_hz || 22_050;
    const low = Math.min(Math.max(0, address.number("low")), high - 50);
    return { low, high };
  }

  openRecording(row) {
    if (!row) return;
    const page = address.number("lines") * address.number("line");
    const at = Math.max(0, Math.floor(row.begin_s - page / 6));
    address.set({ view: "long", file: row.recording, at }, { push: true });
  }

  moreLike(what) {
    if (what === undefined || what === null) return;
    address.set({ view: "grid", src: "like", like: what, id: "" }, { push: true });
  }

  /** What is sent of a stretch that is no detection yet. */
  bodyOf(row, verdict, { class: name, box, note }) {
    const place = { begin_s: row.begin_s, end_s: row.end_s, low_hz: row.low_hz, high_hz: row.high_hz, ...(box ?? {}) };
    return {
      recording: row.recording,
      ...place,
      class: name ?? row.class ?? null,
      verdict: verdict === "other" ? "right" : verdict,
      source: address.get("src") === "like" ? "similar" : "window",
      note: note || null,
    };
  }

  globalKey(key) {
    if (key !== "l" || address.get("view") !== "long") return super.globalKey(key);
    address.set({ view: "one" }, { push: true });
    return true;
  }
}

const app = new SoundApp();
app.start(VIEWS, QueuePanel).catch((error) => app.trouble(error));
