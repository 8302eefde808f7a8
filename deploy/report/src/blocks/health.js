// Can the numbers be trusted? Bots, consent, fields that were unusable.
import { count, share } from "../format.js";
import { h } from "../dom.js";
import { health } from "../questions.js";
import { inWords } from "../state.js";

export const id = "health";
export const title = "Health";
export const wide = true;
const PARTS = { traffic: "People and bots", consent: "Consent", dropped: "Fields dropped as unusable" };

export const needs = (state) => ({ health: health(state) });
export const sql = (state) => health(state);

export function show(answers, state) {
  const { rows } = answers.health;
  if (!rows.length) return { empty: `No event in ${inWords(state)}.` };
  const groups = Object.entries(PARTS).map(([part, name]) => {
    const own = rows.filter((row) => row.part === part);
    const total = rows.filter((row) => row.part === "traffic").reduce((sum, row) => sum + row.events, 0);
    const line = (row) => h("li", { style: { "--part": `${(row.events / total) * 100}%` } }, h("span", {}, row.name || "(not known)"), h("span", { class: "number" }, `${count(row.events)} `, h("small", {}, share(row.events / total))));
    return h("div", {}, h("h3", {}, name), own.length ? h("ul", { class: "shares" }, own.slice(0, 6).map(line)) : h("p", { class: "empty" }, "None."));
  });
  return { about: "All events, bots included.", body: h("div", { class: "parts" }, groups), columns: ["part", "name", "events"], rows };
}
