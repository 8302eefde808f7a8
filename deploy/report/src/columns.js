// The columns that several tables have in common.
import { change, count, money, part, share } from "./format.js";
import { h } from "./dom.js";
import { filterValues } from "./state.js";

export const visitsColumn = { name: "visits", title: "Visits", number: true, text: count };
export const salesColumn = { name: "sales", title: "Sales", number: true, text: part };
export const rateColumn = { name: "rate", title: "Rate", number: true, text: share, help: "Sales per visit" };
export const revenueColumn = (currency) => ({ name: "revenue", title: currency, number: true, text: (value) => money(value, currency, true), help: `Revenue in ${currency}, by the chosen model` });

/** Return what filters by these texts, "" too. Returns null in a saved page, or where the filters are on already. */
export function filterTo(state, values) {
  if (state.saved || Object.entries(values).every(([name, value]) => state.filter[name] === value)) return null;
  return () => state.go(filterValues(state.filter, values));
}

/** Return what a click on a row's name does: filter by these columns. */
export const filterBy = (state, ...names) => (row) => filterTo(state, Object.fromEntries(names.map((name) => [name, row[name] ?? ""])));

/** A column "+12 %" of another one against its `_before`. */
export const changeColumn = (name) => ({
  name: `${name}_change`, title: "±", number: true, class: "delta", help: "Against the period before",
  text: (_, row) => delta(row[name], row[`${name}_before`]),
});

function delta(now, before) {
  if (before === undefined) return ""; // nothing is known of it
  if (!now && !before) return "";
  const { text, sign } = change(now, before);
  return h("span", { class: sign > 0 ? "up" : sign < 0 ? "down" : "soft" }, text);
}

/** Give rows the numbers that their tables sort by: rate, and the changes. */
export function withChanges(rows) {
  for (const row of rows) {
    row.rate = row.visits ? row.sales / row.visits : NaN;
    for (const name of ["visits", "revenue"]) row[`${name}_change`] = row[`${name}_before`] ? row[name] / row[`${name}_before`] - 1 : row[name] ? Infinity : 0;
    if (row.children) withChanges(row.children);
  }
  return rows;
}
