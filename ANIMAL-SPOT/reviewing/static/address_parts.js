// What of a review of sounds stands in the address of the page.

import { STATES } from "./format.js";
import { ORDERS, SOURCES } from "./words.js";

export const DEFAULTS = {
  view: "one", // one, grid, long, statistics, retrain
  src: "detections", // detections, windows, like
  id: "", // key of the row shown
  class: "",
  state: "",
  site: "",
  rec: "", // recordings of the queue: empty, or one
  min: "",
  max: "",
  from: "",
  to: "",
  hours: "", // of the day, such as 21-5
  order: "time",
  seed: "1",
  n: "100", // size of a sample over score bins
  like: "", // what "more like this" started from: an id, or recording@from-to
  len: "3", // length of windows labelled from nothing, in s
  file: "", // recording of the long view
  at: "0", // start of the long view, in s
  lines: "3",
  line: "15", // length of a line of the long view, in s
  context: "2", // shown before and after a detection, in s
  gain: "0", // dB
  low: "0", // Hz
  high: "", // Hz; empty: chosen by the project
  speed: "1",
  auto: "1", // sound starts by itself
  reviewer: "",
};

// These make another queue; all else only shows another part of it.
export const QUEUE = ["src", "class", "state", "site", "rec", "min", "max", "from", "to", "hours", "order", "seed", "n", "like", "len", "reviewer"];

// Anything else in an address, such as an old or mistyped one, is read as the default.
export const CHOICES = {
  src: SOURCES.map(([name]) => name),
  state: ["", ...Object.keys(STATES)],
  order: ORDERS.map(([name]) => name),
};

// What the server is asked for a queue of detections, and by which name it stands in the address.
export const QUERY = { recording: "rec" };
for (const name of ["class", "state", "site", "min", "max", "from", "to", "hours", "order", "seed", "reviewer"]) QUERY[name] = name;
