// What of a review of photos stands in the address of the page.

import { STATES } from "./format.js";
import { ORDERS } from "./words.js";

export const DEFAULTS = {
  view: "one", // one, grid, statistics
  id: "", // key of the row shown
  class: "",
  state: "",
  folder: "", // "." is the folder of the photos itself
  trail: "",
  min: "",
  max: "",
  from: "",
  to: "",
  hours: "", // of the day, such as 21-5
  order: "time",
  seed: "1",
  n: "100", // size of a sample over score bins
  zoom: "1",
  reviewer: "",
};

// These make another queue; all else only shows another part of it.
export const QUEUE = ["class", "state", "folder", "trail", "min", "max", "from", "to", "hours", "order", "seed", "n", "reviewer"];

// Anything else in an address, such as an old or mistyped one, is read as the default.
export const CHOICES = {
  state: ["", ...Object.keys(STATES)],
  order: ORDERS.map(([name]) => name),
};

// What the server is asked for a queue, and by which name it stands in the address.
export const QUERY = {};
for (const name of QUEUE) if (name !== "n") QUERY[name] = name;
