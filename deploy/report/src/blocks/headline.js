// How is it going? Visits, visitors, sales, revenue by currency, conversion rate; each against the period before.
import { change, count, money, part, share } from "../format.js";
import { h, svg } from "../dom.js";
import { byDay, currencies, inAll } from "../join.js";
import { shown, visitsAndCredits } from "../questions.js";
import { inWords, whyNoSales } from "../state.js";

export const id = "headline";
export const title = "Headline";
export const wide = true;
export const early = "visits";

export const needs = visitsAndCredits;
export const sql = (state) => shown("headline", state);

export function show(answers, state) {
  const of = (period) => answers.visits.rows.find((row) => row.now === period && inAll(row)) ?? { visits: 0, visitors: 0 };
  const [now, before] = [of(1), of(0)];
  const sold = (answers.credits?.rows ?? []).filter(byDay);
  const total = (name, period, currency) => sold.reduce((sum, row) => sum + (row.now === period && (currency === undefined || row.currency === currency) ? row[name] : 0), 0);
  const series = (name, rows, currency) => {
    const by = new Map();
    for (const row of rows) if (row.now && (currency === undefined || row.currency === currency)) by.set(row.day, (by.get(row.day) ?? 0) + row[name]);
    return state.days.map((day) => by.get(day) ?? 0);
  };
  const sales = [total("sales", 1), total("sales", 0)];
  if (!now.visits && !sales[0] && !state.waiting) return { empty: `No visit in ${inWords(state)}. ${whyNoSales(state)}` };
  const tiles = [
    { name: "Visits", value: now.visits, before: before.visits, text: count, days: series("visits", answers.visits.rows.filter(byDay)) },
    { name: "Visitors", value: now.visitors, before: before.visitors, text: count },
    { name: "Sales", value: sales[0], before: sales[1], text: part, days: series("sales", sold), colour: 2 },
    ...currencies(answers.credits).map((currency) => (
      { name: `Revenue ${currency}`, value: total("revenue", 1, currency), before: total("revenue", 0, currency), text: (amount) => money(amount, currency, Math.abs(amount) >= 1000), days: series("revenue", sold, currency), colour: 2 })),
    { name: "Conversion rate", value: now.visits ? sales[0] / now.visits : 0, before: before.visits ? sales[1] / before.visits : 0, text: share, help: "Sales per visit" },
  ];
  const compare = state.compare && before.visits + sales[1] > 0;
  if (state.waiting) return { body: h("div", { class: "tiles" }, tiles.map((tile, i) => (i < 2 ? drawn(tile, compare) : pending(tile.name)))) };
  const body = [
    h("div", { class: "tiles" }, tiles.map((tile) => drawn(tile, compare))),
    state.compare && !compare && h("p", { class: "empty" }, `Nothing to compare with: no visit in the ${state.days.length} days before.`),
    !sales[0] && h("p", { class: "empty" }, whyNoSales(state)),
  ].filter(Boolean);
  return { body, columns: ["period", "visits", "visitors", "currency", "sales", "revenue"], rows: lines(now, before, total, sold, compare) };
}

/** What the tiles show, as the SQL of the block gives it. */
function lines(now, before, total, sold, compare) {
  const periods = [["this period", 1, now], ...(compare ? [["before", 0, before]] : [])];
  return periods.flatMap(([period, key, { visits, visitors }]) => {
    const own = [...new Set(sold.filter((row) => row.now === key).map((row) => row.currency))];
    const line = (currency) => ({ period, visits, visitors, currency, sales: total("sales", key, currency), revenue: total("revenue", key, currency) });
    return own.length ? own.map(line).sort((a, b) => b.revenue - a.revenue) : [{ ...line(""), sales: 0, revenue: 0 }];
  });
}

const pending = (name) => h("div", { class: "tile" }, h("span", {}, name), h("b", { class: "soft" }, "…"));

function drawn({ name, value, before, text, help, days, colour }, compare) {
  const { text: more, sign } = change(value, before);
  return h("div", { class: "tile", title: help ?? "" },
    h("span", {}, name), h("b", {}, text(value)),
    compare && h("small", { class: sign > 0 ? "up" : sign < 0 ? "down" : "" }, more, h("span", { class: "hidden" }, ` from ${text(before)}`), h("span", { class: "soft", "aria-hidden": "true" }, ` from ${text(before)}`)),
    days && days.length > 2 && spark(days, colour ?? 1));
}

function spark(values, colour) {
  const most = Math.max(...values, 0) || 1;
  const at = (value, i) => `${((i / (values.length - 1)) * 100).toFixed(1)} ${(22 - (Math.max(value, 0) / most) * 20).toFixed(1)}`;
  const line = values.map(at).join(" L");
  return svg("svg", { class: `spark s${colour}`, viewBox: "0 0 100 24", preserveAspectRatio: "none", "aria-hidden": "true" },
    svg("path", { class: "area", d: `M0 24 L${line} L100 24Z` }), svg("path", { class: "line", d: `M${line}` }));
}
