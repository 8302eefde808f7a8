// Visits and credits of two periods, added up by where they come from. Money of one currency only, never a sum across. Pure.

/** Return the currencies of the sales, the one with most sales first. */
export function currencies(credits) {
  const sales = new Map();
  for (const row of credits?.rows ?? []) if (row.currency && byDay(row)) sales.set(row.currency, (sales.get(row.currency) ?? 0) + row.sales);
  return [...sales].sort((a, b) => b[1] - a[1] || a[0].localeCompare(b[0])).map(([currency]) => currency);
}

/** Return the currency to show: the chosen one, or that of most sales; "" where there is no money. */
export const currencyOf = (answers, state) => state.currency || currencies(answers.credits)[0] || "";

/** The sets of rows that `visits` and `credits` have; in all: `visits` only; by path: `credits` only. */
export const byDay = (row) => !row.all_days;
export const bySource = (row) => !row.all_sources;
export const byPage = (row) => !row.all_pages;
export const byPath = (row) => !row.all_paths;
export const inAll = (row) => row.all_days && row.all_sources && row.all_pages;

const EMPTY = { visits: 0, sales: 0, revenue: 0, visits_before: 0, sales_before: 0, revenue_before: 0 };

/**
 * Return one row a key: visits, sales, revenue, and the same `_before`. `set` chooses the rows; `key` gives a row's texts by
 * column, or null to leave it out.
 */
export function join(answers, currency, set, key) {
  const found = new Map();
  const add = (row, names) => {
    const own = key(row);
    if (!own) return;
    const name = JSON.stringify(own);
    const line = found.get(name) ?? found.set(name, { ...own, ...EMPTY }).get(name);
    for (const [column, value] of Object.entries(names)) line[row.now ? column : `${column}_before`] += value;
  };
  for (const row of answers.visits?.rows ?? []) if (set(row)) add(row, { visits: row.visits });
  for (const row of answers.credits?.rows ?? []) if (set(row)) add(row, { sales: row.sales, revenue: row.currency === currency ? row.revenue : 0 });
  return [...found.values()].map(rounded);
}

/** Sums of parts without the last digits of a binary fraction. */
function rounded(row) {
  for (const name of ["sales", "revenue", "sales_before", "revenue_before"]) if (name in row) row[name] = Math.round(row[name] * 1e4) / 1e4;
  return row;
}

/** Return what visits with a content or a named link came by, out of the answer about visitors; as rows of `visits`. */
export const links = (answer) => (answer?.rows ?? []).filter((row) => row.part === "link").map((row) => {
  const [channel, source, medium, campaign, content, link_code] = JSON.parse(row.name);
  return { channel, source, medium, campaign, content, link_code, visits: row.visits, now: 1 };
});

/** The order of most tables: revenue, then sales, then visits. */
export const byWorth = (a, b) => b.revenue - a.revenue || b.sales - a.sales || b.visits - a.visits;

export const sum = (rows, name) => Math.round(rows.reduce((total, row) => total + row[name], 0) * 1e4) / 1e4;

/**
 * Return the costs of one currency with what they brought: rows of source, medium, campaign with cost, visits, and the sales and
 * revenue of that currency alone.
 */
export function returns(answers, currency) {
  const name = ({ source, medium, campaign }) => JSON.stringify([source, medium, campaign]);
  const found = new Map();
  for (const { source, medium, campaign, currency: own, cost } of answers.costs?.rows ?? []) {
    if (own === currency && cost > 0) found.set(name({ source, medium, campaign }), { source, medium, campaign, cost, visits: 0, sales: 0, revenue: 0 });
  }
  for (const row of answers.visits?.rows ?? []) if (row.now && bySource(row) && found.has(name(row))) found.get(name(row)).visits += row.visits;
  for (const row of answers.credits?.rows ?? []) {
    if (!row.now || !bySource(row) || row.currency !== currency || !found.has(name(row))) continue;
    found.get(name(row)).sales += row.sales;
    found.get(name(row)).revenue += row.revenue;
  }
  return [...found.values()].map(rounded).map((row) => ({ ...row, roas: row.revenue / row.cost, cpa: row.sales ? row.cost / row.sales : null }));
}
