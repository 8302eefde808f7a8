// Lines by day, drawn by uPlot on a canvas in the page's colours.
import uPlot from "uplot";

/** Draw visits and sales (or money) by day into `holder`; returns uPlot's object with `destroy`. */
export function chart(holder, rows, currency) {
  const style = getComputedStyle(holder);
  const colour = (name) => style.getPropertyValue(name).trim();
  const size = () => ({ width: Math.max(holder.clientWidth, 200), height: 260 });
  const at = rows.map(({ day }) => Date.parse(`${day}T00:00:00Z`) / 1000);
  const money = currency || "sales";
  const axis = { stroke: colour("--soft"), grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false } };
  const drawn = new uPlot({
    ...size(),
    tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "Etc/UTC"),
    scales: { x: { time: true }, visits: { range: (_, __, most) => [0, most * 1.1 || 1] }, money: { range: (_, __, most) => [0, most * 1.1 || 1] } },
    axes: [axis, { ...axis, scale: "visits" }, { ...axis, scale: "money", side: 1, grid: { show: false } }],
    series: [
      {},
      { label: "Visits", scale: "visits", stroke: colour("--c1"), width: 2, points: { show: false } },
      { label: money === "sales" ? "Sales" : `Revenue ${money}`, scale: "money", stroke: colour("--c2"), width: 2, points: { show: false } },
    ],
  }, [at, rows.map((row) => row.visits), rows.map((row) => row[money])], holder);
  const resize = new ResizeObserver(() => drawn.setSize(size()));
  resize.observe(holder);
  return { destroy: () => { resize.disconnect(); drawn.destroy(); } };
}
