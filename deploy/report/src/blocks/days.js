// When? Revenue (or sales) and visits by day, in the site's time zone.
import { h } from "../dom.js";
import { sold, visits } from "../questions.js";
import { chart } from "../chart.js";

export const id = "days";
export const title = "Day by day";
export const wide = true;

export const needs = (state) => (state.conversion ? { visits: visits(state), sold: sold(state) } : { visits: visits(state) });

export const sql = (state) => Object.values(needs(state)).join(";\n\n");

export function show(answers, state) {
  const by = new Map(state.days.map((day) => [day, { day, visits: 0, sales: 0 }]));
  const currencies = [...new Set((answers.sold?.rows ?? []).map((row) => row.currency))].filter(Boolean).sort();
  for (const row of by.values()) for (const currency of currencies) row[currency] = 0;
  for (const row of answers.visits.rows) if (row.now && !row.all_days && by.has(row.day)) by.get(row.day).visits = row.visits;
  for (const row of answers.sold?.rows ?? []) {
    const line = by.get(row.day);
    if (!line) continue;
    line.sales += row.sales;
    if (row.currency) line[row.currency] += row.revenue;
  }
  const rows = [...by.values()];
  if (!rows.some((row) => row.visits || row.sales)) return { empty: "No visit and no sale in this period." };
  const holder = h("div", { class: "chart" });
  let drawn = null;
  return {
    body: holder,
    columns: ["day", "visits", "sales", ...currencies],
    rows,
    begin: () => { drawn = chart(holder, rows, state.currency || currencies[0] || ""); },
    end: () => drawn?.destroy(),
  };
}
