// Photos and crops, fetched ahead.

import { keepPictures } from "./kept.js";
import { path } from "./server.js";

const SIDES = [640, 960, 1280, 1600, 2048, 3072, 4096]; // px; few, so that a picture serves again
const CROP_PX = 256;

const photos = keepPictures(24); // some 5 MB each
const crops = keepPictures(300);

export const boxOf = ({ x1, y1, x2, y2 }) => (x1 === null || x1 === undefined ? null : { x1, y1, x2, y2 });

/** A whole photo whose longer side has at least so many px. */
export function photo(id, px) {
  const side = SIDES.find((one) => one >= px) ?? SIDES.at(-1);
  return photos(path("/api/picture", { photo: id, side }));
}

/** What the classifier sees of a box. */
export function crop(id, box, side = CROP_PX) {
  const edges = Object.fromEntries(Object.entries(box).map(([name, value]) => [name, value.toFixed(5)]));
  return crops(path("/api/picture", { photo: id, side, ...edges }));
}

/** A small picture of a row: its crop, or the photo where there is no box. */
export const small = (row, side = CROP_PX) =>
  boxOf(row) ? crop(row.photo, boxOf(row), side) : crops(path("/api/picture", { photo: row.photo, side: 320 }));
