// Where does it come from? Channel, source, medium, campaign with visits, sales and value by the chosen model.
import { count, money, part, share } from "../format.js";
import { credits, visits } from "../questions.js";
import { table } from "../table.js";

export const id = "channels";
export const title = "Where it comes from";
export const wide = true;

export const needs = (state) => (state.conversion ? { visits: visits(state), credits: credits(state) } : { visits: visits(state) });

export const sql = (state) => Object.values(needs(state)).join(";\n\n");

export function show(answers, state) {
  const level = state.filter.source ? "campaign" : state.filter.channel ? "source" : "channel";
  const by = new Map();
  const line = (name) => by.get(name) ?? by.set(name, { name, visits: 0, sales: 0 }).get(name);
  for (const row of answers.visits.rows) if (row.now && !row.all_sources) line(row[level]).visits += row.visits;
  const currencies = [...new Set((answers.credits?.rows ?? []).map((row) => row.currency))].filter(Boolean).sort();
  for (const row of answers.credits?.rows ?? []) {
    const own = line(row[level]);
    own.sales += row.sales;
    if (row.currency) own[row.currency] = (own[row.currency] ?? 0) + row.revenue;
  }
  const rows = [...by.values()].sort((a, b) => b.visits - a.visits);
  for (const row of rows) row.rate = row.visits ? row.sales / row.visits : 0;
  if (!rows.length) return { empty: "No visit in this period." };
  const columns = [
    { name: "name", title: level, text: (name) => name || "(not set)", pick: (row) => level !== "campaign" && row.name && (() => state.go({ [level]: row.name })) },
    { name: "visits", title: "Visits", number: true, text: count, bar: true },
    { name: "sales", title: "Sales", number: true, text: part },
    { name: "rate", title: "Rate", number: true, text: share },
    ...currencies.map((currency) => ({ name: currency, title: currency, number: true, text: (value) => money(value ?? 0, currency, true) })),
  ];
  return { body: table(columns, rows, { caption: title }), columns: columns.map(({ name }) => name), rows };
}
