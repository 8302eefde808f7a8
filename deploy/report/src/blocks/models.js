// Do the models agree? Sales by channel under each rule model and the Markov chain; asked only on demand.
import { h } from "../dom.js";
import { part, share } from "../format.js";
import { markov, models } from "../questions.js";
import { MODELS, whyNoSales } from "../state.js";
import { table } from "../table.js";

export const id = "models";
export const title = "Do the models agree?";
export const unfiltered = "Of all visits: the filters do not apply here.";
export const wide = true;

const asked = (state) => state.models && state.askable;

export const needs = (state) => (asked(state) ? { models: models(state), markov: markov(state) } : {});
export const sql = (state) => (asked(state) ? models(state) : "");

export function show(answers, state) {
  if (!state.askable) return { empty: whyNoSales(state) };
  if (!state.models) {
    return {
      about: "Sales by channel under every model. It is asked only when you want it, since it reads all journeys once more.",
      body: h("button", { type: "button", class: "plain-button", disabled: state.saved, onclick: () => state.go({ models: "1" }) }, "Compare the models"),
    };
  }
  const names = Object.keys(MODELS);
  const chain = new Map(answers.markov.rows.map((row) => [row.channel, row]));
  const rows = answers.models.rows.map((row) => ({ ...row, markov: chain.get(row.channel)?.markov ?? 0, effect: chain.get(row.channel)?.removal_effect ?? 0 }))
    .sort((a, b) => b[state.model] - a[state.model] || a.channel.localeCompare(b.channel));
  if (!rows.length) return { empty: whyNoSales(state) };
  const spread = (row, name) => {
    const mean = names.reduce((sum, one) => sum + row[one], 0) / names.length;
    return h("span", { class: name === state.model ? "chosen" : "", style: { "--heat": `${Math.min(34, Math.max(0, (row[name] / (mean || 1) - 1) * 34))}%` } }, part(row[name]));
  };
  return {
    about: "Sales by channel. The tint shows where a model gives a channel more than the others do. Lost without it: the part of sales that the Markov chain loses if every visitor of the channel stayed away.",
    body: table([
      { name: "channel", title: "Channel" },
      ...names.map((name) => ({ name, title: MODELS[name].replace(/ \(.*/, "").replace(" that is ", " "), number: true, class: "tint", text: (_, row) => spread(row, name) })),
      { name: "markov", title: "Markov", number: true, text: part },
      { name: "effect", title: "Lost without it", number: true, text: share },
    ], rows, { caption: title, first: 20 }),
    columns: ["channel", "first", "last", "last_non_direct", "linear", "position", "time_decay", "shapley"],
    rows,
  };
}
