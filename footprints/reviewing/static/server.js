// Talking to the server; what people decide is kept in this browser until the server has it.

/** The server does not answer, or cannot keep anything now: then `said` is its line. */
export class Gone extends Error {
  constructor(said) {
    super(said ?? "The server does not answer.");
    this.said = said;
  }
}

/** The server was started anew under another address. */
export class Locked extends Error {}

/** The server would not do it, and says why. */
export class Refused extends Error {}

async function ask(path, options) {
  let answer;
  try {
    answer = await fetch(path, { credentials: "same-origin", ...options });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Gone();
  }
  let body = {};
  try {
    body = await answer.json();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    if (answer.ok) throw new Gone(); // the answer broke off
  }
  if ([502, 503, 504].includes(answer.status)) throw new Gone(body.error);
  if (answer.ok) return body;
  const line = body.error ?? `The server answered ${answer.status}.`;
  throw [401, 403].includes(answer.status) ? new Locked(line) : new Refused(line);
}

/** Address of something to get; empty parameters are left out. */
export function path(place, params = {}) {
  const given = Object.entries(params).filter(([, v]) => v !== "" && v !== null && v !== undefined);
  const text = new URLSearchParams(given).toString();
  return text ? `${place}?${text}` : place;
}

export const get = (place, params, signal) => ask(path(place, params), { signal });

export const post = (place, body) =>
  ask(place, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });

const AGAIN_MS = 1000;

/** 128 random bits; crypto.randomUUID is absent where the page comes from another computer. */
function unique() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (b) => b.toString(16).padStart(2, "0")).join("");
}

/**
 * Posts in the order in which they were made. Each is kept in localStorage until the server has
 * answered, so that neither a dead server nor a closed page loses a decision. The same post may
 * arrive twice: its `key` tells the server.
 */
export class Outbox extends EventTarget {
  #prefix;
  #posts = [];
  #running = false;
  #number = 0;

  /** @param {string} project Identity of the project: posts of another one stay untouched. */
  constructor(project) {
    super();
    this.#prefix = `review-post ${project} `;
    const kept = Object.keys(localStorage).filter((name) => name.startsWith(this.#prefix)).sort();
    for (const name of kept) {
      const { place, body } = JSON.parse(localStorage.getItem(name));
      this.#posts.push({ name, place, body, done: () => {}, failed: () => {} });
    }
    if (kept.length) this.#run();
  }

  get waiting() {
    return this.#posts.length;
  }

  /** @returns {Promise<object>} The answer; while the server is gone the promise waits. */
  add(place, body) {
    const when = String(Date.now()).padStart(15, "0") + String(this.#number++).padStart(6, "0");
    const kept = { ...body, key: unique() };
    const name = `${this.#prefix}${when} ${kept.key}`;
    localStorage.setItem(name, JSON.stringify({ place, body: kept }));
    return new Promise((done, failed) => {
      this.#posts.push({ name, place, body: kept, done, failed });
      setTimeout(() => this.#run()); // the next picture goes first
    });
  }

  /** Resolves when nothing waits. */
  async empty() {
    while (this.waiting) await new Promise((go) => this.addEventListener("sent", go, { once: true }));
  }

  async #run() {
    if (this.#running) return;
    this.#running = true;
    while (this.#posts.length) {
      const first = this.#posts[0];
      let finish;
      try {
        const answer = await post(first.place, first.body);
        finish = () => first.done(answer);
      } catch (error) {
        if (error instanceof Gone || error instanceof Locked) {
          this.#tell("gone", error);
          await new Promise((go) => setTimeout(go, AGAIN_MS));
          continue;
        }
        finish = () => first.failed(error);
      }
      this.#posts.shift();
      localStorage.removeItem(first.name);
      finish();
      this.#tell("sent", null);
    }
    this.#running = false;
  }

  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
