// An overlay for developers: what this page's tag sent, what was answered, what to correct. Loaded by a bookmarklet, or by
// the tag where the address has "pharos-debug". It sends nothing and counts nothing.
// Built by build.mjs, with fixes.js, into collector/http/tag_helper.js; at most 5,500 bytes after gzip.
import { fix, fixField } from "./fixes.js";

((w, d, l) => {
  if (w.pharosHelper) return w.pharosHelper();
  const current = d.currentScript;
  const tag = d.querySelector("script[data-site]");
  const api = new URL((tag && (tag.dataset.api || tag.src)) || (current && current.src) || l.href);
  const isOurs = (address) => address.origin === api.origin && address.pathname.startsWith(api.pathname.replace(/[^/]*$/, ""));
  const sites = tag ? tag.dataset.site.split(" ") : [];

  // ---- The overlay: a shadow tree, so that neither's styles reach the other; a constructed sheet, which no policy forbids
  const el = (name, props, ...children) => {
    const made = Object.assign(d.createElement(name), props);
    made.append(...children.filter((child) => child || child === 0));
    return made;
  };
  const host = el("div", { id: "pharos-helper" });
  const root = host.attachShadow({ mode: "open" });
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(`:host{all:initial}
*{box-sizing:border-box;font:13px/1.45 system-ui,sans-serif;color:#1c2733}
.box{position:fixed;right:12px;bottom:12px;z-index:2147483647;width:min(420px,calc(100vw - 24px));max-height:min(70vh,640px);overflow:auto;background:#fff;border:1px solid #c6d0d9;border-radius:10px;box-shadow:0 6px 28px rgb(0 0 0/.22)}
header{display:flex;gap:8px;align-items:center;padding:9px 12px;border-bottom:1px solid #dfe5ea;position:sticky;top:0;background:#fff}
header b{flex:1;font-weight:650}
button{background:none;border:0;color:#566575;cursor:pointer;padding:2px 6px;border-radius:5px}button:hover{background:#eef3f8}
ul,ol{list-style:none;margin:0;padding:0}li{padding:8px 12px;border-top:1px solid #eef3f8;overflow-wrap:anywhere}
.check li{border:0;padding:5px 12px 5px 26px;position:relative}.check li:before{content:"";position:absolute;left:12px;top:11px;width:8px;height:8px;border-radius:50%;background:#1a6d44}
.check li.bad:before{background:#b3263e}.check li.note:before{background:#8f5200}
p{margin:2px 0}b{font-weight:650}small{color:#566575}.state{float:right;color:#1a6d44}.bad .state,.bad>b{color:#b3263e}
.todo{border-left:3px solid #d9822b;padding-left:8px;margin:4px 0}summary{cursor:pointer;color:#566575}pre{font:12px/1.4 ui-monospace,monospace;white-space:pre-wrap;margin:4px 0 0;background:#eef3f8;border-radius:6px;padding:8px}`);
  root.adoptedStyleSheets = [sheet];
  const checks = el("ul", { className: "check" });
  const list = el("ol", {});
  const say = el("small", {});
  say.setAttribute("role", "status");
  const close = el("button", { type: "button", textContent: "Close", onclick: () => host.remove() });
  const box = el("div", { className: "box" }, el("header", {}, el("b", { textContent: "Pharos helper" }), say, close), checks, list);
  box.setAttribute("role", "region");
  box.setAttribute("aria-label", "Pharos helper");
  root.append(box);
  // Whether or not the page hides what it does not know.
  host.style.setProperty("display", "block", "important");
  w.pharosHelper = () => d.documentElement.append(host);
  w.pharosHelper();

  let sent = 0;
  const count = () => (say.textContent = `${sent} request${sent === 1 ? "" : "s"}`);

  // ---- What can be seen before anything is sent
  const check = (level, text) => checks.append(el("li", { className: level, textContent: text }));
  const states = () => {
    if (!tag) return check("bad", "This page has no tag: a <script> with data-site that loads t.js.");
    if (!tag.dataset.site) check("bad", "data-site of the tag is empty: write the site's key into it.");
    else check("", `Tag of ${sites.join(", ")}, collector ${api.origin}.`);
    if (d.querySelectorAll("script[data-site]").length > 1) check("note", "There is more than one tag; the first one counts.");
    if (!(w.pharos && w.pharos.on)) check("bad", "The tag's script has not run: is it blocked, or does its address answer 404?");
    const { hosts } = tag.dataset;
    const counted = hosts
      ? hosts.split(" ").some((one) => one === "*" || `.${l.hostname}`.endsWith(`.${one}`))
      : !/^(localhost|127.*|\[::1]|)$/.test(l.hostname);
    if (!counted) check("bad", hosts ? `${l.hostname} is not in data-hosts, so nothing is sent.` : 'This machine is not counted: add data-hosts="*" to the tag while you test.');
    try {
      if (localStorage.pharosOff) check("bad", "Your own visits are switched off in this browser: open this page with #pharos.");
    } catch (e) {}
    if (navigator.globalPrivacyControl) check("note", "This browser sends Sec-GPC: most sites count that as consent refused.");
    if (navigator.doNotTrack === "1") check("note", "This browser sends DNT: most sites count that as consent refused.");
    if (navigator.webdriver) check("note", "A program drives this browser: its events are marked as a bot's.");
  };

  // ---- One request: its events, the answer, and what to correct
  const entry = (events, state, bad, todos) => {
    sent += 1;
    count();
    const item = el("li", { className: bad ? "bad" : "" });
    const names = events.map(({ event }) => event || "pageview").join(", ");
    item.append(el("span", { className: "state", textContent: state }), el("b", { textContent: names || "the page view" }), ...todos.map((text) => el("p", { className: "todo", textContent: text })));
    if (events.length)
      item.append(el("details", {}, el("summary", { textContent: events[0].url || "fields" }), el("pre", { textContent: JSON.stringify(events, null, 1) })));
    list.prepend(item);
  };

  const judge = (events, status, body) => {
    const refused = body.refused || (body.reason ? [{ index: 0, reason: body.reason }] : []);
    const todos = refused.map(({ index, reason }) =>
      fix({ reason, route: "tag", name: (events[index] || { site: sites[0] }).site || "(none)", origin: l.origin }) + (body.detail ? ` (${body.detail})` : ""));
    for (const one of [].concat(body.dropped || [])) todos.push(...[].concat(one.fields || one.field || one).map((name) => fixField(String(name))));
    if (status === 429) todos.push("The collector is busy: the tag sends it again.");
    const accepted = body.accepted || 0;
    entry(events, accepted ? (todos.length ? `${status}, ${accepted} accepted` : `${status} accepted`) : `${status} refused`, !accepted, [...new Set(todos)]);
  };

  const parsed = (text) => {
    try {
      return [].concat(JSON.parse(text));
    } catch (e) {
      return [];
    }
  };

  const shown = new WeakSet();
  const real = w.fetch;
  w.fetch = function (to, init) {
    const answer = real.apply(this, arguments);
    try {
      const address = new URL(to && to.url ? to.url : to, d.baseURI);
      if (init && init.method === "POST" && isOurs(address)) {
        const events = parsed(init.body);
        answer.then(
          (r) => shown.add(r) && r.clone().json().then((body) => judge(events, r.status, body), () => entry(events, `${r.status}`, r.status >= 400, [])),
          () => entry(events, "no answer", true, ["No answer that this page may read: no network, an ad blocker, or the page's Content-Security-Policy (connect-src). The tag tries images next."]),
        );
      }
    } catch (e) {}
    return answer;
  };

  // ---- Images, from the browser's own list of what was loaded
  const look = (entries) => {
    for (const { name, initiatorType } of entries) {
      const address = new URL(name);
      if (!isOurs(address) || initiatorType !== "img" || !/\.gif$/.test(address.pathname)) continue;
      const fields = Object.fromEntries(address.searchParams);
      entry([{ event: fields.e, url: fields.u, ...fields }], "sent as an image", false, ["A pixel's answer cannot be read by the page: Live of the report shows whether it was accepted."]);
    }
  };
  new PerformanceObserver((all) => look(all.getEntries())).observe({ type: "resource", buffered: true });
  d.addEventListener("securitypolicyviolation", ({ blockedURI, effectiveDirective }) => {
    if (blockedURI.startsWith(api.origin)) check("bad", `The page's Content-Security-Policy forbids ${api.origin} in ${effectiveDirective}: allow it.`);
  });
  // ---- The answer that came before the helper did: the tag keeps its last one
  let looks = 40;
  const before = (core) => {
    const r = core.answer;
    if (r && !shown.has(r)) r.clone().json().then((body) => judge([], r.status, body), () => {});
    else if (!r && looks--) setTimeout(before, 100, core);
  };
  count();
  states();
  if (w.pharos && w.pharos.on) w.pharos(before);
})(window, document, location);
