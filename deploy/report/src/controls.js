// The controls of the report: period, comparison, conversion, model, currency, zone, and the filters that are on.
import { h } from "./dom.js";
import { FILTERS, MODELS } from "./state.js";

const PERIODS = { 1: "Today", 7: "7 days", 30: "30 days", 90: "90 days", 365: "A year" };
const ZONES = ["UTC", "Europe/London", "Europe/Vienna", "America/New_York", "America/Los_Angeles", "Asia/Tokyo", "Australia/Sydney"];

export function controls(bar, state, { values, go, saved }) {
  const focused = bar.contains(document.activeElement) ? document.activeElement.dataset.control : null;
  bar.replaceChildren(...(saved ? fixed(state) : periodControls(state, values, go)),
    conversionControl(state, go, saved),
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

function conversionControl(state, go, saved) {
  const options = Object.fromEntries(state.events.map(({ event }) => [event, event]));
  if (state.conversion) options[state.conversion] = state.conversion;
  else options[""] = "choose ...";
  return field("Conversion", select("conversion", state.conversion, options, (conversion) => go({ conversion }), saved));
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
  const off = Object.fromEntries(FILTERS.map((name) => [name, ""]));
  return h("span", { class: "chips" },
    on.map(([name, value]) =>
      h("button", { type: "button", class: "chip", disabled: saved, onclick: () => go({ [name]: "" }), "aria-label": `Remove the filter ${name} ${value}` },
        h("span", {}, `${name}: `), value, h("span", { "aria-hidden": "true" }, " ×"))),
    on.length > 1 && h("button", { type: "button", class: "quiet", onclick: () => go(off) }, "Remove all"));
}
