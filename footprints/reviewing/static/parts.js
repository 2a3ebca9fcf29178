// Small pieces that several views show.

import { button, el } from "./dom.js";
import { STATES } from "./format.js";

/** Two buttons around a figure. */
export function stepper(label, value, less, more, [lessKey, moreKey], [lessName, moreName]) {
  return el(
    "span",
    { class: "field stepper", role: "group", "aria-label": label },
    el("span", { text: label }),
    button("−", less, { "aria-label": lessName, title: `Key ${lessKey}`, class: "small" }),
    el("output", { text: value }),
    button("+", more, { "aria-label": moreName, title: `Key ${moreKey}`, class: "small" }),
  );
}

/** The sign of a state; words stand beside it or in its label. */
export const sign = (state) => el("span", { class: `sign ${state}`, "aria-hidden": "true", text: STATES[state].sign });
