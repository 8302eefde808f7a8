// What changed most against the period before: sources and campaigns with the largest difference.
import { filterBy, withChanges } from "../columns.js";
import { change, count, money } from "../format.js";
import { h } from "../dom.js";
import { bySource, currencyOf, join } from "../join.js";
import { shown, visitsAndCredits } from "../questions.js";
import { table } from "../table.js";

export const id = "changes";
export const title = "What changed most";
export const needs = visitsAndCredits;
export const sql = (state, answers) => shown("changes", state, currencyOf(answers, state));

export function show(answers, state) {
  if (!state.compare) return { empty: "Compare with the period before to see what changed." };
  const currency = currencyOf(answers, state);
  const rows = join(answers, currency, bySource, ({ channel, source, campaign }) => ({ channel, source, campaign }));
  if (!rows.some((row) => row.visits_before || row.sales_before)) return { empty: `Nothing to compare with: no visit in the ${state.days.length} days before.` };
  const found = rows.map((row) => ({
    ...row, name: [row.source, row.campaign].filter(Boolean).join(" · ") || row.channel,
    difference: row.visits - row.visits_before, earned: row.revenue - row.revenue_before,
  })).filter((row) => row.difference || row.earned);
  withChanges(found).sort((a, b) => Math.abs(b.difference) - Math.abs(a.difference) || Math.abs(b.earned) - Math.abs(a.earned));
  if (!found.length) return { empty: "Nothing changed." };
  const signed = (value, text) => `${value > 0 ? "+" : value < 0 ? "−" : ""}${text(Math.abs(value))}`;
  const coloured = (value, text) => h("span", { class: value > 0 ? "up" : value < 0 ? "down" : "soft" }, signed(value, text));
  return {
    about: "Against the period before.",
    body: table([
      { name: "name", title: "Source, campaign", pick: filterBy(state, "channel", "source", "campaign") },
      { name: "difference", title: "Visits", number: true, text: (value) => coloured(value, count), },
      { name: "visits_change", title: "±", number: true, class: "delta", text: (_, row) => change(row.visits, row.visits_before).text },
      ...(currency ? [{ name: "earned", title: currency, number: true, text: (value) => coloured(value, (amount) => money(amount, currency, true)) }] : []),
    ], found, { caption: title, first: 8 }),
    columns: ["channel", "source", "campaign", "visits", "visits_before", "revenue", "revenue_before"],
    rows: found,
  };
}
