// Pictures, fetched ahead and kept for a while.

/** Keeps the latest things made by `make`, by address. */
export class Kept {
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

/**
 * Keep the latest pictures by their addresses.
 * @param {number} most How many; each takes four bytes a pixel.
 * @returns {(url: string) => {image: HTMLImageElement, ready: Promise, isReady: boolean}} After a
 *   failure the next wish tries again.
 */
export function keepPictures(most) {
  const pictures = new Kept(most, (url) => {
    const image = new Image();
    image.alt = "";
    image.draggable = false;
    image.decoding = "sync";
    image.src = url;
    const thing = { image, isReady: false };
    thing.ready = image.decode().then(
      () => (thing.isReady = true),
      () => pictures.drop(url),
    );
    return thing;
  });
  return (url) => pictures.get(url);
}
