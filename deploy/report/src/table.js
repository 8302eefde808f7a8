// A table of rows: sorted by a click on a column's name, ten rows first, bars behind names, rows that open, names that filter.
import { h } from "./dom.js";

const FIRST = 10;

/**
 * Return a table. columns: [{name, title, text(value, row)?, number?, after(row)?, pick(row)?, help?, class?}]. pick returns
 * a function to call when the name is clicked, or null. after: a small text behind the value. bar: the column whose size is
 * drawn behind the name. A row may have `children`, rows that are shown when it is opened, or `later`, which asks for them.
 */
export function table(columns, rows, { caption, first = FIRST, sort = null, bar = "", colour = 1 } = {}) {
  let order = sort;
  let all = rows.length <= first + 2;
  const open = new Set();
  const most = rows.reduce((found, row) => Math.max(found, row[bar] || 0), 0);
  const holder = h("div", { class: "scroll", role: "group", "aria-label": caption, tabIndex: 0 });

  const ordered = (some) => (order ? [...some].sort((a, b) => order.sign * compare(a[order.name], b[order.name])) : some);

  const lines = (some, depth) =>
    ordered(some).flatMap((row) => [line(row, depth), ...(open.has(row) ? lines((row.children ?? []).slice(0, 50), depth + 1) : [])]);

  function line(row, depth) {
    const expand = row.children?.length || row.later
      ? h("button", {
          type: "button", class: "open", "aria-expanded": String(open.has(row)), "aria-label": `Parts of ${row.label ?? row[columns[0].name]}`,
          onclick: () => { if (!open.delete(row)) open.add(row); draw(row); load(row); },
        }, open.has(row) ? "▾" : "▸")
      : null;
    if (expand) row.button = expand;
    return h("tr", {}, columns.map((one, i) => cell(one, row, i === 0 && { depth, part: most ? (row[bar] || 0) / most : 0, colour }, i === 0 && (expand ?? (rows.some((other) => other.children?.length || other.later) && h("span", { class: "open" }))))));
  }

  /** Ask for the parts of a row that has them only later; without an answer the row is closed again. */
  function load(row) {
    if (!row.later || row.children || !open.has(row)) return;
    holder.setAttribute("aria-busy", "true");
    row.later().then((children) => { row.children = children; }, () => open.delete(row)).then(() => {
      holder.removeAttribute("aria-busy");
      draw(document.activeElement === row.button && row);
    });
  }

  function draw(focus) {
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
    const shown = all ? rows : ordered(rows).slice(0, first);
    const more = !all && h("button", { type: "button", class: "more", onclick: () => { all = true; draw(); holder.focus(); } }, `Show all ${rows.length}`);
    holder.replaceChildren(
      h("table", {}, caption && h("caption", { class: "hidden" }, caption), h("thead", {}, h("tr", {}, head)), h("tbody", {}, lines(shown, 0))),
      more || "");
    if (typeof focus === "string") holder.querySelector(`[data-sort="${CSS.escape(focus)}"]`)?.focus();
    else focus?.button?.focus();
  }

  draw();
  return holder;
}

function cell(column, row, name, before) {
  const value = row[column.name];
  const text = column.text ? column.text(value, row) : String(value ?? "");
  const pick = column.pick?.(row);
  const content = [
    before,
    pick ? h("button", { type: "button", class: "pick", onclick: pick, title: "Show only this" }, text) : text,
    column.after && column.after(row),
  ];
  if (!name) return h("td", { class: [column.number ? "n" : "", column.class ?? ""].filter(Boolean).join(" ") }, content);
  const bar = name.part > 0 && h("span", { class: `bar b${name.colour}`, "aria-hidden": "true", style: { "--part": `${Math.max(name.part * 100, 0.5)}%` } });
  return h("th", { scope: "row", class: `d${name.depth}` }, h("div", { class: "name" }, bar, h("div", {}, content)));
}

function compare(a, b) {
  if (typeof a === "number" && typeof b === "number") return a - b;
  return String(a ?? "").localeCompare(String(b ?? ""), "en");
}
