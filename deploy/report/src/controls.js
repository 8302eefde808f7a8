// The controls of the report: period, comparison, conversion, model, currency, zone, and the filters that are on.
import { h } from "./dom.js";
import * as goal from "./goal.js";
import { FILTERS, filterValues, MODELS } from "./state.js";

const PERIODS = { 1: "Today", 7: "7 days", 30: "30 days", 90: "90 days", 365: "A year" };
const ZONES = ["UTC", "Europe/London", "Europe/Vienna", "America/New_York", "America/Los_Angeles", "Asia/Tokyo", "Australia/Sydney"];

export function controls(bar, state, { values, go, saved }) {
  const focused = bar.contains(document.activeElement) ? document.activeElement.dataset.control : null;
  bar.replaceChildren(...(saved ? fixed(state) : periodControls(state, values, go)),
    ...conversionControl(state, values, go, saved),
    field("Credit by", select("model", state.model, MODELS, (model) => go({ model }), saved)),
    currencyControl(state, go),
    saved ? "" : field("Zone", select("tz", state.tz, zones(state.tz), (tz) => go({ tz }))),
    chips(state, go, saved));
  if (focused) bar.querySelector(`[data-control="${focused}"]`)?.focus();
}

function periodControls(state, values, go) {
  const own = Boolean(values.from);
  const days = values.days || "30";
  const options = own ? { ...PERIODS, own: "Own dates" } : { ...PERIODS, own: "Own dates ..." };
  if (!own && !(days in PERIODS)) options[days] = `${days} days`;
  const chosen = (value) => (value === "own" ? go({ days: "", from: state.since, to: state.lastDay }) : go({ days: value === "30" ? "" : value, from: "", to: "" }));
  const day = (name, value) =>
    h("input", { type: "date", "data-control": name, "aria-label": name === "from" ? "First day" : "Last day", value, onchange: (event) => event.target.value && go({ [name]: event.target.value }) });
  return [
    field("Period", select("period", own ? "own" : days, options, chosen)),
    own && h("span", { class: "dates" }, day("from", state.since), " to ", day("to", state.lastDay)),
    h("label", { class: "check" },
      h("input", { type: "checkbox", "data-control": "compare", checked: state.compare, onchange: (event) => go({ compare: event.target.checked ? "" : "0" }) }),
      "Compare with before"),
  ].filter(Boolean);
}

const fixed = (state) => [h("span", { class: "dates" }, `${state.since} to ${state.lastDay}, ${state.tz}`)];

const OWN = "[]"; // no event has such a name

function conversionControl(state, values, go, saved) {
  const options = Object.fromEntries(state.events.map(({ event }) => [event, event]));
  if (state.conversion) options[state.conversion] = state.conversion;
  else options[""] = "choose ...";
  options[OWN] = "A page, a property ...";
  const choose = (conversion) => go(conversion === OWN ? { goal: "1" } : { conversion, goal: "" });
  const chosen = select("conversion", state.conversion, options, choose, saved);
  return [field("Conversion", chosen), values.goal === "1" && !saved ? goalForm(state, go) : ""];
}

/** The form of a conversion that is not simply an event: on which pages, with which properties. */
function goalForm(state, go) {
  const now = goal.read(state.conversion);
  const names = Object.fromEntries([...new Set([now.event, ...state.events.map(({ event }) => event)])].filter(Boolean).map((name) => [name, name]));
  const event = select("goal-event", now.event, names, () => {});
  const text = (name, value, pattern, placeholder, help) => h("input", { "data-control": name, value, pattern, placeholder, title: help, size: 14 });
  const page = text("goal-page", now.page, goal.PAGE, "/thanks*", "A path; * is any text");
  const properties = text("goal-properties", now.properties, goal.PROPERTIES, "plan=pro", "name=value, with commas between; all must be so");
  const take = (submitted) => {
    submitted.preventDefault();
    go({ conversion: goal.write({ event: event.value, page: page.value.trim(), properties: properties.value.trim() }), goal: "" });
  };
  return h("form", { class: "goal", "aria-label": "A page or a property", onsubmit: take },
    field("Event", event), field("Page", page), field("Property", properties),
    h("button", { class: "plain-button" }, "Use"), h("button", { type: "button", class: "quiet", onclick: () => go({ goal: "" }) }, "Cancel"));
}

function currencyControl({ currency, currencies }, go) {
  const all = [...new Set([...currencies, currency])].filter(Boolean);
  if (all.length < 2) return "";
  return field("Currency", select("currency", currency || all[0], Object.fromEntries(all.map((one) => [one, one])), (chosen) => go({ currency: chosen === currencies[0] ? "" : chosen })));
}

function select(name, value, options, onchange, disabled = false) {
  return h("select", { "data-control": name, disabled, onchange: (event) => onchange(event.target.value) },
    Object.entries(options).map(([key, text]) => h("option", { value: key, selected: key === value }, text)));
}

const field = (name, control) => h("label", { class: "field" }, h("span", {}, name), control);

const zones = (own) => Object.fromEntries([...new Set([own, Intl.DateTimeFormat().resolvedOptions().timeZone, ...ZONES])].filter(Boolean).map((zone) => [zone, zone]));

function chips(state, go, saved) {
  const on = Object.entries(state.filter);
  if (!on.length) return "";
  const named = (value) => value || "(not set)";
  return h("span", { class: "chips" },
    on.map(([name, value]) =>
      h("button", { type: "button", class: "chip", disabled: saved, onclick: () => go(filterValues(state.filter, { [name]: null })), "aria-label": `Remove the filter ${FILTERS[name]} ${named(value)}` },
        h("span", {}, `${FILTERS[name]}: `), named(value), h("span", { "aria-hidden": "true" }, " ×"))),
    on.length > 1 && h("button", { type: "button", class: "quiet", onclick: () => go(filterValues({})) }, "Remove all"));
}
