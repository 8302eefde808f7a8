// Questions are files of SQL with {name:Type} where a value goes, as ClickHouse's own parameters. Pure.

/** Where a filter goes: conditions on visits, on credited touches, on sessions in detail; what a column is called there. */
const FILTERS = { filter: {}, filter_touch: { entry_page: "landing_path" }, filter_session: { entry_page: "landing_page" } };

/** Filters by what the first event of a visit alone says: such visits are read from another view, which costs more. */
const DETAILS = ["content", "link_code", "device", "country"];

/** Return the SQL with its values written in, ready to paste. `{filter}` becomes conditions: ` AND channel = 'Email'`; `{visits}` the view of visits. */
export function fill(sql, values, filter = {}) {
  const conditions = (names) => Object.entries(filter).map(([column, value]) => `\n    AND ${names[column] ?? column} = ${quote(value)}`);
  return sql.trim().replace(/\{(\w+)(?::(\w+))?\}/g, (_, name, type) => {
    if (name === "visits") return DETAILS.some((column) => column in filter) ? "visit_details" : "sessions_between";
    if (name in FILTERS) return conditions(FILTERS[name]).join("");
    if (!(name in values)) throw new Error(`a question needs ${name}`);
    return type === "String" ? quote(values[name]) : number(values[name]);
  });
}

/** Return a text as ClickHouse's literal. */
export function quote(text) {
  return `'${String(text).replace(/[\\']/g, "\\$&")}'`;
}

function number(value) {
  if (!Number.isFinite(Number(value))) throw new Error(`not a number: ${value}`);
  return String(Number(value));
}
