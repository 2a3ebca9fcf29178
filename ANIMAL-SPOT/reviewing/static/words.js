// What a review of sounds calls its things, and which keys do what.

/** What a queue holds, and in which order: as the address and as people say it. */
export const SOURCES = [
  ["detections", "Detections"],
  ["windows", "Windows of recordings"],
  ["like", "More like this"],
];
export const ORDERS = [
  ["time", "recording and time"],
  ["-score", "highest score first"],
  ["score", "lowest score first"],
  ["uncertainty", "most uncertain first"],
  ["random", "at random"],
  ["bins", "sample over score bins"],
];

/** What rows are called: many, one, and those that are right. */
export const NOUNS = { many: "Detections", one: "Detection", right: "True calls" };

export const CLASS_KEYS = "1234567890abdefijkopqtvw"; // letters that are no command

export const khz = (hz) => (hz / 1000).toFixed(hz % 1000 === 0 ? 0 : 1);

export const EXPORTS = [
  ["raven", "Raven selection tables"],
  ["audacity", "Audacity label tracks"],
  ["csv", "CSV, with dates and times"],
  ["parquet", "Parquet, with dates and times"],
  ["clips", "Clips for training"],
];

export const KEYS = [
  ["Decide", [["y", "right"], ["n", "wrong"], ["u", "unsure"], ["s", "skip"], ["1 … 9, letters", "another class"], ["c", "a class by its name"], ["z", "undo"]]],
  ["Listen", [["Space", "play, stop"], ["Shift Space", "the call alone"], ["Home", "from the left edge"], [", .", "slower, faster"]]],
  ["Look", [["+ -", "zoom in, out"], ["[ ]", "less, more gain"], ["← →", "row before, after"], ["Tab", "to the edges; arrows move them, with Shift further"]]],
  ["Many at once", [["arrows", "another cell"], ["x", "select"], ["Shift arrows", "select up to there"], ["r", "all undecided ones"], ["PageDown", "next forty"], ["Enter", "this one alone"]]],
  ["Whole recording", [["arrows", "move the line"], ["b", "begin a mark"], ["Enter", "end it"], ["PageDown", "next page"], ["Esc", "discard"]]],
  ["Everywhere", [["g", "many at once, and back"], ["l", "in the recording"], ["m", "more like this"], ["?", "these keys"]]],
];
