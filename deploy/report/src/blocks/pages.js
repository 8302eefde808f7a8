// On which page do visits begin, and which of them sell?
import { filterBy, rateColumn, revenueColumn, salesColumn, visitsColumn } from "../columns.js";
import { byPage, currencyOf, join } from "../join.js";
import { shown, visitsAndCredits } from "../questions.js";
import { inWords } from "../state.js";
import { table } from "../table.js";

export const id = "pages";
export const title = "Landing pages";
export const needs = visitsAndCredits;
export const sql = (state, answers) => shown("pages", state, currencyOf(answers, state));

export function show(answers, state) {
  const currency = currencyOf(answers, state);
  const rows = join(answers, currency, byPage, ({ entry_page }) => ({ entry_page })).filter((row) => row.visits || row.sales)
    .sort((a, b) => b.visits - a.visits || b.revenue - a.revenue || a.entry_page.localeCompare(b.entry_page));
  if (!rows.length) return { empty: `No visit in ${inWords(state)}.` };
  for (const row of rows) row.rate = row.visits ? row.sales / row.visits : NaN;
  return {
    about: "The first page of a visit; sales go to the page of the touch that is credited.",
    body: table([
      { name: "entry_page", title: "Page", pick: filterBy(state, "entry_page"), text: (page) => page || "(no page)" },
      visitsColumn, salesColumn, rateColumn, ...(currency ? [revenueColumn(currency)] : []),
    ], rows, { caption: title, first: 8, bar: "visits" }),
    columns: ["entry_page", "visits", "sales", "revenue"],
    rows,
  };
}
