// Do they come back? Those who came for the first time on a day, and how many of them were here again later.
import { count, share, shortDay } from "../format.js";
import { h } from "../dom.js";
import { cohorts } from "../questions.js";
import { plus } from "../period.js";
import { inWords } from "../state.js";

export const id = "cohorts";
export const title = "Coming back";
export const unfiltered = "Of all visits: the filters do not apply here.";
export const wide = true;
const COLUMNS = 21;
const LINES = 14;

export const needs = (state) => ({ cohorts: cohorts(state) });
export const sql = (state) => cohorts(state);

export function show(answers, state) {
  const { rows } = answers.cohorts;
  if (!rows.length) return { empty: `Nobody came for the first time in ${inWords(state)}.` };
  const by = new Map();
  for (const row of rows) by.set(row.cohort, (by.get(row.cohort) ?? new Map()).set(row.day, row));
  const shown = [...by].slice(-LINES);
  const last = Math.min(COLUMNS, Math.max(...rows.map((row) => row.day)));
  const most = Math.max(...rows.filter((row) => row.day).map((row) => row.rate), 0.01);
  const cells = (cohort, days) => Array.from({ length: last }, (_, i) => {
    const day = i + 1;
    if (plus(cohort, day) >= state.until) return h("td", { class: "none" });
    const rate = days.get(day)?.rate ?? 0;
    return h("td", { style: { "--heat": `${Math.round((rate / most) * 42)}%` }, title: `${count(days.get(day)?.visitors ?? 0)} of ${count(days.get(0).visitors)}, ${day} days later` }, rate ? share(rate).replace(" %", "").replace(/\.\d+$/, "") : "·");
  });
  return {
    about: "Of the people whose first visit was on a day, the part (%) that was here again so many days later.",
    body: h("div", { class: "scroll", tabIndex: 0, role: "group", "aria-label": title }, h("table", { class: "heat" },
      h("caption", { class: "hidden" }, title),
      h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "First visit"), h("th", { scope: "col", class: "n" }, "People"),
        Array.from({ length: last }, (_, i) => h("th", { scope: "col" }, `+${i + 1}`)))),
      h("tbody", {}, shown.map(([cohort, days]) => h("tr", {}, h("th", { scope: "row" }, shortDay(cohort)), h("td", { class: "n" }, count(days.get(0).visitors)), cells(cohort, days)))))),
    columns: ["cohort", "day", "visitors", "rate"],
    rows,
  };
}
