// A table of rows: sorted by a click on a column's name, ten rows first, bars behind numbers, names that filter.
import { h } from "./dom.js";

const FIRST = 10;

/**
 * Return a table. columns: [{name, title, text(value, row)?, number?, bar?, pick(row)?, sub(row)?, help?}].
 * pick returns a function to call when the name is clicked, or null. sub: a second line under the name, softer.
 */
export function table(columns, rows, { caption, first = FIRST, sort = null } = {}) {
  let order = sort;
  let all = rows.length <= first + 2;
  const most = Object.fromEntries(columns.filter((one) => one.bar).map((one) => [one.name, Math.max(...rows.map((row) => Math.abs(row[one.name]) || 0), 0)]));
  const holder = h("div", { class: "scroll", role: "group", "aria-label": caption, tabIndex: 0 });

  function draw(focus) {
    const sorted = order ? [...rows].sort((a, b) => order.sign * compare(a[order.name], b[order.name])) : rows;
    const head = columns.map((one) => {
      const now = order?.name === one.name ? order.sign : 0;
      const turn = () => {
        order = { name: one.name, sign: now ? -now : one.number ? -1 : 1 };
        draw(one.name);
      };
      return h("th", { scope: "col", class: one.number ? "n" : "", "aria-sort": now ? (now > 0 ? "ascending" : "descending") : false },
        h("button", { type: "button", "data-sort": one.name, title: one.help ?? "Sort", onclick: turn }, one.title,
          h("span", { "aria-hidden": "true", class: "order" }, now ? (now > 0 ? " ↑" : " ↓") : "")));
    });
    const lines = (all ? sorted : sorted.slice(0, first)).map((row) =>
      h("tr", { class: row.class ?? "" }, columns.map((one, i) => cell(one, row, i === 0, most[one.name]))));
    const more = !all && h("button", { type: "button", class: "more", onclick: () => { all = true; draw(); holder.focus(); } }, `Show all ${rows.length}`);
    holder.replaceChildren(h("table", {}, caption && h("caption", { class: "hidden" }, caption), h("thead", {}, h("tr", {}, head)), h("tbody", {}, lines)), more || "");
    if (focus) holder.querySelector(`[data-sort="${CSS.escape(focus)}"]`)?.focus();
  }

  draw();
  return holder;
}

function cell(column, row, isName, most) {
  const value = row[column.name];
  const text = column.text ? column.text(value, row) : String(value ?? "");
  const pick = column.pick?.(row);
  const content = [
    pick ? h("button", { type: "button", class: "pick", onclick: pick, title: "Show only this" }, text) : text,
    column.sub?.(row) && h("small", {}, column.sub(row)),
  ];
  if (isName) return h("th", { scope: "row", class: column.class ?? "" }, content);
  const bar = most ? { style: { "--part": `${((Math.abs(value) || 0) / most) * 100}%` } } : {};
  return h("td", { class: [column.number ? "n" : "", most ? "bar" : "", column.class ?? ""].filter(Boolean).join(" "), ...bar }, content);
}

function compare(a, b) {
  if (typeof a === "number" && typeof b === "number") return a - b;
  return String(a ?? "").localeCompare(String(b ?? ""), "en");
}
