// Numbers, money, shares and days as people read them. Pure.

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const some = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });
const short = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
const monies = new Map();

export const count = (value) => whole.format(value);

/** Parts of conversions: 12, 12.4, 0.05. */
export const part = (value) => (Number.isInteger(value) || Math.abs(value) >= 100 ? whole.format(value) : some.format(value));

export const brief = (value) => (Math.abs(value) < 10_000 ? some.format(value) : short.format(value));

/** An amount with its currency; `round`: without cents. */
export function money(value, currency, round = false) {
  const key = `${currency} ${round}`;
  if (!monies.has(key)) {
    const digits = round ? { maximumFractionDigits: 0, minimumFractionDigits: 0 } : {};
    let made;
    try {
      made = new Intl.NumberFormat("en", { style: "currency", currency, ...digits });
    } catch {
      made = { format: (amount) => `${some.format(amount)} ${currency}`.trim() };
    }
    monies.set(key, made);
  }
  return monies.get(key).format(value);
}

/** A share as per cent. */
export function share(value) {
  if (!Number.isFinite(value)) return "–";
  const percent = value * 100;
  return `${percent !== 0 && Math.abs(percent) < 10 ? percent.toFixed(Math.abs(percent) < 1 ? 2 : 1) : whole.format(percent)} %`;
}

/** How much more than before: {text, sign}; text is "new" where there was nothing before. */
export function change(now, before) {
  if (!before) return now ? { text: "new", sign: 1 } : { text: "no change", sign: 0 };
  const ratio = now / before - 1;
  if (Math.abs(ratio) < 0.0005) return { text: "no change", sign: 0 };
  const percent = Math.abs(ratio * 100);
  return { text: `${ratio > 0 ? "+" : "−"}${percent < 10 ? percent.toFixed(1) : whole.format(percent)} %`, sign: Math.sign(ratio) };
}

const dayNames = new Intl.DateTimeFormat("en-GB", { weekday: "short", day: "numeric", month: "short", timeZone: "UTC" });
const shortDays = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", timeZone: "UTC" });

export const longDay = (day) => dayNames.format(new Date(`${day}T00:00:00Z`));
export const shortDay = (day) => shortDays.format(new Date(`${day}T00:00:00Z`));

/** Rows as CSV of RFC 4180, with a first line of names. A text that a spreadsheet would run as a formula gets a quote before it. */
export function csv(columns, rows) {
  const cell = (value) => {
    let text = value == null ? "" : String(value);
    if (typeof value === "string" && /^[=+\-@\t\r]/.test(text)) text = `'${text}`;
    return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return [columns, ...rows.map((row) => columns.map((name) => row[name]))].map((line) => line.map(cell).join(",")).join("\r\n") + "\r\n";
}
