// Questions: who reviews, which class, what to export; and the list of keys.

import { button, el, field } from "./dom.js";
import { count } from "./format.js";
import { post } from "./server.js";
import { EXPORTS, KEYS } from "./words.js";

/** Show a dialog; the function gets it and says how to close it with a result. */
function open(title, fill) {
  return new Promise((done) => {
    const before = document.activeElement;
    const heading = el("h1", { text: title, id: "dialog-title" });
    const dialog = el("dialog", { "aria-labelledby": "dialog-title" }, heading);
    let result = null;
    const close = (value = null) => {
      result = value;
      dialog.close();
    };
    dialog.append(...fill(close));
    dialog.addEventListener("close", () => {
      dialog.remove();
      if (before?.isConnected) before.focus();
      done(result);
    });
    document.body.append(dialog);
    dialog.showModal();
    dialog.querySelector("[autofocus]")?.focus();
  });
}

function choice(title, label, names, value) {
  return open(title, (close) => {
    const input = el("input", { type: "text", list: "dialog-names", maxlength: "100", autocomplete: "off", autofocus: true, required: true });
    input.value = value;
    const form = el(
      "form",
      {
        on: {
          submit(event) {
            event.preventDefault();
            const name = input.value.trim();
            if (name) close(name);
          },
        },
      },
      field(label, input, { class: "field wide" }),
      el("datalist", { id: "dialog-names" }, ...names.map((name) => el("option", { value: name }))),
      el(
        "div",
        { class: "buttons" },
        button("Cancel", () => close(), { class: "quiet" }),
        el("button", { type: "submit", class: "primary", text: "OK" }),
      ),
    );
    return [form];
  });
}

/** @returns {Promise<string|null>} */
export const askClass = (names) => choice("Which class?", "One of the list, or a new name", names, "");

/** @returns {Promise<string|null>} */
export const askReviewer = (names, now) =>
  choice("Who reviews?", "This name stands at each decision", names, now);

/** @param {object} outbox What is decided is sent first. */
export function exportDialog(outbox) {
  return open("Export", (close) => {
    const radios = EXPORTS.map(([kind, text], i) => {
      const input = el("input", { type: "radio", name: "kind", value: kind, autofocus: i === 0 });
      input.checked = i === 0;
      return el("label", { class: "check" }, input, el("span", { text }));
    });
    const folder = el("input", { type: "text", maxlength: "100", required: true, pattern: "[^\\/\\\\]+", autocomplete: "off" });
    folder.value = "export";
    const answer = el("div", { class: "answer", role: "status" });
    const go = el("button", { type: "submit", class: "primary", text: "Export" });
    const submit = async (event) => {
      event.preventDefault();
      go.disabled = true;
      answer.replaceChildren(el("p", { text: "Writing …" }));
      try {
        await outbox.empty();
        const kind = form.querySelector("input[name=kind]:checked").value;
        const written = await post("/api/export", { kind, folder: folder.value });
        answer.replaceChildren(...whatWasWritten(written));
      } catch (error) {
        answer.replaceChildren(el("p", { class: "error", text: error.message }));
      }
      go.disabled = false;
    };
    const form = el(
      "form",
      { on: { submit } },
      el("fieldset", {}, el("legend", { text: "What" }), ...radios),
      field("Folder, beside the project’s file", folder, { class: "field wide" }),
      answer,
      el("div", { class: "buttons" }, button("Close", () => close(), { class: "quiet" }), go),
    );
    return [form];
  });
}

function whatWasWritten({ folder, files = [], notes = [], unit = "rows" }) {
  const most = 12;
  const lines = files.slice(0, most).map((file) => el("li", { text: file.rows === null || file.rows === undefined ? file.name : `${file.name}: ${count(file.rows)} ${unit}` }));
  if (files.length > most) lines.push(el("li", { text: `and ${count(files.length - most)} more` }));
  return [
    el("p", { text: files.length ? `Written to ${folder}:` : `Nothing was written to ${folder}.` }),
    el("ul", {}, ...lines),
    ...notes.map((text) => el("p", { class: "reason", text })),
  ];
}

export function keysDialog() {
  return open("Keys", (close) => [
    el(
      "div",
      { class: "keys" },
      ...KEYS.map(([title, keys]) =>
        el(
          "section",
          {},
          el("h2", { text: title }),
          el("dl", {}, ...keys.flatMap(([key, text]) => [el("dt", {}, el("kbd", { text: key })), el("dd", { text })])),
        ),
      ),
    ),
    el("div", { class: "buttons" }, button("Close", () => close(), { class: "primary", autofocus: true })),
  ]);
}
