// The rows of a queue of sounds: detections, windows gone through, stretches that sound alike.

import { address } from "./address.js";
import { Items } from "./items.js";
import { get } from "./server.js";

export class SoundItems extends Items {
  /** Ask for the queue that the address describes. */
  static async of(recordings, signal) {
    const items = new SoundItems();
    const source = address.get("src");
    if (source === "windows") await items.#openWindows(recordings, signal);
    else if (source === "like") await items.#openSimilar(signal);
    else await items.open(signal);
    return items;
  }

  /** Windows of the recordings one after the other; those labelled before have their row. */
  async #openWindows(recordings, signal) {
    const length = Math.max(0.1, address.number("len"));
    const only = address.get("rec");
    const site = address.get("site");
    for (const recording of recordings) {
      if ((only && String(recording.id) !== only) || (site && recording.site !== site)) continue;
      for (let begin = 0; begin < recording.duration_s - 0.05; begin += length) {
        this.#addStretch(recording, begin, Math.min(recording.duration_s, begin + length), {});
      }
    }
    const reviewer = address.get("reviewer");
    const known = await get("/api/queue", { source: "window", recording: only, reviewer, limit: 1000 }, signal);
    for (const row of known.rows) {
      const key = stretchKey(row.recording, row.begin_s, row.end_s);
      if (this.rows.has(key)) this.rows.set(key, { ...row, key });
      if (this.rows.has(key)) this.states.set(key, row.state);
    }
    this.secondsEach = known.seconds_each;
    this.settle();
  }

  async #openSimilar(signal) {
    const { rows } = await get("/api/similar", { ...likeParams(address.get("like")), n: 80 }, signal);
    for (const row of rows) {
      const state = row.state ?? "open";
      if (row.id === null) this.#addStretch({ id: row.recording }, row.begin_s, row.end_s, row);
      else {
        const key = String(row.id);
        this.keys.push(key);
        this.rows.set(key, { ...row, key, state });
        this.states.set(key, state);
      }
    }
    this.settle();
  }

  #addStretch(recording, begin_s, end_s, row) {
    const key = stretchKey(recording.id, begin_s, end_s);
    this.keys.push(key);
    this.states.set(key, "open");
    const none = { class: null, score: null, label: null, low_hz: null, high_hz: null };
    this.rows.set(key, { ...none, ...row, id: null, key, recording: recording.id, begin_s, end_s, state: "open" });
  }
}

/** Name of a stretch of a recording in the address. */
export const stretchKey = (recording, from, to) => `${recording}@${from.toFixed(2)}-${to.toFixed(2)}`;

function likeParams(like) {
  const [recording, times] = like.split("@");
  if (!times) return { id: like };
  const [from, to] = times.split("-");
  return { recording, from, to };
}
