// What did the campaigns cost, and what did they return? Only where costs are loaded.
import { filterBy } from "../columns.js";
import { count, money, part } from "../format.js";
import { h } from "../dom.js";
import { currencyOf, returns } from "../join.js";
import { costs, shown, visitsAndCredits } from "../questions.js";
import { inWords } from "../state.js";
import { table } from "../table.js";

export const id = "returns";
export const title = "Costs and return";
export const needs = (state) => ({ ...visitsAndCredits(state), costs: costs(state) });
export const sql = (state, answers) => (state.askable && currencyOf(answers, state) ? shown("returns", state, currencyOf(answers, state)) : costs(state));

export function show(answers, state) {
  const currency = currencyOf(answers, state);
  const rows = returns(answers, currency).sort((a, b) => b.cost - a.cost || a.source.localeCompare(b.source) || a.campaign.localeCompare(b.campaign));
  if (!rows.length) {
    const others = [...new Set((answers.costs?.rows ?? []).map((row) => row.currency))].filter((own) => own !== currency);
    if (others.length) return { empty: `No costs in ${currency || "the chosen currency"}; there are some in ${others.join(", ")}.` };
    return { empty: `No costs are loaded for ${inWords(state)}. Load what Google and Meta export, and the return of each campaign shows here (docs/sql.md, "Costs").` };
  }
  return {
    about: `Costs and sales in ${currency} alone. ROAS: revenue for each unit spent. Cost per sale: what was spent for each.${Object.keys(state.filter).length ? " Visits and sales are those of the filters, costs are of the whole campaign." : ""}`,
    body: table([
      { name: "campaign", title: "Campaign", pick: filterBy(state, "source", "medium", "campaign"), text: (name, row) => name || row.source, after: (row) => h("small", {}, `${row.source} · ${row.medium}`) },
      { name: "cost", title: "Cost", number: true, text: (value) => money(value, currency, true) },
      { name: "visits", title: "Visits", number: true, text: count },
      { name: "sales", title: "Sales", number: true, text: part },
      { name: "revenue", title: currency, number: true, text: (value) => money(value, currency, true) },
      { name: "roas", title: "ROAS", number: true, text: (value) => h("span", { class: value >= 1 ? "up" : "down" }, value.toFixed(2)) },
      { name: "cpa", title: "Per sale", number: true, text: (value) => (value === null ? "–" : money(value, currency)) },
    ], rows, { caption: title, first: 8, bar: "cost" }),
    columns: ["source", "medium", "campaign", "visits", "sales", "revenue", "cost", "roas", "cpa"],
    rows,
  };
}
