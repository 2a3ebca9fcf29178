// A curve with its 95 % band.

import { el, svg } from "./dom.js";
import { count, ticks } from "./format.js";

const WIDTH = 420;
const HEIGHT = 210;
const LEFT = 40;
const BOTTOM = 34;
const TOP = 8;

/**
 * Draw a curve from 0 to 1 over scores: from 0 to 1, or further where scores of other programs lie.
 * A single point is drawn as a dot with its interval.
 * @param {string} title Also what screen readers say.
 * @param {{x: number, value: number, low: number, high: number}[]} points
 * @param {string} xName
 */
export function curve(title, points, xName) {
  const least = Math.min(0, ...points.map((p) => p.x));
  const most = Math.max(1, ...points.map((p) => p.x));
  const x = (v) => LEFT + ((v - least) / (most - least)) * (WIDTH - LEFT - 10);
  const y = (v) => TOP + (1 - v) * (HEIGHT - TOP - BOTTOM);
  const marks = [];
  for (const v of ticks(0, 1, 5)) {
    marks.push(svg("line", { class: "rule", x1: x(least), x2: x(most), y1: y(v), y2: y(v) }));
    marks.push(svg("text", { x: x(least) - 6, y: y(v) + 4, "text-anchor": "end", text: v.toFixed(1) }));
  }
  for (const v of ticks(least, most, 5)) {
    marks.push(svg("text", { x: x(v), y: HEIGHT - BOTTOM + 16, "text-anchor": "middle", text: most - least < 10 ? v.toFixed(1) : count(v) }));
  }
  marks.push(svg("text", { x: x((least + most) / 2), y: HEIGHT - 3, "text-anchor": "middle", text: xName }));
  const given = points.filter((p) => p.value !== null);
  const banded = given.filter((p) => p.low !== null && p.high !== null);
  const at = (name) => (p) => `${x(p.x).toFixed(1)},${y(p[name]).toFixed(1)}`;
  if (banded.length > 1) {
    const outline = [...banded.map(at("high")), ...banded.map(at("low")).reverse()];
    marks.push(svg("polygon", { class: "band", points: outline.join(" ") }));
  }
  if (banded.length === 1) {
    const [{ x: where, low, high }] = banded;
    marks.push(svg("line", { class: "curve", x1: x(where), x2: x(where), y1: y(low), y2: y(high) }));
  }
  if (given.length === 1) marks.push(svg("circle", { class: "point", cx: x(given[0].x), cy: y(given[0].value), r: 3 }));
  else if (given.length) marks.push(svg("polyline", { class: "curve", points: given.map(at("value")).join(" ") }));
  const picture = svg("svg", { class: "chart", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": title }, ...marks);
  return el("figure", {}, el("figcaption", { text: title }), picture);
}

/** A value with its interval on a line from 0 to 1; the value may be unknown. */
export function bar({ value, low, high }) {
  const place = (v) => 2 + v * 96;
  const mark = value === null ? [] : [svg("line", { class: "value", x1: place(value), x2: place(value), y1: 1, y2: 11 })];
  return svg(
    "svg",
    { class: "bar", viewBox: "0 0 100 12", "aria-hidden": "true", preserveAspectRatio: "none" },
    svg("line", { class: "rule", x1: 2, x2: 98, y1: 6, y2: 6 }),
    svg("line", { class: "span", x1: place(low ?? 0), x2: place(high ?? 1), y1: 6, y2: 6 }),
    ...mark,
  );
}
