// What to correct after a refusal, by its reason: for Live of the report, and for the helper on the page. Pure.

const FIXES = {
  bad_event: "An event's name has 1-64 of A-Z, a-z, 0-9, '_', '.', ':', '-'.",
  bad_id: "id has at most 256 characters: without it a repeat would count twice, so the event is refused.",
  bad_time: "time must lie at most 72 hours back and 5 minutes ahead. Is the sender's clock right?",
  bad_body: "The body must be one JSON object, a list of them, or {\"events\": [...]}.",
  too_large: "A body has at most 1 MiB and 500 events: send smaller batches.",
  bad_signature: "The link was changed after it was signed, or signed with another key. Make it again: python -m collector link.",
  spool: "The collector's disk is full or fails. Nothing is wrong with the page; the tag sends the event again.",
  opted_out: "This visitor has opted out (cookie _pno): nothing is recorded. /opt-in takes it back.",
  no_consent: "The site drops hits without consent. Send consent: pharos('consent', 1).",
};

const FIELDS = {
  url: "an absolute http or https address",
  referrer: "an absolute http or https address",
  value: "a decimal with a point, such as 19.90: no currency sign, no comma, not above the site's max_value",
  currency: "three capital letters, such as EUR",
  user_id: "your own id of the person: no e-mail address, at most 256 characters",
  time: "RFC 3339 with a zone, or epoch milliseconds",
  props: "at most 32 texts; names up to 64 and values up to 1,024 characters",
  ip: "an address of the visitor",
};

/** Return what a field should hold that was dropped from an accepted event. */
export function fixField(name) {
  return `${name} cannot be used, and is left out. It should be ${FIELDS[name] ?? "as docs/http.md has it"}.`;
}

/** Return what to do about a refusal. `name`: site key or link code as sent; `origin`: of the page; `sites`: keys that are known. */
export function fix({ reason, route = "tag", name = "", origin = "" }, sites = []) {
  switch (reason) {
    case "unknown_site": {
      const where = route === "pixel" ? "s= of the pixel's address" : route === "server" ? "\"site\" of the event" : "data-site of the tag";
      if (name === "(none)" || !name) return `The hit names no site. Write the site's key into ${where}.`;
      if (name === "(unreadable)") return `What is sent as site cannot be a key: lower-case letters, digits, '_', '.', '-'. Was a template filled in? Correct ${where}.`;
      const near = nearest(name, sites);
      return `There is no site "${name}". ${near ? `Did you mean "${near}"? ` : ""}Correct ${where}, or add the site: python -m collector site add ${/^[a-z0-9][a-z0-9_.-]*$/.test(name) ? name : "KEY"}`;
    }
    case "origin":
      return `The site takes hits of listed origins only. Add "${origin || "the page's origin"}" to origins of ${name || "the site"} in sites.toml.`;
    case "unauthorized":
      return route === "server"
        ? "The bearer token is missing, or not one of this site. Make one: python -m collector site token KEY"
        : `This event counts only from your server, with a token (token_events of ${name || "the site"} in sites.toml).`;
    case "unknown_link":
      return `No link "${name}" in links.toml. Was its code misspelt? Otherwise add it: python -m collector link add ${name} URL --site KEY`;
    default:
      return FIXES[reason] ?? "See the reasons of refusal in docs/http.md.";
  }
}

/** Return the known name within two edits of `name`; "" if there is no such name. */
export function nearest(name, known) {
  let best = "";
  let least = Math.min(2, Math.floor(name.length / 3)) + 1;
  for (const one of known) {
    const edits = distance(name.toLowerCase(), one.toLowerCase());
    if (edits && edits < least) [best, least] = [one, edits];
  }
  return best;
}

function distance(a, b) {
  let before = [...b, ""].map((_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++)
      row[j] = Math.min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (a[i - 1] !== b[j - 1]));
    before = row;
  }
  return before[b.length];
}
