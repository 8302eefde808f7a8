// A conversion is a goal: an event, on some pages only, with some properties only: `pageview /thanks*`, `purchase[plan=pro]`. Pure.

/** What the fields of a goal may hold, as patterns of HTML; ClickHouse's view `question` refuses everything else. */
export const PAGE = "[\\/*][^\\[\\],]*";
export const PROPERTIES = "[^=,\\[\\]]+=[^=,\\[\\]]*(,[^=,\\[\\]]+=[^=,\\[\\]]*)*";

/** Return {event, page, properties} of a goal, as texts. */
export function read(goal) {
  const [, event = "", page = "", properties = ""] = /^ *([^ [,]*) *([^[]*?) *(?:\[(.*)\])? *$/.exec(goal) ?? [];
  return { event, page, properties };
}

export const write = ({ event, page, properties }) => `${event}${page && ` ${page}`}${properties && `[${properties}]`}`;

/** Return the goals of a text that has commas between them; those between a goal's properties are no such commas. */
export const list = (text) => (text.match(/(?:[^,[]|\[[^\]]*\])+/g) ?? []).map((goal) => goal.trim()).filter(Boolean);
