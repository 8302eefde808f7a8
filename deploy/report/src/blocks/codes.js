// Which named link or QR code was followed, and what did it bring?
import { filterBy, rateColumn, revenueColumn, salesColumn, visitsColumn } from "../columns.js";
import { count } from "../format.js";
import { bySource, byWorth, currencyOf, join, links } from "../join.js";
import { credits, health, shown, visitors } from "../questions.js";
import { inWords, whyNoSales } from "../state.js";
import { table } from "../table.js";

export const id = "codes";
export const title = "Named links and QR codes";
export const needs = (state) => (state.askable ? { credits: credits(state), health: health(state), visitors: visitors(state) } : {});
export const sql = (state, answers) => state.askable && shown("codes", state, currencyOf(answers, state));

export function show(answers, state) {
  if (!state.askable) return { empty: whyNoSales(state) };
  const currency = currencyOf(answers, state);
  const clicks = new Map(answers.health.rows.filter((row) => row.part === "click").map((row) => [row.name, row.events]));
  const brought = join({ visits: { rows: links(answers.visitors) }, credits: answers.credits }, currency, (row) => row.now && bySource(row), ({ link_code }) => (link_code ? { link_code } : null)).filter((row) => row.visits || row.sales);
  const known = new Set(brought.map((row) => row.link_code));
  const filtered = Object.keys(state.filter).length > 0;
  const clicked = filtered ? [] : [...clicks.keys()].filter((code) => !known.has(code)).map((link_code) => ({ link_code, visits: 0, sales: 0, revenue: 0 }));
  const rows = [...brought, ...clicked].map((row) => ({ ...row, clicks: clicks.get(row.link_code) ?? 0 }));
  if (!rows.length) return { empty: `No named link was followed in ${inWords(state)}. The page Links makes one, with its QR code.` };
  for (const row of rows) row.rate = row.visits ? row.sales / row.visits : NaN;
  rows.sort((a, b) => byWorth(a, b) || b.clicks - a.clicks || a.link_code.localeCompare(b.link_code));
  return {
    about: `Links /c/CODE, printed as a QR code or not. Sales go to the click that is credited.${filtered ? " The filters do not apply to clicks." : ""}`,
    body: table([
      { name: "link_code", title: "Code", pick: filterBy(state, "link_code") },
      { name: "clicks", title: "Clicks", number: true, text: count, help: "Clicks of people" },
      visitsColumn, salesColumn, rateColumn, ...(currency ? [revenueColumn(currency)] : []),
    ], rows, { caption: title, first: 8, bar: currency ? "revenue" : "clicks", colour: currency ? 2 : 1 }),
    columns: ["link_code", "clicks", "visits", "sales", "revenue"],
    rows,
  };
}
