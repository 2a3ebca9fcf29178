// Pictures and sounds, fetched ahead and kept for a while.

import { path } from "./server.js";

/** Keeps the latest things made by `make`, by address. */
class Kept {
  #make;
  #most;
  #things = new Map();

  constructor(most, make) {
    this.#most = most;
    this.#make = make;
  }

  get(url) {
    let thing = this.#things.get(url);
    this.#things.delete(url);
    thing ??= this.#make(url);
    this.#things.set(url, thing); // the latest is last
    if (this.#things.size > this.#most) this.#things.delete(this.#things.keys().next().value);
    return thing;
  }

  drop(url) {
    this.#things.delete(url);
  }
}

const pictures = new Kept(150, (url) => {
  const image = new Image();
  image.alt = "";
  image.draggable = false;
  image.decoding = "sync";
  image.src = url;
  const thing = { image, isReady: false };
  thing.ready = image.decode().then(
    () => (thing.isReady = true),
    () => pictures.drop(url), // the next wish tries again
  );
  return thing;
});

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
  return pictures.get(url);
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
