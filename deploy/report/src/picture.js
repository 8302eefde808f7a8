// A block as a PNG: its charts as they are drawn, its rows as a table. Drawn on a canvas, so nothing is fetched.

const WIDTH = 1000;
const LINE = 26;

/** Return a PNG of a block, twice as fine as the screen. `exports`: {title, columns, rows, state}. */
export function picture(section, { title, columns, rows, state }) {
  const style = getComputedStyle(section);
  const colour = (name) => style.getPropertyValue(name).trim();
  const charts = [...section.querySelectorAll("canvas")].filter((one) => one.width && one.height);
  const shown = charts.length ? [] : rows.slice(0, 30);
  const heights = charts.map((chart) => (chart.height / chart.width) * (WIDTH - 48));
  const height = 84 + heights.reduce((sum, one) => sum + one, 0) + (shown.length ? (shown.length + 1) * LINE : 0) + 24;
  const canvas = document.createElement("canvas");
  canvas.width = WIDTH * 2;
  canvas.height = height * 2;
  const pen = canvas.getContext("2d");
  pen.scale(2, 2);
  pen.fillStyle = colour("--card");
  pen.fillRect(0, 0, WIDTH, height);
  const write = (text, x, y, font, ink, align = "left") => {
    pen.font = `${font} ${style.fontFamily}`;
    pen.fillStyle = ink;
    pen.textAlign = align;
    pen.fillText(text, x, y);
  };
  write(title, 24, 36, "600 20px", colour("--ink"));
  write(`${state.site}, ${state.since} to ${state.lastDay}`, 24, 60, "14px", colour("--soft"));
  let y = 84;
  charts.forEach((chart, i) => {
    pen.drawImage(chart, 24, y, WIDTH - 48, heights[i]);
    y += heights[i];
  });
  if (shown.length) {
    const numeric = columns.map((name) => rows.every((row) => typeof row[name] !== "string"));
    const weights = columns.map((name, i) => (numeric[i] ? 1 : 1.8));
    const sum = weights.reduce((all, one) => all + one, 0);
    const ends = [];
    weights.reduce((at, one) => (ends.push(at + (one / sum) * (WIDTH - 48)), ends.at(-1)), 24);
    const lines = [columns, ...shown.map((row) => columns.map((name) => row[name]))];
    lines.forEach((line, row) => {
      pen.strokeStyle = colour("--line");
      if (row) pen.strokeRect(24, y + 0.5, WIDTH - 48, 0);
      line.forEach((value, i) => {
        const start = i ? ends[i - 1] : 24;
        const text = cut(pen, typeof value === "number" ? String(Math.round(value * 100) / 100) : (value ?? ""), ends[i] - start - 12);
        const ink = row ? colour("--ink") : colour("--soft");
        pen.save();
        if (numeric[i]) write(text, ends[i] - 6, y + 18, "14px", ink, "right");
        else write(text, start, y + 18, "14px", ink);
        pen.restore();
      });
      y += LINE;
    });
  }
  return new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
}

function cut(pen, text, width) {
  let short = String(text);
  pen.font = "14px sans-serif";
  while (short.length > 1 && pen.measureText(short).width > width) short = `${short.slice(0, -2)}…`;
  return short;
}
