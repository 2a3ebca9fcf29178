// Numbers, times and names as people read them.

import { CLASS_KEYS } from "./words.js";

/** Seconds as m:ss or h:mm:ss, with `digits` decimals. */
export function clock(seconds, digits = 1) {
  const sign = seconds < 0 ? "−" : "";
  const unit = 10 ** digits;
  const total = Math.round(Math.abs(seconds) * unit) / unit;
  const h = Math.floor(total / 3600);
  const m = Math.floor((total % 3600) / 60);
  const s = (total % 60).toFixed(digits).padStart(digits ? 3 + digits : 2, "0");
  return sign + (h ? `${h}:${String(m).padStart(2, "0")}` : m) + ":" + s;
}

/** Seconds as "9 minutes". */
export function span(seconds) {
  const whole = Math.max(1, Math.round(seconds));
  if (seconds < 90) return whole === 1 ? "1 second" : `${whole} seconds`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} minutes`;
  return `${(seconds / 3600).toFixed(1)} hours`;
}

export const count = (n) => (n === null || n === undefined ? "–" : n.toLocaleString("en"));

export const score = (x) => (x === null || x === undefined ? "" : x.toFixed(x > 0.995 && x < 1 ? 3 : 2));

/** A figure with its 95 % interval; a dash if nothing is known, "?" for what is not. */
export function interval(x, digits = 2) {
  const isKnown = (v) => v !== null && v !== undefined;
  const f = (v) => (!isKnown(v) ? "?" : digits ? v.toFixed(digits) : count(Math.round(v)));
  if (!x || ![x.value, x.low, x.high].some(isKnown)) return "–";
  if (![x.low, x.high].some(isKnown)) return f(x.value);
  return `${f(x.value)} (${f(x.low)} to ${f(x.high)})`;
}

/** Name of a file without its ending. */
export const stem = (name) => name.replace(/\.[^./\\]{1,5}$/, "");

/** The last letters of a name: names of recordings differ at their ends. */
export const ending = (name, most) => (name.length <= most ? name : `…${name.slice(1 - most)}`);

/** Date and time without the T and the fraction. */
export const wallClock = (iso) => (iso ? iso.replace("T", " ").replace(/\.\d+/, "") : "");

/** Steps of 1, 2 or 5 times a power of ten, so that about `wanted` fit between low and high. */
export function ticks(low, high, wanted) {
  if (!(high > low)) return [];
  const raw = (high - low) / Math.max(1, wanted);
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = power * [1, 2, 5, 10].find((m) => m * power >= raw);
  const found = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i++) found.push(i * step);
  return found;
}

export const STATES = {
  open: { text: "undecided", sign: "·" },
  right: { text: "right", sign: "✓" },
  wrong: { text: "wrong", sign: "✗" },
  other: { text: "other class", sign: "≠" },
  unsure: { text: "unsure", sign: "?" },
  skip: { text: "skipped", sign: "»" },
};

/** What a row shows as its class: the one a person gave, else the one the model gave. */
export const classOf = (row) => (row.state === "other" ? row.label : row.class) ?? "no class yet";

/** A key for each class, in their order; those beyond have none. */
export function classKeys(classes) {
  return new Map([...CLASS_KEYS].slice(0, classes.length).map((key, i) => [key, classes[i].name]));
}
