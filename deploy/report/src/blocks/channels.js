// Where does it come from? Channel, source, campaign and content with visits, sales and revenue by the chosen model.
import { changeColumn, filterTo, rateColumn, revenueColumn, salesColumn, visitsColumn, withChanges } from "../columns.js";
import { bySource, byWorth, currencyOf, join, links, sum } from "../join.js";
import { costs, shown, visitors, visitsAndCredits } from "../questions.js";
import { money } from "../format.js";
import { inWords, MODELS } from "../state.js";
import { table } from "../table.js";

export const id = "channels";
export const title = "Where it comes from";
export const wide = true;

const LEVELS = ["channel", "source", "campaign"];
const LEAF = ["channel", "source", "medium", "campaign"];
const SHOWN = ["visits", "sales", "revenue"];
const NUMBERS = ["visits", "sales", "revenue", "visits_before", "sales_before", "revenue_before"];

export const needs = (state) => ({ ...visitsAndCredits(state), costs: costs(state) });
export const sql = (state, answers) => shown("channels", state, currencyOf(answers, state));

export function show(answers, state) {
  const currency = currencyOf(answers, state);
  const leaves = join(answers, currency, bySource, ({ channel, source, medium, campaign }) => ({ channel, source, medium, campaign })).sort(byWorth);
  if (!leaves.some((row) => row.visits || row.sales)) return { empty: `No visit in ${inWords(state)}.` };
  const spent = spread(leaves, answers.costs.rows.filter((row) => row.currency === currency));
  const rows = withChanges(tree(leaves, LEVELS));
  if (state.askable) withContents(rows, answers, currency, state);
  const compare = state.compare && leaves.some((row) => row.visits_before);
  const pick = (row) => filterTo(state, Object.fromEntries(row.where));
  const columns = [
    { name: "label", title: "Channel, source, campaign, content", text: (label) => label || "(not set)", pick },
    visitsColumn,
    ...(compare ? [changeColumn("visits")] : []),
    salesColumn,
    rateColumn,
    ...(currency ? [revenueColumn(currency), ...(compare ? [changeColumn("revenue")] : [])] : []),
    ...(spent ? [
      { name: "cost", title: "Cost", number: true, text: (value) => (value ? money(value, currency, true) : "") },
      { name: "roas", title: "ROAS", number: true, help: "Revenue for each unit spent", text: (_, row) => (row.cost ? (row.revenue / row.cost).toFixed(2) : "") },
    ] : []),
  ];
  return {
    about: `Sales are credited by "${MODELS[state.model]}". Open a row for its parts; choose a name to see only that.`,
    body: table(columns, rows, { caption: title, first: 12, bar: currency ? "revenue" : "visits", colour: currency ? 2 : 1 }),
    columns: [...LEAF, ...SHOWN],
    rows: leaves.filter((row) => row.visits || row.sales || row.revenue),
    whole: state.askable && (async () => ({ columns: [...LEAF, "content", ...SHOWN], rows: byContent(leaves, { ...answers, visitors: await state.ask(visitors(state)) }, currency) })),
  };
}

/** Return the leaves by content too; what visits without one are is the rest. */
function byContent(leaves, answers, currency) {
  const named = links(answers.visitors).filter((row) => row.content);
  const key = (row) => Object.fromEntries(LEAF.map((name) => [name, row[name]]));
  const counted = new Map();
  for (const row of named) counted.set(JSON.stringify(key(row)), (counted.get(JSON.stringify(key(row))) ?? 0) + row.visits);
  const rest = leaves.map((leaf) => ({ ...key(leaf), content: "", now: 1, visits: leaf.visits - (counted.get(JSON.stringify(key(leaf))) ?? 0) }));
  return join({ visits: { rows: [...named, ...rest] }, credits: answers.credits }, currency, (row) => row.now && bySource(row), (row) => ({ ...key(row), content: row.content }))
    .filter((row) => row.visits || row.sales || row.revenue).sort(byWorth);
}

/** Let rows of campaigns open into their contents: these are in the answer about visitors, which is asked for then. */
function withContents(rows, answers, currency, state) {
  for (const row of rows) {
    if (row.children) withContents(row.children, answers, currency, state);
    else if (row.level === "campaign" && row.label) row.later = async () => contents(row, { ...answers, visitors: await state.ask(visitors(state)) }, currency);
  }
}

/** Return the contents of a campaign, the rest as one without a name; of the period before nothing is known. */
function contents(campaign, answers, currency) {
  const where = Object.fromEntries(campaign.where);
  const set = (row) => row.now && bySource(row) && row.content && Object.entries(where).every(([level, label]) => row[level] === label);
  const found = join({ visits: { rows: links(answers.visitors) }, credits: answers.credits }, currency, set, ({ content }) => ({ label: content }));
  const rest = Object.fromEntries(SHOWN.map((name) => [name, campaign[name] - sum(found, name)]));
  const named = found.map(({ label, visits, sales, revenue }) => ({ label, visits, sales, revenue, where: [...campaign.where, ["content", label]] }));
  const rows = rest.visits > 0 || rest.sales > 1e-4 ? [...named, { label: "", ...rest, where: [...campaign.where, ["content", ""]] }] : named;
  return rows.map((row) => ({ ...row, level: "content", rate: row.visits ? row.sales / row.visits : NaN })).sort(byWorth);
}

/** Give each leaf its cost; of several with one source, medium and campaign the first has it. Returns the sum of all costs. */
function spread(leaves, costs) {
  for (const leaf of leaves) leaf.cost = 0;
  for (const { source, medium, campaign, cost } of costs) {
    const leaf = leaves.find((row) => row.source === source && row.medium === medium && row.campaign === campaign);
    if (leaf) leaf.cost += cost;
    else leaves.push({ channel: "(costs without visits)", source, medium, campaign, cost, ...Object.fromEntries(NUMBERS.map((name) => [name, 0])) });
  }
  return costs.reduce((sum, { cost }) => sum + cost, 0);
}

/** Return the rows of the first level, each with its parts as `children`; a level with one nameless part has no children. */
function tree(leaves, [level, ...deeper], where = []) {
  const groups = new Map();
  for (const leaf of leaves) groups.set(leaf[level], [...(groups.get(leaf[level]) ?? []), leaf]);
  return [...groups].map(([label, own]) => {
    const row = { label, level, where: [...where, [level, label]], ...Object.fromEntries([...NUMBERS, "cost"].map((name) => [name, sum(own, name)])) };
    if (deeper.length && !(own.length === 1 && !own[0][deeper[0]])) row.children = tree(own, deeper, row.where);
    if (row.children?.length === 1 && !row.children[0].label) delete row.children;
    return row;
  }).sort(byWorth);
}
