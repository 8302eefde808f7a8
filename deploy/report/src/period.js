// Days of a period and of the one before it, as texts "2026-10-02" in a time zone. The clock is an argument.

const DAY = 86_400_000;

/** Return the day that a moment (ms) has in a zone. Throws RangeError for an unknown zone. */
export function dayOf(at, tz) {
  const parts = new Intl.DateTimeFormat("en-CA", { timeZone: tz, year: "numeric", month: "2-digit", day: "2-digit" }).format(at);
  return parts.slice(0, 10);
}

export const plus = (day, days) => new Date(Date.parse(`${day}T00:00:00Z`) + days * DAY).toISOString().slice(0, 10);

export const between = (since, until) => Math.round((Date.parse(`${until}T00:00:00Z`) - Date.parse(`${since}T00:00:00Z`)) / DAY);

export const isDay = (text) => /^\d{4}-\d\d-\d\d$/.test(text ?? "") && !Number.isNaN(Date.parse(`${text}T00:00:00Z`));

/**
 * Return {since, until, before, days}: [since, until) is the period, [before, since) as many days before it.
 * values: `days` (up to and with today), or `from` and `to`, both in it.
 */
export function period(values, now, tz) {
  let since;
  let until;
  if (isDay(values.from) && isDay(values.to) && values.from <= values.to) {
    [since, until] = [values.from, plus(values.to, 1)];
  } else {
    until = plus(dayOf(now, tz), 1);
    since = plus(until, -Math.min(Math.max(Number.parseInt(values.days || "30", 10) || 30, 1), 731));
  }
  const length = between(since, until);
  const days = Array.from({ length }, (_, i) => plus(since, i));
  return { since, until, before: plus(since, -length), days };
}
