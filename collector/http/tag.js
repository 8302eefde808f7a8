// The tag: sends what happens on a page to the collector it was loaded from. Rule: it never throws into the page, never
// blocks it, and keeps nothing in the browser: what it has not sent lives in memory only.
//
//   <script async src="https://px.example.com/t.js" data-site="shop"></script>
//
// Attributes: data-site; data-consent="1" or "0"; data-links: outbound and download clicks; data-manual: no page views
// by itself. docs/tag.md has the whole of it. ES2017. Served compacted by collector/http/tag.py, which wants a semicolon after
// every statement, and shortens the names declared here but for those that are also fields of an event.
((w, d, l) => {
  const tag = d.currentScript;
  const early = w.pharos;
  if (!tag || (early && early.on)) return;
  const set = tag.dataset;
  const at = (path) => new URL(path, tag.src).href;
  const guard = (act) => (...a) => {
    try {
      return act(...a);
    } catch (e) {}
  };

  let queue = [];
  let kept = [];
  let consent = set.consent;
  let page;
  let from = d.referrer;
  let since = 0;
  let seen = 0;

  // The last resort: one image an event. What fails here too waits until the browser is online again.
  const image = (event) => {
    const short = { site: "s", event: "e", url: "u", referrer: "r", title: "t", value: "v", currency: "c", user_id: "uid", consent: "n", time: "ts" };
    const query = new URLSearchParams();
    for (const k in event) {
      if (k == "props") for (const x in event[k]) query.set("x." + x, event[k][x]);
      else if (event[k] != null) query.set(short[k] || k, event[k]);
    }
    const i = new Image();
    i.onerror = () => keep(event);
    i.src = at("p.gif?" + query);
  };

  const keep = (event) => {
    if (!event.time && kept.length < 99) kept.push(Object.assign(event, { time: Date.now() }));
  };

  const flush = guard((leaving) => {
    const events = queue;
    if (!events[0]) return;
    queue = [];
    const body = JSON.stringify(events);
    if (leaving && navigator.sendBeacon && navigator.sendBeacon(at("e"), body)) return;
    // no-cors: delivered is all we want to know, and a site that the collector does not list must not see errors.
    fetch(at("e"), { method: "POST", body, keepalive: true, credentials: "include", mode: "no-cors" }).catch(() => {
      events.forEach(guard(navigator.onLine ? image : keep));
    });
  });

  const push = (event, more) => {
    // The id makes a repeat harmless: the collector counts it once.
    const id = [...crypto.getRandomValues(new Uint32Array(4))].map((x) => x.toString(36)).join("");
    queue.push(Object.assign({ site: set.site, event, id, url: page, referrer: from, title: d.title, consent }, more));
    setTimeout(flush);
  };

  const api = guard((event, more) => {
    if (event == "consent" && typeof more == "boolean") {
      const word = more ? "1" : "0";
      // A consent dialog may say it again and again; it is news only once a page.
      if (word == consent) return;
      consent = word;
      more = {};
    }
    push(event, more);
  });

  // Visible time since it was last told, in milliseconds.
  const engaged = () => {
    if (since) seen += Date.now() - since;
    since = d.hidden ? 0 : Date.now();
    const ms = seen;
    seen = 0;
    if (ms > 99 && page) push("engagement", { props: { ms: "" + ms } });
  };

  const view = guard((again) => {
    const url = l.href.split("#")[0];
    if (url == page && !again) return;
    if (page) {
      engaged();
      from = page;
    }
    page = url;
    if (set.manual == null) push("pageview");
  });

  const leave = guard(() => {
    engaged();
    flush(true);
  });

  const click = guard((e) => {
    const a = e.target.closest("a[href]");
    if (!a || !/^http/.test(a.href)) return;
    const file = a.hasAttribute("download") || /\.(pdf|zip|gz|dmg|exe|msi|apk|docx?|xlsx?|pptx?|csv|mp[34])$/i.test(a.pathname);
    if (!file && a.host == l.host) return;
    push(file ? "download" : "outbound", { props: { href: a.href.slice(0, 1024) } });
    flush(true);
  });

  const start = guard(() => {
    since = d.hidden ? 0 : Date.now();
    const calls = (early && early.q) || [];
    // Consent given before the tag was there also covers the page view.
    for (const c of calls) if (c[0] == "consent") consent = c[1] ? "1" : "0";
    view();
    for (const c of calls) if (c[0] != "consent") api(...c);
  });

  w.pharos = api;
  api.on = 1;
  api.consent = (yes) => api("consent", !!yes);
  for (const k of ["pushState", "replaceState"]) {
    const real = history[k];
    history[k] = function () {
      real.apply(history, arguments);
      setTimeout(view);
    };
  }
  w.addEventListener("popstate", () => setTimeout(view));
  w.addEventListener("pageshow", (e) => e.persisted && view(1));
  w.addEventListener("pagehide", leave);
  w.addEventListener("online", () => {
    queue.push(...kept);
    kept = [];
    flush();
  });
  d.addEventListener("visibilitychange", () => (d.hidden ? leave() : (since = Date.now())));
  if (set.links != null) d.addEventListener("click", click, true);
  if (d.prerendering) d.addEventListener("prerenderingchange", start);
  else start();
})(window, document, location);
