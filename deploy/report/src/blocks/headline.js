// How is it going? Visits, visitors, sales, revenue by currency, conversion rate; each against the period before.
import { change, count, money, share } from "../format.js";
import { h } from "../dom.js";
import { sold, visits } from "../questions.js";
import { whyNoSales } from "../state.js";

export const id = "headline";
export const title = "Headline";
export const wide = true;

export const needs = (state) => (state.conversion ? { visits: visits(state), sold: sold(state) } : { visits: visits(state) });

export const sql = (state) => Object.values(needs(state)).join(";\n\n");

export function show(answers, state) {
  const of = (now) => answers.visits.rows.find((row) => row.now === now && row.all_days && row.all_sources && row.all_pages) ?? { visits: 0, visitors: 0 };
  const [now, before] = [of(1), of(0)];
  const all = answers.sold?.rows ?? [];
  const sum = (rows, name) => rows.reduce((total, row) => total + row[name], 0);
  const sales = [1, 0].map((period) => sum(all.filter((row) => row.now === period), "sales"));
  const currencies = [...new Set(all.map((row) => row.currency))].filter(Boolean);
  const tiles = [
    { name: "Visits", value: now.visits, before: before.visits, text: count },
    { name: "Visitors", value: now.visitors, before: before.visitors, text: count },
    { name: "Sales", value: sales[0], before: sales[1], text: count },
    ...currencies.map((currency) => {
      const [value, old] = [1, 0].map((period) => sum(all.filter((row) => row.now === period && row.currency === currency), "revenue"));
      return { name: `Revenue ${currency}`, value, before: old, text: (amount) => money(amount, currency, Math.abs(amount) >= 1000) };
    }),
    { name: "Conversion rate", value: now.visits ? sales[0] / now.visits : 0, before: before.visits ? sales[1] / before.visits : 0, text: share, help: "Sales per visit" },
  ];
  const rows = tiles.map(({ name, value, before: old }) => ({ name, value, before: old }));
  if (!now.visits && !before.visits && !sales[0]) return { empty: `No visit in this period. ${whyNoSales(state)}` };
  return { body: h("div", { class: "tiles" }, tiles.map((tile) => drawn(tile, state.compare))), columns: ["name", "value", "before"], rows };
}

function drawn({ name, value, before, text, help }, compare) {
  const { text: more, sign } = change(value, before);
  return h("div", { class: "tile", title: help ?? "" },
    h("span", {}, name), h("b", {}, text(value)),
    compare && h("small", { class: sign > 0 ? "up" : sign < 0 ? "down" : "" }, h("span", { "aria-hidden": "true" }, sign > 0 ? "▲ " : sign < 0 ? "▼ " : ""), more,
      h("span", { class: "hidden" }, `, before: ${text(before)}`)));
}
