// Which post, video or campaign was it? Campaigns outside of mail, by what they brought.
import { filterBy, rateColumn, revenueColumn, salesColumn, visitsColumn, withChanges } from "../columns.js";
import { h } from "../dom.js";
import { bySource, byWorth, currencyOf, join } from "../join.js";
import { shown, visitsAndCredits } from "../questions.js";
import { inWords } from "../state.js";
import { table } from "../table.js";

export const id = "posts";
export const title = "Posts, videos, campaigns";
export const needs = visitsAndCredits;
export const sql = (state, answers) => shown("posts", state, currencyOf(answers, state));

export function show(answers, state) {
  const currency = currencyOf(answers, state);
  const rows = join(answers, currency, bySource, ({ channel, source, campaign }) => (campaign && channel !== "Email" ? { campaign, source } : null))
    .filter((row) => row.visits || row.sales).sort(byWorth);
  if (!rows.length) return { empty: `No link with a campaign brought a visit in ${inWords(state)}. A link shows here once it has utm_campaign.` };
  withChanges(rows);
  return {
    about: "What your own links brought: each has a campaign.",
    body: table([
      { name: "campaign", title: "Campaign", pick: filterBy(state, "campaign", "source"), after: (row) => h("small", {}, row.source) },
      visitsColumn, salesColumn, rateColumn, ...(currency ? [revenueColumn(currency)] : []),
    ], rows, { caption: title, first: 8, bar: currency ? "revenue" : "visits", colour: currency ? 2 : 1 }),
    columns: ["campaign", "source", "visits", "sales", "revenue"],
    rows,
  };
}
