// When? Revenue (or sales) and visits by day, in the site's time zone.
import { chart } from "../chart.js";
import { count, longDay, money, part } from "../format.js";
import { h } from "../dom.js";
import { byDay, currencyOf, join } from "../join.js";
import { shown, visitsAndCredits } from "../questions.js";
import { between, plus } from "../period.js";
import { inWords } from "../state.js";
import { table } from "../table.js";

export const id = "days";
export const title = "Day by day";
export const wide = true;

export const needs = visitsAndCredits;
export const sql = (state, answers) => shown("days", state, currencyOf(answers, state));

export function show(answers, state) {
  const currency = currencyOf(answers, state);
  const length = between(state.since, state.until);
  const found = new Map(join(answers, currency, byDay, (row) => ({ day: row.now ? row.day : plus(row.day, length) })).map((row) => [row.day, row]));
  const rows = state.days.map((day) => found.get(day) ?? { day, visits: 0, sales: 0, revenue: 0, visits_before: 0, sales_before: 0, revenue_before: 0 });
  if (!rows.some((row) => row.visits || row.sales)) return { empty: `No visit and no sale in ${inWords(state)}.` };
  const value = currency ? { name: "revenue", title: `Revenue ${currency}`, text: (amount) => money(amount, currency) } : { name: "sales", title: "Sales", text: part };
  const compare = state.compare && rows.some((row) => row.visits_before || row.sales_before);
  const best = rows.reduce((most, row) => (row[value.name] > most[value.name] ? row : most));
  const holder = h("div", { class: "chart" });
  const details = h("details", { class: "as-table" }, h("summary", {}, "As a table"));
  details.addEventListener("toggle", () => details.childElementCount > 1 || details.append(asTable(rows, currency)));
  let drawn = null;
  return {
    about: `Bars are visits, the line is ${value.title.toLowerCase().replace(currency.toLowerCase(), currency)}${compare ? "; dashed: the period before" : ""}. Best day: ${longDay(best.day)} with ${value.text(best[value.name])}.`,
    body: [holder, details],
    columns: ["day", "visits", "sales", "revenue"],
    rows,
    begin: () => { drawn = chart(holder, rows, value, compare); },
    end: () => drawn?.(),
  };
}

function asTable(rows, currency) {
  return table([
    { name: "day", title: "Day", text: longDay },
    { name: "visits", title: "Visits", number: true, text: count },
    { name: "sales", title: "Sales", number: true, text: part },
    ...(currency ? [{ name: "revenue", title: currency, number: true, text: (value) => money(value, currency) }] : []),
  ], rows, { caption: title, first: 400 });
}
