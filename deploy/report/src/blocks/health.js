// Can the numbers be trusted? Bots, consent, fields that were unusable, faults of tagging, dead letters.
import { count, part, share } from "../format.js";
import { h } from "../dom.js";
import { byDay, bySource } from "../join.js";
import { credits, health, tagging } from "../questions.js";
import { inWords } from "../state.js";

export const id = "health";
export const title = "Health";
export const unfiltered = "Of all visits: the filters do not apply here.";
export const wide = true;
const PARTS = { traffic: "People and bots", consent: "Consent", dropped: "Fields dropped as unusable" };

export const needs = (state) => ({ health: health(state), tagging: tagging(state), ...(state.askable ? { credits: credits(state) } : {}) });
export const sql = (state) => health(state);

export function show(answers, state) {
  const { rows } = answers.health;
  if (!rows.length) return { empty: `No event in ${inWords(state)}.` };
  const groups = Object.entries(PARTS).map(([key, name]) => {
    const own = rows.filter((row) => row.part === key);
    const total = rows.filter((row) => row.part === "traffic").reduce((sum, row) => sum + row.events, 0);
    const line = (row) => h("li", { style: { "--part": `${(row.events / total) * 100}%` } }, h("span", {}, row.name || "(not known)"), h("span", { class: "number" }, `${count(row.events)} `, h("small", {}, share(row.events / total))));
    return h("div", {}, h("h3", {}, name), own.length ? h("ul", { class: "shares" }, own.slice(0, 6).map(line)) : h("p", { class: "empty" }, "None."));
  });
  const faults = new Map();
  for (const row of answers.tagging.rows) faults.set(row.fault, [...(faults.get(row.fault) ?? []), row]);
  groups.push(h("div", {}, h("h3", {}, "Tagging"), faults.size ? h("ul", { class: "shares" }, [...faults].slice(0, 6).map(fault)) : h("p", { class: "empty" }, "No fault found.")));
  const dead = h("div", { "data-part": "dead" }, h("p", { class: "empty", role: "status" }, state.fetchJson ? "Asking ..." : WHERE));
  groups.push(h("div", {}, h("h3", {}, "Dead letters, all sites"), dead));
  const sold = (answers.credits?.rows ?? []).filter((row) => row.now);
  const total = sold.filter(byDay).reduce((sum, row) => sum + row.sales, 0);
  const lost = sold.filter((row) => bySource(row) && row.channel === "Unattributed").reduce((sum, row) => sum + row.sales, 0);
  return {
    about: ["All events, bots included. ", total ? `${part(lost)} of ${part(total)} sales (${share(lost / total)}) are Unattributed: no visit of the buyer is known. ` : "",
      state.saved ? "" : ["Hits that were refused are on the page ", h("a", { href: `#/live?site=${encodeURIComponent(state.site)}` }, "Live"), "."]].flat(),
    body: h("div", { class: "parts" }, groups), columns: ["part", "name", "events"], rows,
    begin: () => state.fetchJson && deadLetters(dead, state),
  };
}

const WHERE = "Not in a saved report. They are in the topic hits.dead, counted in the dashboard of the pipeline.";

/** Hits and rows that a stage could not use: they are in Kafka, not in ClickHouse, so the enricher counts them. */
async function deadLetters(holder, { fetchJson, since, until, tz }) {
  try {
    const { letters, complete } = await fetchJson(`dead?${new URLSearchParams({ since, until, tz })}`);
    const line = ({ stage, reason, records }) => h("li", {}, h("span", {}, reason, h("small", {}, ` ${stage}`)), h("span", { class: "number" }, count(records)));
    holder.replaceChildren(letters.length ? h("ul", { class: "shares" }, letters.slice(0, 6).map(line)) : h("p", { class: "empty" }, "None that Kafka still keeps."),
      complete ? "" : h("p", { class: "empty" }, "There are more than were read."));
  } catch (error) {
    holder.replaceChildren(h("p", { class: "empty" }, `Not known: ${error.message}`));
  }
}

/** One fault of tagging with its most frequent case. */
function fault([name, rows]) {
  const most = rows[0];
  const twin = most.near_source || most.near_campaign;
  const what = twin ? `${most.near_source ? most.sent_source : most.sent_campaign} is like ${twin}` : most.referrer_host || most.sent_campaign || most.sent_source;
  return h("li", {}, h("span", {}, name, h("small", {}, ` ${what}`)), h("span", { class: "number" }, count(rows.reduce((sum, row) => sum + row.arrivals, 0))));
}
