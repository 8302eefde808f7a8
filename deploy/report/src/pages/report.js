// The report of one site: controls on top, then its questions in the order in which people ask them.
import { BLOCKS } from "../blocks/all.js";
import { block } from "../block.js";
import { credits, visits } from "../questions.js";
import { currencies } from "../join.js";
import { controls } from "../controls.js";
import { h } from "../dom.js";
import { FILTERS, state } from "../state.js";

export const id = "report";
export const title = "Report";

/** What another site does not share: cleared when the site changes. */
export const ofSite = { conversion: "", goal: "", currency: "", ...Object.fromEntries(Object.keys(FILTERS).map((name) => [name, ""])) };

/** The zone of the site, or the reader's where the sink knows none. */
const ownZone = (events) => events[0]?.time_zone || Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";

let current = null;

export function show(main, context) {
  if (!context.values.site) {
    current = null;
    main.append(h("div", { class: "plain" }, h("h1", {}, "No site has sent an event yet"),
      h("p", {}, "Open a page that carries the pixel or the tag, then look again."),
      h("button", { type: "button", class: "primary", onclick: context.reload }, "Look again")));
    return null;
  }
  const bar = h("div", { class: "controls" });
  const blocks = BLOCKS.map((part) => block(part));
  const grid = h("div", { class: "blocks" }, blocks.map(({ section }) => section));
  main.append(h("h1", { class: "hidden" }, `Report of ${context.values.site}`), bar, grid,
    h("footer", {}, "Bots are left out of every number here, apart from Health. Times are of the zone above. ",
      h("span", {}, "What the words mean: docs/sql.md.")));
  const own = { bar, blocks, seen: new Set(), ask: () => {} };
  current = own;
  // A block asks when it is near the screen: who looks at the head alone pays for the head alone.
  const near = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) if (isIntersecting) own.seen.add(target);
    own.ask();
  }, { rootMargin: "300px" });
  blocks.forEach(({ section }) => near.observe(section));
  const all = () => {
    blocks.forEach(({ section }) => own.seen.add(section));
    own.ask();
  };
  addEventListener("beforeprint", all);
  if (context.saved) all();
  update(context);
  return () => {
    near.disconnect();
    removeEventListener("beforeprint", all);
    blocks.forEach(({ end }) => end());
  };
}

export function update(context) {
  if (!current) return;
  const events = context.sites[context.values.site] ?? [];
  const now = context.saved ? Date.parse(context.saved.made_at) : Date.now();
  const chosen = { ...state(context.values, events, now, ownZone(events)), go: context.go, saved: Boolean(context.saved), ask: (sql) => context.clickhouse.ask(sql), fetchJson: context.saved ? null : (path) => context.clickhouse.fetchJson(path) };
  const own = current;
  const { bar, blocks, seen } = own;
  const turn = (own.turn = (own.turn ?? 0) + 1);
  const over = () => own !== current || turn !== own.turn;
  controls(bar, { ...chosen, currencies: own.currencies ?? [] }, context);
  for (const { section } of blocks) section.setAttribute("aria-busy", "true");
  const asked = new Set();
  const ask = (only = blocks) => {
    for (const { section, update: again } of only) {
      if (!seen.has(section) || asked.has(section)) continue;
      asked.add(section);
      again(chosen, context.clickhouse);
    }
  };
  // Visits first, and alone: they are the first numbers on the page, and the other questions would take its time.
  own.ask = () => ask(blocks.slice(0, 1));
  own.ask();
  context.clickhouse.ask(visits(chosen)).catch(() => {}).then(() => {
    if (over()) return;
    own.ask = ask;
    ask();
    if (!chosen.askable) return;
    // The same question as the blocks' own: it is asked once.
    context.clickhouse.ask(credits(chosen)).then((answer) => {
      if (over()) return;
      own.currencies = currencies(answer);
      controls(bar, { ...chosen, currencies: own.currencies }, context);
    }, () => {});
  });
}
