// What a review of photos calls its things, and which keys do what.

export const ORDERS = [
  ["time", "folder, trail and time"],
  ["-score", "highest score first"],
  ["score", "lowest score first"],
  ["uncertainty", "most uncertain first"],
  ["random", "at random"],
  ["bins", "sample over score bins"],
];

/** What rows are called: many, one, and those that are right. */
export const NOUNS = { many: "Answers", one: "Print", right: "True prints" };

export const CLASS_KEYS = "1234567890adefhijlmpqvw"; // letters that are no command

export const EXPORTS = [
  ["crops", "Crops of the prints, a folder for each class"],
  ["photos", "Whole photos, a folder for each class"],
  ["yolo", "Boxes in YOLO’s format, to train a detector"],
  ["csv", "CSV tables"],
];

export const KEYS = [
  ["Decide", [["y", "right"], ["n", "wrong, whatever it is"], ["1 … 9, letters", "another class"], ["c", "a class by its name"], ["k", "an animal of no class"], ["o", "no print there"], ["u", "unsure"], ["s", "skip"], ["z", "undo"]]],
  ["Look", [["← →", "row before, after"], ["+ -", "zoom in, out"], ["Shift arrows", "move the zoomed photo; or with the middle button"], ["Home", "whole photo"], ["t", "all of this trail"]]],
  ["Box", [["Tab", "to the edges; arrows move them, with Shift further"], ["b", "a new box, for another print"], ["mouse", "draw a new box; with Shift draw this one anew"], ["Esc", "drop a new box"]]],
  ["Many at once", [["arrows", "another cell"], ["x", "select"], ["Shift arrows", "select up to there"], ["r", "all undecided ones"], ["PageDown", "next forty"], ["Enter", "this one alone"]]],
  ["Everywhere", [["g", "many at once, and back"], ["?", "these keys"]]],
];
