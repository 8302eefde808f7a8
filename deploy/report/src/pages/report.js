// The report of one site: controls on top, then its questions in the order in which people ask them.
import { BLOCKS } from "../blocks/all.js";
import { block } from "../block.js";
import { controls } from "../controls.js";
import { h } from "../dom.js";
import { state } from "../state.js";

export const id = "report";
export const title = "Report";

/** What another site does not share: cleared when the site changes. */
export const ofSite = { conversion: "", currency: "", channel: "", source: "", campaign: "" };

const ownZone = () => Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";

let current = null;

export function show(main, context) {
  const bar = h("div", { class: "controls" });
  const blocks = BLOCKS.map((part) => block(part));
  const grid = h("div", { class: "blocks" }, blocks.map(({ section }) => section));
  main.append(h("h1", { class: "hidden" }, `Report of ${context.values.site}`), bar, grid,
    h("footer", {}, "Bots are left out of every number here, apart from Health. Times are of the zone above. ",
      h("span", {}, "What the words mean: docs/sql.md.")));
  current = { bar, blocks };
  update(context);
  return () => blocks.forEach(({ end }) => end());
}

export function update(context) {
  const events = context.sites[context.values.site] ?? [];
  const now = context.saved ? Date.parse(context.saved.made_at) : Date.now();
  const chosen = { ...state(context.values, events, now, ownZone()), go: context.go, saved: Boolean(context.saved) };
  controls(current.bar, chosen, context);
  for (const { update: again } of current.blocks) again(chosen, context.clickhouse);
}
