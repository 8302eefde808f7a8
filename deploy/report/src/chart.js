// Bars and a line by day, drawn by uPlot on a canvas in the page's colours, with the numbers of the day under the pointer.
import uPlot from "uplot";
import { brief, count, longDay, money, shortDay } from "./format.js";
import { h } from "./dom.js";

const DARK = "(prefers-color-scheme: dark)";

/** Draw `visits` as bars and `value` ({name, title, text}) as a line; `compare`: also as it was. Returns what ends it. */
export function chart(holder, rows, value, compare) {
  let drawn = null;
  const size = () => ({ width: Math.max(holder.clientWidth, 200), height: holder.clientWidth < 500 ? 220 : 280 });
  const draw = () => {
    drawn?.destroy();
    holder.replaceChildren();
    drawn = new uPlot(options(holder, rows, value, compare, size()), data(rows, value, compare), holder);
    drawn.root.setAttribute("role", "img");
    drawn.root.setAttribute("aria-label", `Visits and ${value.title} by day, from ${longDay(rows[0].day)} to ${longDay(rows.at(-1).day)}. The numbers are in the table below.`);
  };
  draw();
  const resize = new ResizeObserver(() => drawn.width === size().width || drawn.setSize(size()));
  resize.observe(holder);
  const scheme = matchMedia(DARK);
  scheme.addEventListener("change", draw);
  return () => {
    scheme.removeEventListener("change", draw);
    resize.disconnect();
    drawn.destroy();
  };
}

function data(rows, value, compare) {
  const column = (name) => rows.map((row) => row[name]);
  return [rows.map((_, i) => i), column("visits"), ...(compare ? [column(`${value.name}_before`)] : []), column(value.name)];
}

function options(holder, rows, value, compare, size) {
  const style = getComputedStyle(holder);
  const colour = (name) => style.getPropertyValue(name).trim();
  const clear = (name, part) => `color-mix(in srgb, ${colour(name)} ${part}%, transparent)`;
  const font = `12px ${style.fontFamily}`;
  const axis = { stroke: colour("--soft"), font, grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false } };
  const range = (_, __, most) => [0, most > 0 ? most * 1.08 : 1];
  const narrow = size.width < 500;
  const currency = value.name === "revenue" ? value.title.split(" ").at(-1) : "";
  const line = { scale: "value", points: { show: rows.length < 3 }, paths: rows.length > 2 ? uPlot.paths.spline() : undefined };
  return {
    ...size,
    padding: [14, narrow ? 4 : 8, 0, 4],
    legend: { show: false },
    cursor: { y: false, drag: { x: false, y: false }, points: { size: 8, width: 2, fill: colour("--card") } },
    scales: { x: { time: false, range: () => [-0.6, rows.length - 0.4] }, visits: { range }, value: { range } },
    axes: [
      { ...axis, grid: { show: false }, splits: () => ticks(rows.length, narrow ? 4 : 10), values: (_, splits) => splits.map((i) => shortDay(rows[i].day)) },
      { ...axis, scale: "visits", size: narrow ? 38 : 50, values: (_, splits) => splits.map((split) => (Number.isInteger(split) ? brief(split) : "")) },
      { ...axis, scale: "value", side: 1, grid: { show: false }, size: narrow ? 48 : 64, values: (_, splits) => splits.map((split) => (currency ? money(split, currency, split >= 10) : Number.isInteger(split) ? brief(split) : "")) },
    ],
    series: [
      {},
      { scale: "visits", fill: clear("--c1", 30), stroke: "transparent", points: { show: false }, paths: uPlot.paths.bars({ size: [0.72, 60], radius: 0.15 }) },
      ...(compare ? [{ ...line, stroke: colour("--c6"), width: 1.6, dash: [5, 5] }] : []),
      { ...line, stroke: colour("--c2"), width: 2.4, fill: clear("--c2", 9) },
    ],
    plugins: [pointer(rows, value, compare)],
  };
}

/** Places of at most `most` days of an axis, evenly apart. */
function ticks(length, most) {
  const step = Math.max(1, Math.ceil(length / most));
  return Array.from({ length: Math.ceil(length / step) }, (_, i) => i * step);
}

function pointer(rows, value, compare) {
  const tip = h("div", { class: "tip", hidden: true });
  return {
    hooks: {
      init: (plot) => plot.over.append(tip),
      setCursor: (plot) => {
        const { idx, left } = plot.cursor;
        tip.hidden = idx == null || left < 0;
        if (tip.hidden) return;
        const row = rows[idx];
        tip.replaceChildren(h("b", {}, longDay(row.day)), h("span", { class: "key k1" }, `Visits ${count(row.visits)}`),
          h("span", { class: "key k2" }, `${value.title} ${value.text(row[value.name])}`),
          compare ? h("span", { class: "key k6" }, `Before ${value.text(row[`${value.name}_before`])}`) : "");
        const x = plot.valToPos(idx, "x");
        const flip = x > plot.over.clientWidth / 2;
        tip.style.left = flip ? "auto" : `${x + 14}px`;
        tip.style.right = flip ? `${plot.over.clientWidth - x + 14}px` : "auto";
      },
    },
  };
}
