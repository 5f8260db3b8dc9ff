// A small graph of the last minutes.

import { SPAN } from "./rates.js";

const NAMESPACE = "http://www.w3.org/2000/svg";
const WIDTH = 300;
const HEIGHT = 40;

/** Seconds that a graph shows at least, where the page was opened only now. */
const LEAST = 60;

/** Draw one unit of a history into an SVG element, up to the time `now`, and say in words what it shows. */
export function drawGraph(svg, history, unit, now, words) {
  if (!svg.firstChild) prepare(svg);
  const [area, line] = svg.children;
  const most = history.reduce((most, point) => Math.max(most, point[unit]), 0);
  const span = Math.min(SPAN, Math.max(LEAST, now - (history[0]?.at ?? now)));
  const x = (at) => (WIDTH * Math.max(0, at - (now - span))) / span;
  const y = (value) => HEIGHT - 1 - (HEIGHT - 3) * (most ? value / most : 0);
  // Each rate is that of the time before its point.
  let path = "";
  for (const [number, point] of history.entries()) {
    const height = y(point[unit]).toFixed(1);
    path += number ? `V${height}H${x(point.at).toFixed(1)}` : `M${x(point.at).toFixed(1)} ${height}`;
  }
  line.setAttribute("d", path);
  const first = history.length ? x(history[0].at).toFixed(1) : 0;
  area.setAttribute("d", path && `${path}V${HEIGHT}H${first}Z`);
  svg.setAttribute("aria-label", words(most));
}

function prepare(svg) {
  svg.setAttribute("role", "img");
  svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
  svg.setAttribute("preserveAspectRatio", "none");
  for (const name of ["area", "line"]) {
    const path = document.createElementNS(NAMESPACE, "path");
    path.classList.add(name);
    svg.append(path);
  }
}

/** A new graph, for a row of a table. */
export function newGraph() {
  const svg = document.createElementNS(NAMESPACE, "svg");
  svg.classList.add("graph");
  return svg;
}
