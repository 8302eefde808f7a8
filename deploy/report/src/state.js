// From the address to what is asked: site, period, time zone, conversion, model, currency, filters. Pure.
import { between, dayOf, period, plus } from "./period.js";
import { longDay } from "./format.js";
import * as goal from "./goal.js";

/** The rule models of pharos.attribution, with what they do. */
export const MODELS = {
  last_non_direct: "Last touch that is not direct",
  last: "Last touch",
  first: "First touch",
  linear: "Linear",
  position: "Position (40/20/40)",
  time_decay: "Time decay (7 days)",
  shapley: "Shapley value",
};

const USUAL = ["purchase", "order", "sale", "subscribe", "subscription", "signup", "sign_up", "lead", "registration"];
const STEPS = ["pageview", "view_item", "add_to_cart", "begin_checkout", "checkout"];
/** What can be filtered by, as columns of a visit, with their names for people. */
export const FILTERS = {
  channel: "channel",
  source: "source",
  medium: "medium",
  campaign: "campaign",
  content: "content",
  link_code: "link",
  entry_page: "landing page",
  device: "device",
  country: "country",
};

export const DEFAULT_MODEL = "last_non_direct";

/** Return what the address holds for the filters `now` after `changes`; a filter by "" asks for what has no such name, null for none. */
export function filterValues(now, changes = {}) {
  const next = { ...now, ...changes };
  const names = Object.keys(FILTERS);
  return { ...Object.fromEntries(names.map((name) => [name, next[name] ?? ""])), without: names.filter((name) => next[name] === "").join(",") };
}

/** The filters of an address: `without` names those by the empty text, which an address cannot hold. */
function filtersOf(values) {
  const without = new Set((values.without ?? "").split(","));
  return Object.fromEntries(Object.keys(FILTERS).filter((name) => values[name] || without.has(name)).map((name) => [name, values[name] ?? ""]));
}

/** Return the state of the report. `events`: the site's events as {event, last}. now: ms. Throws nothing: what is unusable is replaced. */
export function state(values, events, now, ownZone) {
  let tz = values.tz || ownZone;
  try {
    dayOf(now, tz);
  } catch {
    tz = "UTC";
  }
  const chosen = period(values, now, tz);
  const names = new Set(events.map(({ event }) => event));
  const conversion = values.conversion ?? USUAL.find((name) => events.some(({ event }) => event === name)) ?? "";
  return {
    ...chosen,
    lastDay: plus(chosen.until, -1),
    site: values.site,
    tz,
    compare: values.compare !== "0",
    conversion,
    askable: names.has(goal.read(conversion).event),
    model: values.model in MODELS ? values.model : DEFAULT_MODEL,
    models: values.models === "1",
    currency: values.currency ?? "",
    filter: filtersOf(values),
    steps: goal.list(values.steps ?? "").concat(values.steps ? [] : usualSteps(names, conversion)),
    events,
  };
}

/** The steps of the funnel where none are chosen: those of a usual shop that the site sends, up to the conversion. */
function usualSteps(names, conversion) {
  const before = STEPS.filter((name) => names.has(name) && name !== conversion);
  return names.has(goal.read(conversion).event) ? [...before, conversion] : before;
}

/** Return the period in words: "the 30 days to Sat, 31 Oct". */
export const inWords = ({ since, until, lastDay }) =>
  between(since, until) === 1 ? longDay(since) : `the ${between(since, until)} days to ${longDay(lastDay)}`;

/** Return why there are no sales in the period: names the last one, or the events that there are. */
export function whyNoSales({ conversion, events, ...rest }) {
  if (!conversion) return `Choose a conversion: the events of this site are ${list(events)}.`;
  const { event: name } = goal.read(conversion);
  const known = events.find(({ event }) => event === name);
  if (!known) return `This site never sent an event "${name}". It sent ${list(events)}.`;
  return `No event "${conversion}" in ${inWords(rest)}. The last ${conversion === name ? "one" : `"${name}"`} arrived on ${longDay(known.last.slice(0, 10))} ${known.last.slice(0, 4)}.`;
}

function list(events) {
  const names = events.map(({ event }) => event);
  return names.length > 8 ? `${names.slice(0, 8).join(", ")} and ${names.length - 8} more` : names.join(", ");
}
