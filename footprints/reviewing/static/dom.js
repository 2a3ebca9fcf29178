// Elements from descriptions. Data becomes text or an attribute, never markup.

/**
 * Make an element.
 * @param {string} tag
 * @param {object} [props] `class`, `text`, `on` (event: function), `data`; all else is an attribute.
 *   true sets an empty attribute; false, null and undefined set none.
 * @param {...(Node|string|null)} children
 */
export function el(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "class") node.className = value;
    else if (name === "text") node.textContent = value;
    else if (name === "on") for (const [type, f] of Object.entries(value)) node.addEventListener(type, f);
    else if (name === "data") Object.assign(node.dataset, value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

const SVG = "http://www.w3.org/2000/svg";

/** Make an SVG element; `text` is its text, all else are attributes. */
export function svg(tag, props = {}, ...children) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(props)) {
    if (name === "text") node.textContent = value;
    else if (value !== null && value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

/** A button. `key` is shown as the key that does the same. A click by mouse leaves no focus on it,
 * so that the space bar goes on meaning what it does on the page. */
export function button(label, action, { key = null, title = null, ...props } = {}) {
  return el(
    "button",
    {
      type: "button",
      title,
      "aria-keyshortcuts": key,
      ...props,
      on: {
        click(event) {
          if (event.detail > 0) event.currentTarget.blur();
          action(event);
        },
      },
    },
    el("span", { text: label }),
    key && el("kbd", { text: key, "aria-hidden": "true" }),
  );
}

/** A labelled form control in one block. */
export function field(label, control, props = {}) {
  return el("label", { class: "field", ...props }, el("span", { text: label }), control);
}

/** A select box of `[value, text]` pairs. */
export function select(options, value, change, props = {}) {
  const node = el("select", { ...props, on: { change: () => change(node.value) } });
  fillSelect(node, options, value);
  return node;
}

/** Replace the options of a select box. */
export function fillSelect(node, options, value) {
  node.replaceChildren(...options.map(([v, text]) => el("option", { value: v, text })));
  node.value = value ?? "";
}

/** Do something once the next frame is on the screen: what a reviewer waits for comes first. */
export const afterFrame = (work) => requestAnimationFrame(() => requestAnimationFrame(work));

/** Whether keys typed now belong to a field or a menu. */
export function isTyping(target) {
  if (!(target instanceof HTMLElement)) return false;
  if (target.matches("textarea, select")) return true;
  return target.matches("input:not([type=checkbox]):not([type=radio]):not([type=range]):not([type=button])");
}
