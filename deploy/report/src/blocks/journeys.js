// By which ways do buyers come, and how long does it take?
import { money, part } from "../format.js";
import { h } from "../dom.js";
import { byPath, currencyOf } from "../join.js";
import { credits, shown } from "../questions.js";
import { whyNoSales } from "../state.js";
import { table } from "../table.js";

export const id = "journeys";
export const title = "Journeys";
export const needs = (state) => (state.askable ? { credits: credits(state) } : {});
export const sql = (state) => (state.askable ? shown("journeys", state) : "");

const took = (days) => (days < 1 / 24 ? `${Math.max(1, Math.round(days * 1440))} min` : days < 1 ? `${part(Math.round(days * 24))} h` : `${part(Math.round(days * 10) / 10)} d`);

export function show(answers, state) {
  const found = (answers.credits?.rows ?? []).filter((row) => row.now && byPath(row) && row.sales > 0);
  if (!found.length) return { empty: whyNoSales(state) };
  const currency = currencyOf(answers, state);
  const by = new Map();
  for (const row of found) {
    const path = row.path || "Unattributed";
    const own = by.get(path) ?? by.set(path, { path, sales: 0, revenue: 0, days: row.days }).get(path);
    own.sales += row.sales;
    if (row.currency === currency) own.revenue += row.revenue;
  }
  const rows = [...by.values()].sort((a, b) => b.sales - a.sales || b.revenue - a.revenue);
  const way = (path) => h("span", { class: "way" }, path.split(" > ").map((step) => h("span", {}, step)), h("span", { class: "end" }, state.conversion));
  return {
    about: "Visits and clicks of the 30 days before a sale; the same one twice in a row counts once. Time: the middle one, from the first touch.",
    body: table([
      { name: "path", title: "Way", text: way },
      { name: "sales", title: "Sales", number: true, text: part },
      { name: "days", title: "Time", number: true, text: took },
      ...(currency ? [{ name: "revenue", title: currency, number: true, text: (value) => money(value, currency, true) }] : []),
    ], rows, { caption: title, first: 8 }),
    columns: ["path", "currency", "sales", "revenue", "days"],
    rows: found,
  };
}
