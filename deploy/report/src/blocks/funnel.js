// How far do people get?
import { count, share } from "../format.js";
import { h } from "../dom.js";
import { funnel } from "../questions.js";
import { inWords } from "../state.js";

export const id = "funnel";
export const title = "Funnel";
export const needs = (state) => (state.steps.length > 1 ? { funnel: funnel(state) } : {});
export const sql = (state) => (state.steps.length > 1 ? funnel(state) : "");

export function show(answers, state) {
  if (state.steps.length < 2) return { empty: "A funnel needs two steps: events that the site sends, such as pageview and purchase." };
  const { rows } = answers.funnel;
  if (!rows[0]?.visitors) return { empty: `Nobody did "${state.steps[0]}" in ${inWords(state)}.` };
  const line = (row, i) => {
    const lost = i ? 1 - row.visitors / rows[i - 1].visitors : 0;
    return h("li", { style: { "--part": `${row.rate * 100}%` } },
      h("div", {}, h("b", {}, row.event), h("span", {}, count(row.visitors)), h("span", { class: "soft" }, share(row.rate))),
      h("div", { class: "track" }, h("div", {})),
      i > 0 && Number.isFinite(lost) && h("small", {}, `${share(lost)} of the step before went no further`));
  };
  return {
    about: "People who did the steps in this order within seven days.",
    body: h("ol", { class: "funnel" }, rows.map(line)),
    columns: ["step", "event", "visitors", "rate"],
    rows,
  };
}
