// Which newsletter? Opens by people and by machines, clicks, click-to-open, and the sales that its visits brought.
import { filterBy } from "../columns.js";
import { count, money, part, share } from "../format.js";
import { h } from "../dom.js";
import { bySource, currencyOf } from "../join.js";
import { credits, letters, shown } from "../questions.js";
import { inWords } from "../state.js";
import { table } from "../table.js";

export const id = "letters";
export const title = "Newsletters";
export const unfiltered = "Opens and clicks are of all visits: the filters do not apply to them.";

export const needs = (state) => (state.askable ? { letters: letters(state), credits: credits(state) } : { letters: letters(state) });
export const sql = (state, answers) => (state.askable ? shown("letters", state, currencyOf(answers, state)) : letters(state));

export function show(answers, state) {
  const currency = currencyOf(answers, state);
  const rows = answers.letters.rows.map((row) => {
    const own = (answers.credits?.rows ?? []).filter((credit) => credit.now && bySource(credit) && credit.campaign === row.message);
    const sum = (value) => Math.round(own.reduce((total, credit) => total + value(credit), 0) * 1e4) / 1e4;
    return { ...row, sales: sum(({ sales }) => sales), revenue: sum((credit) => (credit.currency === currency ? credit.revenue : 0)) };
  });
  if (!rows.length) return { empty: `No newsletter was opened in ${inWords(state)}. A message shows here once it carries the mail pixel.` };
  return {
    about: "Opens are those of readers, also through a mail service; machines fetch ahead or scan. Clicks are those on links with the message's id, or of the campaign of that name. Sales are the campaign's.",
    body: table([
      { name: "message", title: "Message", pick: (row) => filterBy(state, "campaign")({ campaign: row.message }), after: (row) => h("small", {}, row.list) },
      { name: "opens", title: "Opens", number: true, text: count, help: "Opens by readers" },
      { name: "machine", title: "Machines", number: true, text: count, class: "soft", help: "Opens by machines" },
      { name: "clicks", title: "Clicks", number: true, text: count, help: "Clicks of people on links of the message" },
      { name: "click_to_open", title: "Click-to-open", number: true, text: share, help: "Clicks per open of a reader" },
      { name: "sales", title: "Sales", number: true, text: part },
      ...(currency ? [{ name: "revenue", title: currency, number: true, text: (value) => money(value, currency, true) }] : []),
    ], rows, { caption: title, first: 8, bar: "opens" }),
    columns: ["message", "list", "opens", "machine", "clicks", "click_to_open", ...(state.askable ? ["sales", "revenue"] : [])],
    rows,
  };
}
