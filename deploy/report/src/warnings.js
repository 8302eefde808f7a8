// What the site's own history says about a link's fields: misspellings, and names that were written in another way. Pure.
import { nearest } from "../../../tag/src/fixes.js";

/** Return sentences. fields: source, medium, campaign, url, code; history: rows of questions/names.sql. */
export function warnings(fields, history) {
  const found = [];
  const origins = history.filter(({ what }) => what === "origin");
  for (const name of ["source", "medium", "campaign"]) {
    const sent = fields[name]?.trim() ?? "";
    if (!sent) continue;
    const value = sent.toLowerCase().replace(/\s+/g, " ");
    const known = sum(origins, name);
    const near = known.has(value) ? "" : nearest(value, [...known.keys()].filter(Boolean));
    if (near) found.push({ level: "warn", name, use: near, text: `"${sent}" is new here. Did you mean "${near}" (${known.get(near).toLocaleString("en")} hits)?` });
    else if (!known.has(value) && known.size && name !== "campaign") found.push({ level: "note", name, text: `"${sent}" is a new ${name} of this site.` });
    if (value !== sent) found.push({ level: "note", name, text: `It will be counted as "${value}": names are compared in lower case.` });
    if (sent.includes("@")) found.push({ level: "warn", name, text: `The ${name} looks like an e-mail address: it would be masked. Name no persons in a link.` });
  }
  const [source, medium] = [lower(fields.source), lower(fields.medium)];
  const own = origins.filter((row) => row.source === source);
  if (source && medium && own.length && !own.some((row) => row.medium === medium)) {
    const usual = [...sum(own, "medium")].sort((a, b) => b[1] - a[1])[0][0];
    if (usual && usual !== "(not set)") found.push({ level: "warn", name: "medium", use: usual, text: `"${source}" came with the medium "${usual}" so far: another one may be another channel.` });
  }
  const same = own.find((row) => row.medium === medium);
  if (same) found.push({ level: "ok", name: "medium", text: `Counted as ${same.channel}, as ${same.hits.toLocaleString("en")} hits before.` });
  if (source && !medium) found.push({ level: "warn", name: "medium", text: "Without a medium the channel cannot be told: it would be Unassigned." });
  if (!source && (medium || fields.campaign)) found.push({ level: "warn", name: "source", text: "Name the source: it would be (not set)." });
  const hosts = new Set(history.filter(({ what }) => what === "host").map((row) => row.source));
  const host = hostOf(fields.url);
  if (host && hosts.size && !hosts.has(host)) found.push({ level: "warn", name: "url", text: `No page of ${host} was ever seen on this site. Does it carry the tag?` });
  if (fields.code && history.some((row) => row.what === "code" && row.source === fields.code))
    found.push({ level: "warn", name: "code", text: `The code "${fields.code}" has clicks already: a link of that name exists.` });
  return found;
}

const lower = (text) => (text ?? "").trim().toLowerCase().replace(/\s+/g, " ");

function sum(rows, name) {
  const found = new Map();
  for (const row of rows) found.set(row[name], (found.get(row[name]) ?? 0) + row.hits);
  return found;
}

function hostOf(url) {
  try {
    return new URL(url).hostname;
  } catch {
    return "";
  }
}
