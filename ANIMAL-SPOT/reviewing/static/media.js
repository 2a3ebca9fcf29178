// Pictures and sounds, fetched ahead and kept for a while.

import { Kept, keepPictures } from "./kept.js";
import { path } from "./server.js";

const pictureAt = keepPictures(150);

const sounds = new Kept(12, (url) => {
  const audio = new Audio();
  audio.preload = "auto";
  audio.src = url;
  audio.addEventListener("error", () => sounds.drop(url));
  return audio;
});

/** A spectrogram: {image, ready (promise), isReady}. Times in s, frequencies in Hz, gain in dB. */
export function picture({ recording, from, to, low, high, gain, width, height }) {
  const url = path("/api/spectrogram", {
    recording,
    from: from.toFixed(3),
    to: to.toFixed(3),
    width,
    height,
    low,
    high,
    gain,
  });
  return pictureAt(url);
}

/** A sound element; at speed 0.05 it lasts twenty times as long. */
export function sound({ recording, from, to, speed }) {
  return sounds.get(path("/api/sound", { recording, from: from.toFixed(3), to: to.toFixed(3), speed }));
}

export const SPEEDS = [0.05, 0.1, 0.2, 0.5, 1, 2, 4];
export const speedName = (speed) => (speed < 1 ? `1/${Math.round(1 / speed)}` : String(speed));

/** Plays one stretch of a recording at a time, and says at each frame where it is. */
export class Player extends EventTarget {
  #audio = null;
  #stretch = null;
  #until = null;
  #frame = 0;

  /** Make a stretch ready: {recording, from, to, speed}. What plays now ends. */
  load(stretch) {
    const audio = sound(stretch);
    if (audio === this.#audio) {
      this.#stretch = stretch;
      return;
    }
    this.stop();
    this.#audio = audio;
    this.#stretch = stretch;
    document.getElementById("sound").replaceChildren(audio);
    audio.onended = () => this.stop();
  }

  get isPlaying() {
    return this.#audio !== null && !this.#audio.paused;
  }

  /** Time in the recording, in s. */
  get time() {
    return this.#stretch ? this.#stretch.from + this.#audio.currentTime * this.#stretch.speed : 0;
  }

  /** Play from a time of the recording, until another one. */
  async play(at = this.#stretch?.from, until = null) {
    if (!this.#stretch) return;
    const { from, speed } = this.#stretch;
    this.#until = until;
    const audio = this.#audio;
    audio.currentTime = Math.max(0, (at - from) / speed);
    try {
      await audio.play();
    } catch (error) {
      if (audio === this.#audio && error.name === "NotAllowedError") this.#tell("silent");
      if (audio === this.#audio && error.name === "NotSupportedError") this.#tell("silent");
      return;
    }
    cancelAnimationFrame(this.#frame);
    this.#step();
    this.#tell("change");
  }

  stop() {
    cancelAnimationFrame(this.#frame);
    if (!this.#audio) return;
    if (!this.#audio.paused) this.#audio.pause();
    this.#tell("time");
    this.#tell("change");
  }

  #step() {
    if (this.#until !== null && this.time >= this.#until) {
      this.stop();
      return;
    }
    this.#tell("time");
    if (this.isPlaying) this.#frame = requestAnimationFrame(() => this.#step());
  }

  #tell(type) {
    this.dispatchEvent(new Event(type));
  }
}
