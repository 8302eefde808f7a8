// Live: what arrived in the last minutes, newest first; the refused hits too, with the reason and what to correct.
import { fix, fixField } from "../../../../tag/src/fixes.js";
import { arrange, choices, h, newId } from "../dom.js";
import { count, money } from "../format.js";
import { fill } from "../sql.js";
import recent_sql from "../../questions/recent.sql";
import journey_sql from "../../questions/journey.sql";

export const id = "live";
export const title = "Live";
export const ofSite = { show: "", find: "" };

const EVERY_MS = 2000;
const SECONDS = 1800;
const MOST = 100;
const KINDS = { "": "Everything", events: "Events", people: "People", bots: "Bots", refused: "Refused" };

let current = null;

export function show(main, context) {
  current = new Live(main, context);
  current.look();
  return () => current.end();
}

export function update(context) {
  current.context = context;
  current.draw();
}

class Live {
  constructor(main, context) {
    this.context = context;
    this.rows = null;
    this.refusals = new Map(); // by collector: {at, list}
    this.problem = "";
    this.refusedProblem = "";
    this.paused = false;
    this.open = null; // key of the entry whose details are shown
    this.status = h("p", { role: "status", class: "live-status" });
    this.pause = h("button", { type: "button", class: "quiet", "aria-pressed": "false", onclick: () => this.turn() }, "Pause");
    this.choices = choices("Show", KINDS, (show) => this.context.go({ show }));
    this.badge = h("span", { class: "badge", hidden: true });
    this.choices.buttons.refused.append(this.badge);
    this.find = h("input", { type: "search", placeholder: "Event, page, source ...", "aria-label": "Find", value: context.values.find ?? "",
      oninput: () => this.draw(), onchange: () => this.context.go({ find: this.find.value }) });
    this.list = h("ol", { class: "live", "aria-label": "What arrived, newest first" });
    this.detail = h("aside", { class: "detail", "aria-label": "Details", tabIndex: -1, hidden: true });
    this.warning = h("div", {});
    main.append(h("h1", { class: "hidden" }, `Live: ${context.values.site || "no site yet"}`),
      h("div", { class: "controls" }, this.choices.element, this.find, h("span", { class: "grow" }), this.status, this.pause),
      this.warning, h("div", { class: "live-columns" }, h("section", { class: "live-list" }, this.list), this.detail));
    this.visible = () => !document.hidden && this.again(0);
    document.addEventListener("visibilitychange", this.visible);
  }

  end() {
    this.over = true;
    clearTimeout(this.timer);
    document.removeEventListener("visibilitychange", this.visible);
  }

  turn() {
    this.paused = !this.paused;
    this.pause.textContent = this.paused ? "Go on" : "Pause";
    this.pause.setAttribute("aria-pressed", String(this.paused));
    this.paused ? this.draw() : this.again(0);
  }

  again(ms) {
    clearTimeout(this.timer);
    if (!this.over && !this.paused && !document.hidden) this.timer = setTimeout(() => this.look(), ms);
  }

  /** Ask both sources once, draw, and come again: one look at a time. */
  async look() {
    if (this.looking) return;
    this.looking = true;
    await Promise.all([this.lookForRows(), this.lookForRefusals()]);
    this.looking = false;
    if (this.over) return;
    this.draw();
    this.again(EVERY_MS);
  }

  async lookForRows() {
    const { site } = this.context.values;
    if (!site) return;
    try {
      const { rows } = await this.context.clickhouse.ask(fill(recent_sql, { site, seconds: SECONDS, most: MOST }), { fresh: true });
      this.rows = rows.map((row) => ({ ...row, key: `${row.event_id} ${row.received_ms}`, at: row.received_ms }));
      this.problem = "";
    } catch (error) {
      if (!error.kind) throw error;
      this.problem = error.message;
    }
  }

  async lookForRefusals() {
    try {
      const { collector, refused } = await this.context.clickhouse.fetchJson("refused");
      const now = Date.now();
      this.refusals.set(collector, { at: now, list: refused });
      // Behind a balancer each look may reach another collector; one that is gone is forgotten.
      for (const [name, { at }] of this.refusals) if (now - at > 60_000) this.refusals.delete(name);
      this.refusedProblem = "";
    } catch (error) {
      if (!error.kind) throw error;
      this.refusedProblem = error.message;
    }
  }

  refused() {
    const joined = new Map();
    for (const { list } of this.refusals.values())
      for (const one of list) {
        const key = `refused ${one.route} ${one.reason} ${one.name} ${one.origin}`;
        const other = joined.get(key);
        joined.set(key, { ...one, key, at: Math.max(one.last_ms, other?.at ?? 0), first: Math.min(one.first_ms, other?.first ?? Infinity), hits: one.hits + (other?.hits ?? 0), refused: true });
      }
    return [...joined.values()];
  }

  entries() {
    const { show = "" } = this.context.values;
    const wanted = this.find.value.trim().toLowerCase();
    const kinds = { events: (one) => !one.refused, people: (one) => !one.refused && !one.is_bot, bots: (one) => one.is_bot, refused: (one) => one.refused };
    return [...(this.rows ?? []), ...this.refused()]
      .filter(kinds[show] ?? (() => true))
      .filter((one) => !wanted || SEARCHED.some((name) => String(one[name] ?? "").toLowerCase().includes(wanted)))
      .sort((a, b) => b.at - a.at);
  }

  draw() {
    const { show = "", site } = this.context.values;
    const now = Date.now();
    const entries = this.entries();
    const refused = this.refused().filter((one) => now - one.at < SECONDS * 1000).length;
    const arrived = (this.rows ?? []).filter((one) => now - one.at < 60_000).length;
    this.choices.mark(show);
    this.badge.hidden = !refused;
    this.badge.textContent = count(refused);
    const say = this.paused ? "Paused" : `${arrived >= MOST ? `${MOST} or more` : count(arrived)} in the last minute`;
    if (this.status.textContent !== say) this.status.textContent = say;
    this.status.classList.toggle("on", !this.paused && !this.problem);
    const warnings = [this.problem, this.refusedProblem && `Refused hits cannot be shown: ${this.refusedProblem}`].filter(Boolean);
    if (this.warning.textContent !== warnings.join("")) this.warning.replaceChildren(...warnings.map((text) => h("p", { class: "why", role: "alert" }, text)));
    const old = new Map([...this.list.children].map((item) => [item.dataset.key, item]));
    const items = entries.map((one) => {
      const made = old.get(one.key) ?? this.item(one);
      refresh(made, one, now, Object.keys(this.context.sites));
      made.firstElementChild.setAttribute("aria-expanded", String(one.key === this.open));
      return made;
    });
    arrange(this.list, items.length ? items : [h("li", { class: "empty" }, this.rows || !site ? this.whyEmpty() : "Asking ...")]);
  }

  whyEmpty() {
    const { show = "", site } = this.context.values;
    const find = this.find.value.trim();
    if (find) return `Nothing of the last ${SECONDS / 60} minutes has "${find}" in it.`;
    if (show === "refused") return "No refused hit is remembered: the collector keeps the last 100 kinds of each worker until it restarts.";
    if (!site) return "No event is stored yet. Open a page with the tag; what the collector refuses is shown here too.";
    const last = (this.context.sites[site] ?? []).map((one) => one.last).sort().pop();
    return last ? `Nothing arrived in the last ${SECONDS / 60} minutes. The last event arrived at ${last.slice(0, 19)} UTC.` : `No event of the site "${site}" is stored yet.`;
  }

  item(one) {
    const button = h("button", { type: "button", class: "entry", onclick: () => this.choose(one) });
    return h("li", { "data-key": one.key, class: one.refused ? "refused" : one.is_bot ? "bot" : "" }, button);
  }

  choose(one) {
    this.open = this.open === one.key ? null : one.key;
    this.detail.hidden = !this.open;
    if (this.open) {
      const close = h("button", { type: "button", class: "quiet", onclick: () => { this.choose(one); [...this.list.children].find((item) => item.dataset.key === one.key)?.firstElementChild.focus(); } }, "Close");
      this.detail.replaceChildren(close, ...(one.refused ? refusedDetail(one, Object.keys(this.context.sites)) : this.rowDetail(one)));
      this.detail.focus({ preventScroll: matchMedia("(min-width: 900px)").matches });
    }
    this.draw();
  }

  rowDetail(row) {
    const journey = row.visitor_id ? part("This visitor, newest first", async () => this.journey(row)) : part("This visitor", async () => [h("p", { class: "empty" }, `The event has no visitor id (consent ${row.consent}), so there is no journey.`)]);
    return [
      h("h2", {}, row.event, " ", h("small", { class: "soft" }, clock(row.at))),
      h("p", { class: "address" }, row.url || "no page"),
      row.dropped.length > 0 && h("ul", { class: "todo" }, row.dropped.map((name) => h("li", {}, fixField(name)))),
      part("From the hit to the row", async () => this.steps(row)),
      journey,
    ].filter(Boolean);
  }

  async steps(row) {
    const { hit, steps } = await this.context.clickhouse.fetchJson(`explain?${new URLSearchParams({ event_id: row.event_id, at: row.received_ms })}`);
    return [
      h("ol", { class: "steps" }, steps.map(({ name, columns, why }) =>
        h("li", {}, h("b", {}, name), h("p", {}, why), pairs(columns)))),
      h("details", {}, h("summary", {}, "The raw hit"),
        h("p", { class: "soft" }, "As in hits.raw; personal data is masked, address and user agent are left out."),
        h("pre", { tabIndex: 0, "aria-label": "The raw hit" }, JSON.stringify(readable(hit), null, 2))),
    ];
  }

  async journey(row) {
    const { rows } = await this.context.clickhouse.ask(fill(journey_sql, { site: this.context.values.site, visitor: row.visitor_id }), { fresh: true });
    return [h("ol", { class: "journey" }, rows.map((one) =>
      h("li", { class: one.event_id === row.event_id ? "now" : "" },
        h("time", {}, one.at.slice(0, 16)), " ", h("b", {}, one.event), one.value ? ` ${money(one.value, one.currency)}` : "", " ", one.path,
        one.source !== "(internal)" && h("small", {}, `${one.channel}: ${one.source}${one.campaign && `, ${one.campaign}`}`))))];
  }
}

const SEARCHED = ["event", "url", "title", "campaign", "way", "reason", "name", "origin", "bot_reason", "link_code"];

/** Write an entry's line; only what changed is touched, so that a reader of the list keeps the place. */
function refresh(item, one, now, sites) {
  const button = item.firstElementChild;
  const when = ago(now - one.at);
  const hits = `${one.hits ?? ""}`;
  if (button.dataset.hits !== hits) {
    button.dataset.hits = hits;
    button.title = clock(one.at);
    button.replaceChildren(h("time", {}, when), ...(one.refused ? refusedLine(one, sites) : line(one)));
  }
  button.firstElementChild.textContent = when;
}

function line(row) {
  const who = row.is_bot ? `bot: ${row.bot_reason}` : row.open_kind && row.open_kind !== "human" ? `machine: ${row.open_kind}` : "person";
  return [
    h("span", { class: "what" }, h("b", {}, row.event), row.value ? h("span", { class: "value" }, money(row.value, row.currency)) : "", row.dropped.length > 0 && h("span", { class: "tag warn" }, `dropped: ${row.dropped.join(", ")}`)),
    h("span", { class: "where" }, row.path || row.link_code || row.message_id || "no page", row.title && h("small", {}, row.title)),
    h("span", { class: "from" }, row.way, h("small", {}, [row.origin, row.campaign].filter(Boolean).join(", "))),
    h("span", { class: "who" }, [row.device, row.country].filter(Boolean).join(", ") || row.kind, h("small", {}, `${who}, consent ${row.consent}`)),
    h("span", { class: "props" }, Object.entries(row.props).slice(0, 3).map(([name, value]) => `${name}=${value}`).join(" ")),
  ];
}

function refusedLine(one, sites) {
  return [
    h("span", { class: "what" }, h("b", {}, "refused"), h("span", { class: "tag bad" }, one.reason)),
    h("span", { class: "where" }, `${ROUTES[one.route]} "${one.name}"`, h("small", {}, one.origin || "no page named")),
    h("span", { class: "fix" }, fix(one, sites)),
    h("span", { class: "who" }, `${count(one.hits)} hit${one.hits === 1 ? "" : "s"}`),
  ];
}

const ROUTES = { pixel: "pixel of site", tag: "tag of site", server: "server, site", link: "link" };

function refusedDetail(one, sites) {
  return [
    h("h2", {}, "Refused: ", one.reason),
    h("p", { class: "todo" }, fix(one, sites)),
    pairs({ route: one.route, [one.route === "link" ? "code" : "site"]: one.name, page: one.origin || "not sent", hits: one.hits, first: clock(one.first), last: clock(one.at) }),
    h("p", { class: "soft" }, "Nothing else of a refused hit is kept: no address, no visitor, no page beyond its origin. What a visitor refused (opted_out, no_consent) is not listed, only counted in the metrics."),
  ];
}

/** A part of the details that is asked for when it is shown. */
function part(name, ask) {
  const heading = newId();
  const body = h("div", {}, h("div", { class: "skeleton", role: "status", "aria-label": `${name}: asking` }));
  ask().then(
    (children) => body.replaceChildren(...children),
    (error) => body.replaceChildren(h("p", { class: "why", role: "alert" }, error.message)),
  );
  return h("div", { role: "group", "aria-labelledby": heading, class: "part" }, h("h3", { id: heading }, name), body);
}

function pairs(columns) {
  const names = Object.keys(columns);
  return names.length > 0 && h("dl", {}, names.map((name) => [h("dt", {}, name), h("dd", {}, text(columns[name]))]));
}

const text = (value) => (typeof value === "object" ? JSON.stringify(value) : String(value));

function readable(hit) {
  try {
    return { ...hit, ...(hit.body ? { body: JSON.parse(hit.body) } : {}), ...(hit.query ? { query: hit.query.split("&") } : {}) };
  } catch {
    return hit;
  }
}

const time = new Intl.DateTimeFormat("en-GB", { timeStyle: "medium", dateStyle: "short" });
const clock = (ms) => time.format(new Date(ms));

function ago(ms) {
  const seconds = Math.max(0, Math.round(ms / 1000));
  return seconds < 60 ? `${seconds} s` : seconds < 3600 ? `${Math.floor(seconds / 60)} min` : `${Math.floor(seconds / 3600)} h`;
}
