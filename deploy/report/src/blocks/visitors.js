// Who comes? New and returning, devices, countries; how many stay, and how many convert.
import { filterBy } from "../columns.js";
import { count, share } from "../format.js";
import { h } from "../dom.js";
import { shown, visitors } from "../questions.js";
import { FILTERS, inWords, whyNoSales } from "../state.js";

export const id = "visitors";
export const title = "New and returning, devices";
const PARTS = { who: "New and returning", device: "Device", country: "Country" };

export const needs = (state) => (state.askable ? { visitors: visitors(state) } : {});
export const sql = (state) => (state.askable ? shown("visitors", state) : "");

export function show(answers, state) {
  if (!state.askable) return { empty: whyNoSales(state) };
  const rows = answers.visitors.rows.filter((row) => row.part in PARTS);
  if (!rows.length) return { empty: `No visit in ${inWords(state)}.` };
  const all = rows.filter((row) => row.part === "who").reduce((sum, row) => sum + row.visits, 0);
  const named = (row) => {
    const text = row.name || "(not known)";
    const pick = row.part in FILTERS ? filterBy(state, row.part)({ [row.part]: row.name }) : null;
    return pick ? h("button", { type: "button", class: "pick", title: "Show only this", onclick: pick }, text) : text;
  };
  const line = (row) => h("tr", {}, h("th", { scope: "row" }, h("div", { class: "name" }, h("span", { class: "bar b1", "aria-hidden": "true", style: { "--part": `${(row.visits / all) * 100}%` } }), h("div", {}, named(row)))),
    h("td", { class: "n" }, count(row.visits)), h("td", { class: "n" }, share(row.visits / all)), h("td", { class: "n" }, share(row.bounces / row.visits)), h("td", { class: "n" }, share(row.converted / row.visits)));
  const groups = Object.entries(PARTS).map(([part, name]) => h("tbody", {}, h("tr", {}, h("th", { scope: "rowgroup", colSpan: 5, class: "group" }, name)), rows.filter((row) => row.part === part).slice(0, 6).map(line)));
  return {
    about: "New: no visit in the 30 days before. Bounce: one page, under ten seconds. Rate: visits with a sale in them.",
    body: h("div", { class: "scroll", tabIndex: 0, role: "group", "aria-label": title }, h("table", {}, h("caption", { class: "hidden" }, title),
      h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Part"), ["Visits", "Of all", "Bounce", "Rate"].map((name) => h("th", { scope: "col", class: "n" }, name)))), groups)),
    columns: ["part", "name", "visits", "people", "bounces", "engaged_s", "converted"],
    rows,
  };
}
