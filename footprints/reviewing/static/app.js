// A page of a review: what the address says is shown, what is typed goes to the view.

import { address, isQueuePart } from "./address.js";
import { askClass, askReviewer, exportDialog, keysDialog } from "./dialogs.js";
import { afterFrame, button, el, isTyping } from "./dom.js";
import { classKeys } from "./format.js";
import { Items } from "./items.js";
import { Judge } from "./judge.js";
import { progressText } from "./panel.js";
import { Gone, Locked, Outbox, Refused, get } from "./server.js";

const WITH_QUEUE = ["one", "grid"];
const TOAST_MS = 4000;
const AGAIN_MS = 1000;

/**
 * What a kind of review adds: `loadMore()` fetches what the project does not hold, `openItems(signal)`
 * the rows, `bodyOf(row, verdict, extra)` says what is sent of a row that is new.
 */
export class App {
  project = null;
  items = new Items();
  keys = new Map();
  outbox = null;
  #views = new Map();
  #view = null;
  #keyed = null; // when the key was pressed that the next picture answers
  #opening = null;
  #isDue = false;
  #toast = 0;

  /**
   * @param {[string, string, Function][]} views Name in the address, name for people, class.
   * @param {Function} Panel What stands at the left.
   */
  async start(views, Panel) {
    this.views = views;
    this.judge = new Judge(this);
    await this.#loadProject();
    this.outbox = new Outbox(this.project.id);
    this.outbox.addEventListener("gone", (event) => this.trouble(event.detail));
    this.outbox.addEventListener("sent", () => this.#serverIsBack());
    for (const [name, , View] of views) this.#views.set(name, new View(this));
    this.panel = new Panel(this);
    document.getElementById("queue").replaceChildren(...this.panel.el);
    this.#knowReviewer();
    this.#drawBar();
    address.addEventListener("change", (event) => this.#addressChanged(event.detail));
    document.addEventListener("keydown", (event) => this.#key(event));
    await this.outbox.empty(); // what was decided before a reload is part of the queue's states
    await this.#openQueue();
  }

  // --- project ---

  async #loadProject() {
    for (;;) {
      try {
        const [project] = await Promise.all([get("/api/project"), this.loadMore()]);
        this.#takeProject(project);
        this.#serverIsBack();
        return;
      } catch (error) {
        this.trouble(error);
        await new Promise((go) => setTimeout(go, AGAIN_MS));
      }
    }
  }

  /** Fetch what the project does not hold. */
  async loadMore() {}

  #takeProject(project) {
    this.project = project;
    this.keys = classKeys(project.classes);
    document.title = `Review: ${project.name}`;
  }

  #knowReviewer() {
    const kept = localStorage.getItem(`review-reviewer ${this.project.id}`);
    this.#setReviewer(address.get("reviewer") || kept || this.project.reviewer);
  }

  #setReviewer(name) {
    localStorage.setItem(`review-reviewer ${this.project.id}`, name);
    address.set({ reviewer: name });
  }

  async changeReviewer() {
    const name = await askReviewer(Object.keys(this.project.reviewers), address.get("reviewer"));
    if (name) this.#setReviewer(name);
  }

  /** Rows of the queue that the address describes. */
  async openItems(signal) {
    const items = new Items();
    await items.open(signal);
    return items;
  }

  // --- queue ---

  async #openQueue() {
    this.#opening?.abort();
    const opening = (this.#opening = new AbortController());
    this.panel.drawFilters();
    let items;
    try {
      items = await this.openItems(opening.signal);
    } catch (error) {
      if (error.name === "AbortError") return;
      // A refusal stands where the rows would, and is not said a second time over it.
      if (error instanceof Refused && WITH_QUEUE.includes(address.get("view"))) this.speak(error.message);
      else this.trouble(error);
      if (error instanceof Gone) setTimeout(() => opening === this.#opening && this.#openQueue(), AGAIN_MS);
      items = new Items();
      items.note = error.message;
    }
    if (opening !== this.#opening) return;
    this.items = items;
    this.judge.forget();
    items.addEventListener("change", () => this.#refreshSoon());
    this.panel.drawRows();
    this.#showView();
  }

  /** Rows were added to the project: the queue shows them when it is opened anew. */
  queueGrew() {
    this.#reloadClasses();
  }

  async #reloadClasses() {
    const project = await get("/api/project").catch(() => null);
    if (!project) return;
    const before = [...this.keys.values()].join("\n");
    this.#takeProject(project);
    this.panel.drawFilters();
    if ([...this.keys.values()].join("\n") !== before) this.#showView();
  }

  #refreshSoon() {
    if (this.#isDue) return;
    this.#isDue = true;
    afterFrame(() => {
      this.#isDue = false;
      this.panel.refresh();
      this.#drawProgress();
    });
  }

  // --- what is shown ---

  #addressChanged(names) {
    if (names.includes("reviewer") || names.includes("view")) this.#drawBar();
    if (names.some(isQueuePart)) {
      this.#openQueue();
      return;
    }
    if (names.includes("id")) this.panel.drawCurrent();
    this.#showView();
  }

  #showView() {
    const name = this.#views.has(address.get("view")) ? address.get("view") : "one";
    const view = this.#views.get(name);
    const main = document.getElementById("main");
    if (main.firstChild !== view.el) {
      this.leave();
      main.replaceChildren(view.el);
    }
    this.#view = view;
    document.body.dataset.view = name;
    document.getElementById("queue").hidden = !WITH_QUEUE.includes(name);
    Promise.resolve(view.show()).catch((error) => this.trouble(error));
  }

  /** Show a row of the queue. */
  go(key) {
    if (key) address.set({ id: key }, { push: true });
  }

  /** Parts of the address with which a row is shown alone. */
  ofRows = {};

  /** Show a row alone, from any view. */
  openRow(row) {
    if (row?.id !== null && row?.id !== undefined) address.set({ view: "one", id: String(row.id), ...this.ofRows }, { push: true });
  }

  /** Another view is shown. */
  leave() {}

  /** Whether a class is what the row says already, so that it is right. */
  isAnswer(row, name) {
    return row.class === name;
  }

  /** The name that the user chooses or types. */
  async askClass() {
    const name = await askClass(this.project.classes.map((c) => c.name));
    if (name && !this.project.classes.some((c) => c.name === name)) {
      this.project.classes.push({ name, n: 0 }); // has its key from now on
      this.keys = classKeys(this.project.classes);
    }
    return name;
  }

  async undo() {
    const key = await this.judge.undo().catch((error) => this.say(error.message, true));
    this.#view.refresh?.();
    if (!key) {
      this.say("Nothing to undo.");
      return;
    }
    this.say("Taken back.");
    const isInView = address.get("view") === "one" || (address.get("view") === "grid" && this.items.index(key) >= 0);
    if (isInView && key !== address.get("id")) this.go(key);
    else this.#showView();
  }

  // --- bar ---

  #drawBar() {
    const tab = ([name, text]) => {
      const isHere = address.get("view") === name;
      const go = () => address.set({ view: name }, { push: true });
      return button(text, go, { class: "tab", "aria-current": isHere ? "page" : null });
    };
    this.progress = el("span", { class: "bar-progress" });
    const bar = document.getElementById("bar");
    const focused = bar.contains(document.activeElement) ? document.activeElement.textContent : null;
    bar.replaceChildren(
      el("span", { class: "project", text: this.project.name, title: this.project.name }),
      el("nav", { "aria-label": "Views" }, ...this.views.map(tab)),
      this.progress,
      el("span", { class: "gap" }),
      button("Export", () => exportDialog(this.outbox), { class: "quiet" }),
      button(`Reviewer: ${address.get("reviewer")}`, () => this.changeReviewer(), { class: "quiet reviewer" }),
      button("Light / dark", () => this.#changeTheme(), { class: "quiet" }),
      button("Keys", keysDialog, { key: "?", class: "quiet" }),
    );
    if (focused) [...bar.querySelectorAll("button")].find((b) => b.textContent === focused)?.focus();
    this.#drawProgress();
  }

  #drawProgress() {
    if (!this.progress) return;
    const { left, total } = this.items;
    const isShown = !WITH_QUEUE.includes(address.get("view")) && total > 0;
    this.progress.textContent = isShown ? progressText(left, total, this.judge.secondsEach) : "";
  }

  #changeTheme() {
    const isDark = getComputedStyle(document.documentElement).getPropertyValue("--is-dark").trim() === "1";
    const theme = isDark ? "light" : "dark";
    document.documentElement.dataset.theme = theme;
    localStorage.setItem("review-theme", theme);
  }

  // --- telling ---

  /** Say it to screen readers only. */
  speak(text) {
    document.getElementById("said").textContent = text;
  }

  /** Say it for a moment; a mistake stays longer. */
  say(text, isError = false) {
    this.speak(text);
    document.querySelector(".toast")?.remove();
    clearTimeout(this.#toast);
    const toast = el("div", { class: `toast${isError ? " error" : ""}`, "aria-hidden": "true", text });
    document.body.append(toast);
    this.#toast = setTimeout(() => toast.remove(), isError ? 4 * TOAST_MS : TOAST_MS);
  }

  sayProgress(text) {
    const { left, total } = this.items;
    this.speak(`${text}. ${progressText(left, total, null)}`);
  }

  /** Show what keeps the page from going on. */
  trouble(error) {
    if (error.name === "AbortError") return;
    if (![Gone, Locked, Refused].some((kind) => error instanceof kind)) reportError(error); // a mistake of ours
    if (!(error instanceof Gone || error instanceof Locked)) {
      this.say(error.message, true);
      return;
    }
    const n = this.outbox?.waiting ?? 0;
    const kept = n ? ` ${n} ${n === 1 ? "decision waits" : "decisions wait"} in this browser and will be sent when it is back; go on.` : "";
    const words = error instanceof Locked || error.said ? `${error.message}.` : "The server is gone. Is the program still running?";
    const banner = document.getElementById("banner");
    banner.textContent = words + kept;
    banner.hidden = false;
    this.#awaitServer();
  }

  #awaiting = false;

  /** Ask until the server answers. */
  async #awaitServer() {
    if (this.#awaiting || !this.outbox) return;
    this.#awaiting = true;
    for (;;) {
      await new Promise((go) => setTimeout(go, AGAIN_MS));
      try {
        await get("/api/project");
        break;
      } catch (error) {
        if (error instanceof Locked) this.trouble(error);
      }
    }
    this.#awaiting = false;
    this.#serverIsBack();
  }

  #serverIsBack() {
    const banner = document.getElementById("banner");
    if (banner.hidden) return;
    banner.hidden = true;
    banner.textContent = "";
    if (!this.#view) return;
    this.say("The server is back.");
    this.#showView();
  }

  // --- keys ---

  #key(event) {
    if (document.querySelector("dialog[open]")) return;
    const { target, key } = event;
    if (isTyping(target)) {
      if (key === "Escape") target.blur();
      return;
    }
    const isShortcut = event.ctrlKey || event.metaKey || event.altKey;
    if (isShortcut && !event.getModifierState("AltGraph") && !"[]".includes(key)) return;
    const isOnControl = target instanceof HTMLElement && target.matches("button, a, summary, input");
    if (isOnControl && [" ", "Enter"].includes(key)) return; // they press it
    if (target.matches?.("input") && key.startsWith("Arrow")) return;
    this.#keyed = event.timeStamp;
    if (this.#view?.key(event) || this.globalKey(key)) event.preventDefault();
    else this.#keyed = null;
  }

  /** @returns {boolean} Whether the key means something in each view. */
  globalKey(key) {
    const view = address.get("view");
    if (key === "z") this.undo();
    else if (key === "?") keysDialog();
    else if (key === "g") address.set({ view: view === "grid" ? "one" : "grid" }, { push: true });
    else return false;
    return true;
  }

  /** Measure from the key to the picture that it brought. */
  pictureShown(ready) {
    const start = this.#keyed;
    this.#keyed = null;
    if (start === null) return;
    const note = () => performance.measure("key-to-picture", { start, end: performance.now() });
    ready.then(() => requestAnimationFrame(() => setTimeout(note))); // after the frame was drawn
  }
}

const theme = localStorage.getItem("review-theme");
if (theme) document.documentElement.dataset.theme = theme;
