// How far do people get, and where are they lost, on which device?
import { count, share } from "../format.js";
import { h } from "../dom.js";
import { funnel } from "../questions.js";
import { inWords } from "../state.js";

export const id = "funnel";
export const title = "Funnel";
export const unfiltered = "Of all visits: the filters do not apply here.";
export const needs = (state) => (state.steps.length > 1 ? { funnel: funnel(state) } : {});
export const sql = (state) => (state.steps.length > 1 ? funnel(state) : "");

export function show(answers, state) {
  if (state.steps.length < 2) return { empty: "A funnel needs two steps: events that the site sends, such as pageview and purchase." };
  const { rows } = answers.funnel;
  const steps = state.steps.map((goal, i) => {
    const own = rows.filter((row) => row.step === i + 1);
    return { goal, devices: new Map(own.map((row) => [row.device, row.visitors])), visitors: own.reduce((sum, row) => sum + row.visitors, 0) };
  });
  if (!steps[0].visitors) return { empty: `No person did "${state.steps[0]}" in ${inWords(state)}.` };
  const devices = [...steps[0].devices.keys()].slice(0, 3);
  const line = (step, i) => {
    const before = steps[i - 1];
    const lost = (now, then) => (then ? share(1 - now / then) : "–");
    return h("li", { style: { "--part": `${(step.visitors / steps[0].visitors) * 100}%` } },
      h("div", {}, h("b", {}, step.goal), h("span", {}, count(step.visitors)), h("span", { class: "soft" }, share(step.visitors / steps[0].visitors))),
      h("div", { class: "track" }, h("div", {})),
      i > 0 && h("small", {}, `Lost ${lost(step.visitors, before.visitors)} of the step before: `,
        devices.map((device) => `${device || "unknown"} ${lost(step.devices.get(device) ?? 0, before.devices.get(device))}`).join(", ")));
  };
  return {
    about: "People who did the steps in this order within seven days, and the loss by device.",
    body: h("ol", { class: "funnel" }, steps.map(line)),
    columns: ["step", "goal", "device", "visitors", "rate", "median_s"],
    rows,
  };
}
