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

/** A picture: {image, ready (promise), isReady}; after a failure the next wish tries again. */
export const pictureAt = (url) => pictures.get(url);
