// The tag's base: page views, engagement and the page's own events, delivered to the collector that serves this file.
// It never throws into the page, sets no cookie, and writes nothing to the browser except where docs/tag.md says so.
// Built by build.mjs into collector/http/tag.js; ES2017, and at most 2,300 bytes after gzip.
((w, d, l) => {
  const early = w.pharos || {};
  if (early.on) return;
  // A form named "currentScript" hides the element, and a module has none.
  const current = d.currentScript;
  // The package and Tag Manager bring an element of their own.
  const tag = w.pharosTag || (current && current.src ? current : d.querySelector("script[data-site]"));
  let set;
  let sites;
  let root;
  try {
    set = tag.dataset;
    sites = set.site.split(" ");
    root = new URL(set.api || tag.src);
  } catch (e) {
    return console.warn("pharos: data-site or data-api?", e);
  }
  const now = Date.now;
  const at = (path) => new URL(path, root);
  const guard =
    (act) =>
    (...a) => {
      try {
        return act(...a);
      } catch (e) {}
    };

  // ---- State
  // Every event that the collector has not acknowledged, oldest first: {e: its fields, t: when, p: its page,
  // f: in flight, ok: stored}.
  let queue = [];
  let calls = early.q || [];
  let consent;
  // {url, path, from, title}; missing until the tag starts, its `title` until the page is settled.
  let page;
  // How many more times a flush waits 50 ms for a title other than `was`.
  let hold;
  let was = "";
  let pause = 0;
  let timer;
  // Whether a fetch was ever answered, and whether only images get through.
  let answered;
  let blocked;
  let since = 0;
  let seen = 0;

  // ---- Texts and bodies
  // `u` makes the pattern match halves of a surrogate pair only.
  const text = (value, most) => ("" + value).slice(0, most).replace(/[\ud800-\udfff]/gu, "\ufffd");

  const fit = (fields, most) => {
    const fitted = {};
    for (const k of Object.keys(fields).slice(0, 32)) {
      const v = fields[k];
      if (k && v != null)
        fitted[text(k, 64)] =
          k == "props" ? fit(v, Math.min(most, 1024)) : most < 2e3 || typeof v == "string" ? text(v, most) : v;
    }
    return fitted;
  };

  const fields = (item, most) => {
    const age = now() - item.t;
    return fit(Object.assign({ title: item.p.title, age: age > 99 ? age : null }, item.e), most);
  };

  // ---- Delivery
  const within = (host, domain) => ("." + host).endsWith("." + domain);
  // Cookies need TLS and a page of the same site; without them any origin may read the answer.
  const credentials = w.isSecureContext && within(root.hostname, /[^.]*.[^.]*$/.exec(l.hostname)) ? "include" : "omit";
  // Whether this host counts: one of those listed, or else any that is not this machine.
  let counts = set.hosts
    ? set.hosts.split(" ").some((host) => host == "*" || within(l.hostname, host))
    : !/^(localhost|127.*|\[::1]|)$/.test(l.hostname);

  const images = (batch, few) =>
    Promise.all(batch.slice(0, few).map(core.image)).then(() => {
      blocked = !answered && batch[0].ok;
      // Chromium treats an image of a page that is going as a connection, which the policy forbids: be earlier.
      if (blocked) (w.navigation || w).addEventListener("navigate", leave);
      finish(batch);
    });

  const finish = guard((batch) => {
    retry(batch);
    queue = queue.filter((item) => !item.ok);
    // The oldest event decides whether to wait.
    pause = batch[0].ok ? 0 : Math.min(pause * 2 || 1e3, 6e5);
    later(pause * (Math.random() + 0.5));
    if (d.hidden) keep();
  });

  const post = (batch, body) =>
    fetch(at("e"), { method: "POST", body, keepalive: body.length < 2e4, credentials }).then(
      (r) => {
        // The helper, which comes later, shows it.
        answered = core.answer = r;
        // What is refused for good is as done as what is stored.
        for (const item of batch) item.ok = !/408|429|5../.test(r.status);
        finish(batch);
      },
      () => {
        // One image tells enough; several would arrive in any order.
        if (core.image) return images(batch, 1);
        extras();
        finish(batch);
      },
    );

  const retry = (items) => {
    for (const item of items) item.f = 0;
  };

  const later = (ms) => {
    clearTimeout(timer);
    timer = setTimeout(flush, ms);
  };

  // Send the oldest events that are not in flight. One request at a time keeps their order; a page that is being left
  // sends all that it has.
  const flush = guard((leaving) => {
    if (leaving !== 1) {
      if (queue.some((item) => item.f)) return;
      if (hold && hold-- && d.title == was) return later(50);
    }
    settle();
    do {
      const batch = [];
      let body = "";
      for (const item of queue) {
        const more = item.f ? "" : JSON.stringify(fields(item, 8192));
        if (body && (body.length + more.length > 2e4 || (blocked && leaving !== 1))) break;
        if (more) body += (body && ",") + more;
        if (more) batch.push(item);
      }
      if (!body) break;
      for (const item of batch) item.f = 1;
      if (blocked) images(batch);
      else post(batch, "[" + body + "]");
    } while (leaving === 1);
  });

  const keep = guard(() => {
    delete sessionStorage.pharos;
    if (queue[0] && (consent || set.keep) == 1)
      // Item by item: a page's own Array.prototype.toJSON must not be asked.
      sessionStorage.pharos = "[" + queue.map((item) => JSON.stringify(item)) + "]";
  });

  // ---- Events
  const settle = () => {
    hold = 0;
    if (page.title == null) page.title = d.title;
  };

  // Version 7: the time, then random digits.
  const uuid = () =>
    (now().toString(16).padStart(12, 0).replace(/.{4}$/, "-$&") + "-7xxx-8xxx-xxxxxxxxxxxx").replace(/x/g, () =>
      (crypto.getRandomValues(new Uint8Array(1))[0] % 16).toString(16),
    );

  const push = (event, more) => {
    if (hold > 4 && event != "pageview") hold = 4;
    for (const site of sites) {
      const e = Object.assign({ site, event, id: uuid(), url: page.url, referrer: page.from, consent, webdriver: +navigator.webdriver || null }, more);
      // A copy: the page may change its object before it is sent.
      if (counts && queue.length < 500 && !(w.pharosBefore && w.pharosBefore(e) === false)) queue.push({ e: fit(e, 8192), t: now(), p: page });
    }
    later(0);
  };

  const word = (value) => ([1, "1", true].includes(value) ? "1" : "0");

  const api = guard((event, more) => {
    if (!page) return calls.push([event, more]);
    if (typeof event == "function") return event(core);
    check();
    if (event == "consent") {
      const answer = word(more);
      // A consent dialog may say it again and again; it is news only once a page.
      if (answer == consent) return;
      consent = answer;
      more = {};
    }
    push(event, hold ? more : Object.assign({ title: d.title }, more));
  });

  // Add the visible time since the last call; a gap longer than two ticks is sleep.
  const tick = () => {
    const at = performance.now();
    if (since) seen += Math.min(at - since, 9999);
    since = d.hidden ? 0 : at;
  };

  const engaged = guard(() => {
    tick();
    if (seen > 99) push("engagement", { props: { ms: seen | 0 } });
    seen = 0;
  });

  const enter = (from) => {
    hold = 10;
    page = { url: here(), path: path(), from };
    if (!("manual" in set)) push("pageview");
  };

  const hash = () => ("hash" in set ? l.hash : "");
  const here = () => l.href.split("#")[0] + hash();
  const path = () => l.pathname + hash();

  const check = guard((replaced) => {
    const from = page.url;
    const url = here();
    if (url == from) return;
    // A filter that replaces its query is the same view.
    if (replaced && path() == page.path) return (page.url = url);
    settle();
    engaged();
    was = d.title;
    enter(from);
  });

  const leave = guard(() => {
    engaged();
    flush(1);
    keep();
  });

  // What the second script works with. It adds `image`, which sends an event as an image.
  const core = { flush, set, url: at, fields };

  const extras = () => {
    const s = d.createElement("script");
    s.src = at("x.js");
    s.nonce = tag.nonce;
    d.head.append(s);
  };

  const start = guard(() => {
    if (set.consent) consent = word(set.consent);
    // Consent given before the tag was there also covers the page view.
    for (const c of calls) if (c[0] == "consent") consent = word(c[1]);
    guard(() => {
      // The visitor's own switch: the page #pharos.
      if (localStorage.pharosOff) counts = 0;
      queue = JSON.parse(sessionStorage.pharos || "[]");
      retry(queue);
      delete sessionStorage.pharos;
    })();
    tick();
    setInterval(tick, 5e3);
    enter(d.referrer);
    for (const c of calls) if (c[0] != "consent") api(...c);

    const nav = w.navigation;
    // An element may be named "navigation" as well.
    if (nav && nav.currentEntry) nav.addEventListener("currententrychange", (e) => check(e.navigationType == "replace"));
    else {
      for (const k of ["pushState", "replaceState"]) {
        const real = history[k];
        history[k] = function () {
          real.apply(history, arguments);
          check(k > "q");
        };
      }
      w.addEventListener("popstate", () => check());
    }
    w.addEventListener("pageshow", (e) => {
      if (!e.persisted) return;
      retry(queue);
      engaged();
      enter(page.url);
    });
    w.addEventListener("pagehide", leave);
    w.addEventListener("online", flush);
    d.addEventListener("visibilitychange", () => (d.hidden ? leave() : tick()));
    if (/links|contact|events|forms|scroll|notF|debug|cmp|domains|#pharos/.test(Object.keys(set) + l.hash + /pharos-debug/.exec(l.search))) extras();
  });

  w.pharos = api;
  api.on = 1;
  api.consent = (value) => api("consent", value);
  const begin = () => {
    const event = d.prerendering ? "prerenderingchange" : "seen" in set && d.hidden && "visibilitychange";
    if (event) d.addEventListener(event, begin);
    else if (!page) start();
  };
  begin();
})(window, document, location);
