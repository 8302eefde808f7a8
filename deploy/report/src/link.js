// What the form makes of its fields: addresses, the lines of links.toml, commands, HTML. The same as the collector's own
// commands make; tests compare them. Pure.
import SENDERS from "../../../collector/commands/mail_senders.json";

export { SENDERS };
export const UTM = ["source", "medium", "campaign", "term", "content"];
const LONGEST = 4096;
const ADDRESS = /^https?:\/\/(?:(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9])?\.)*[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?|\[[0-9a-f:.]+\])(?::([0-9]{1,5}))?(?:[/?#][!-[\]-~]*)?$/i;
const CODE = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/;

const encoded = (text) => encodeURIComponent(text).replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`);

/** Return an address as a link may have it: hosts as xn--, the rest percent-encoded; the text itself if it is no address. */
export function plain(text) {
  const trimmed = text.trim();
  // Only what is not ASCII or a space: the rest stays as it was written.
  try {
    const { host } = new URL(trimmed);
    const [, scheme, , rest] = /^(https?:\/\/)([^/?#]*)(.*)$/i.exec(trimmed) ?? [];
    if (scheme && !trimmed.slice(scheme.length).startsWith("[")) return `${scheme}${/^[!-~]+$/.test(trimmed.slice(scheme.length).split(/[/?#]/)[0]) ? trimmed.slice(scheme.length).split(/[/?#]/)[0] : host}${rest.replace(/[^!-~]/gu, encoded)}`;
  } catch {}
  return trimmed;
}

/** Return why an address may not be a destination; "" if it may. */
export function wrongWith(url) {
  if (!url) return "Where should the link lead?";
  if (url.length > LONGEST) return `The address is longer than ${LONGEST} characters.`;
  const found = ADDRESS.exec(url);
  if (!found) return "This is no plain http or https address.";
  if (found[1] && !(Number(found[1]) > 0 && Number(found[1]) < 65536)) return "The port is out of range.";
  return "";
}

export const wrongCode = (code) => (CODE.test(code) ? "" : "A code has 1-64 of A-Z, a-z, 0-9, '_', '.', '-', and begins with a letter or digit.");

/** Add parameters that the address does not have itself; its own path, query and fragment stay as they are. */
export function withParameters(url, pairs) {
  const hash = url.indexOf("#");
  let head = hash < 0 ? url : url.slice(0, hash);
  const mark = head.indexOf("?");
  const query = mark < 0 ? "" : head.slice(mark + 1);
  const own = new Set(query.split("&").map((pair) => decode(pair.split("=")[0])));
  let glue = mark >= 0 ? (query && !query.endsWith("&") ? "&" : "") : /:\/\/.*\//.test(head) ? "?" : "/?";
  for (const [name, value] of pairs) {
    if (!value || (query && own.has(name))) continue;
    head += `${glue}${encoded(name)}=${encoded(value)}`;
    glue = "&";
  }
  return head + (hash < 0 ? "" : url.slice(hash));
}

function decode(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

export const utmPairs = (fields) => UTM.map((name) => [`utm_${name}`, fields[name]]).filter(([, value]) => value);

/** The lines of links.toml. */
export function toml({ code, site, url, ...fields }) {
  const lines = [`[links.${/^[\w-]+$/.test(code) ? code : JSON.stringify(code)}]`, `site = ${JSON.stringify(site)}`, `to = ${JSON.stringify(url)}`];
  for (const name of UTM) if (fields[name]) lines.push(`${name} = ${JSON.stringify(fields[name])}`);
  return lines.join("\n");
}

const shell = (text) => (/^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'"'"'`)}'`);
const options = (fields) => UTM.flatMap((name) => (fields[name] ? [`--${name}`, fields[name]] : []));
const command = (...parts) => ["python -m collector", ...parts.map(shell)].join(" ");

export const addCommand = ({ code, url, site, base, ...fields }) => command("link", "add", code, url, "--site", site, ...options(fields), ...(base ? ["--base", base] : []));
export const signCommand = ({ url, site, base, ...fields }) => command("link", url, "--site", site, ...options(fields), "--base", base || "https://px.example.com");

const html = (text) => text.replace(/[&<>"']/g, (c) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#x27;" })[c]);

/** The tag for the site's pages. Only pages of this machine reach a collector of this machine, and the tag counts those only with `data-hosts`. */
export function snippet(base, site) {
  const [own, key] = [html(base), html(site)];
  const hosts = /^https?:\/\/(localhost|127\.0\.0\.1|\[::1\])(:|\/|$)/.test(base) ? ' data-hosts="*"' : "";
  return `<script>window.pharos=window.pharos||function(){(pharos.q=pharos.q||[]).push(arguments)}</script>
<script async src="${own}/t.js" data-site="${key}"${hosts}></script>
<noscript><img src="${own}/p.gif?s=${key}" alt="" width="1" height="1"
  referrerpolicy="no-referrer-when-downgrade"></noscript>`;
}

/** The pixel of a mail. */
export function mailPixel(base, site, sender, { recipient = false, consent = false } = {}) {
  const known = SENDERS[sender];
  const pairs = [["s", encoded(site)], ["m", known.message], ["l", known.list], ["uid", recipient ? known.recipient : ""], ["n", consent ? "1" : ""]];
  const query = pairs.filter(([, value]) => value).map((pair) => pair.join("=")).join("&");
  return `<img src="${html(`${base}/o.gif?${query}`)}" width="1" height="1" alt="" style="display:block;border:0;width:1px;height:1px">`;
}
