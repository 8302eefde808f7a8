// The report of one site: controls on top, then its questions in the order in which people ask them.
import { BLOCKS } from "../blocks/all.js";
import { block } from "../block.js";
import { credits, visits } from "../questions.js";
import { currencies } from "../join.js";
import { controls } from "../controls.js";
import { focusable, h } from "../dom.js";
import { filterValues, state } from "../state.js";

export const id = "report";
export const title = "Report";

/** What another site does not share: cleared when the site changes. */
export const ofSite = { conversion: "", goal: "", currency: "", block: "", ...filterValues({}) };

/** The zone of the site, or the reader's where the sink knows none. */
const ownZone = (events) => events[0]?.time_zone || Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";

const AT_ONCE = 2; // blocks that ask wherever they are: headline and days have one answer

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
  const sections = blocks.map(({ section }) => section);
  const own = { bar, blocks, seen: new Set(sections.slice(0, AT_ONCE)), ask: () => {} };
  current = own;
  const see = (some) => {
    some.forEach((section) => own.seen.add(section));
    own.ask();
  };
  const all = () => see(sections);
  // A block asks when it is on the screen, so opening costs its first screen; for one who scrolls, a screen ahead.
  let near;
  const watch = (rootMargin) => {
    near?.disconnect();
    near = new IntersectionObserver((entries) => see(entries.filter((one) => one.isIntersecting).map((one) => one.target)), { rootMargin });
    sections.forEach((section) => near.observe(section));
  };
  const ahead = () => watch("100% 0px");
  // A browser prints what is there when it is asked to: so the answers come first.
  const print = (event) => {
    const whole = sections.every((section) => section.dataset.ready);
    if (whole || !(event.ctrlKey || event.metaKey) || event.key.toLowerCase() !== "p") return;
    event.preventDefault();
    all();
    own.settled().then(() => own === current && globalThis.print());
  };
  const used = ({ target }) => see(sections.filter((section) => section.contains(target)));
  grid.addEventListener("focusin", used);
  grid.addEventListener("click", used);
  addEventListener("scroll", ahead, { once: true, passive: true });
  addEventListener("beforeprint", all);
  addEventListener("keydown", print);
  watch("0px");
  update(context);
  if (context.saved) all();
  return () => {
    near.disconnect();
    removeEventListener("scroll", ahead);
    removeEventListener("beforeprint", all);
    removeEventListener("keydown", print);
    blocks.forEach(({ end }) => end());
  };
}

/** Bring the block that the address names to the screen, when the address begins to name it. */
function reveal(own, name) {
  if (own.named === name) return;
  own.named = name;
  const section = own.blocks.map((one) => one.section).find(({ id }) => id === `block-${name}`);
  if (!section) return;
  focusable(section).focus({ preventScroll: true });
  section.scrollIntoView();
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
  const asked = new Map(); // section: when it has its answer
  let begun = false;
  own.ask = () => {
    for (const { section, update: again } of blocks) {
      if (!seen.has(section) || asked.has(section)) continue;
      section.setAttribute("aria-busy", "true");
      if (begun || section === blocks[0].section) asked.set(section, again(chosen, context.clickhouse));
    }
  };
  own.ask();
  reveal(own, context.values.block);
  // Visits first, and alone: they are the first numbers on the page, and the other questions would take its time.
  const first = context.clickhouse.ask(visits(chosen)).catch(() => {});
  own.settled = () => first.then(() => Promise.allSettled([...asked.values()]));
  first.then(() => {
    if (over()) return;
    begun = true;
    own.ask();
    if (!chosen.askable) return;
    // The same question as the blocks' own: it is asked once.
    context.clickhouse.ask(credits(chosen)).then((answer) => {
      if (over()) return;
      own.currencies = currencies(answer);
      controls(bar, { ...chosen, currencies: own.currencies }, context);
    }, () => {});
  });
}
