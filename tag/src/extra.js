// The tag's opt-ins: each is off until its attribute is on the tag's <script>. base.js loads this file where one is, where
// a fetch fails, and on the page #pharos.
// Built by build.mjs into collector/http/tag_extra.js; at most 2,500 bytes after gzip.
((w, d, l) => {
  // On a page that loads this file by itself, it may come before the base.
  w.pharos =
    w.pharos ||
    function () {
      (pharos.q = pharos.q || []).push(arguments);
    };
  w.pharos((core) => {
    if (core.extra) return;
    core.extra = 1;
    const set = core.set;
    const has = (name) => set[name] != null;
    const attempt =
      (act) =>
      (...a) => {
        try {
          act(...a);
        } catch (problem) {}
      };
    const on = (target, event, act) => target.addEventListener(event, attempt(act), true);
    const send = (event, props, more) => {
      w.pharos(event, Object.assign({ props }, more));
      // The page may be on its way out.
      core.flush(1);
    };

    // ---- Events as images, where fetch is not allowed or its answer cannot be read
    core.image = (item) =>
      new Promise((done) => {
        let query;
        let most = 16384;
        do {
          const e = core.fields(item, (most /= 2));
          query = new URLSearchParams();
          for (const k in e)
            if (k == "props") for (const x in e.props) query.set("x." + x, e.props[x]);
            else query.set({ id: k, user_id: "uid", consent: "n", time: "ts" }[k] || k[0], e[k]);
          query = "" + query;
        } while (query.length > 7e3);
        const i = new Image();
        i.onload = () => done((item.ok = 1));
        i.onerror = done;
        i.src = core.url("p.gif?" + query);
      });
    // What a fetch could not send waits for it.
    core.flush();

    // ---- data-links, data-contact
    const FILE = /\.(pdf|zip|gz|dmg|exe|msi|apk|docx?|xlsx?|pptx?|csv|mp[34])$/i;

    // The link that was clicked, also in a shadow root or an image map; the target of an SVG link is an object.
    const link = (e) => {
      for (const node of e.composedPath()) {
        const href = /^(a|area)$/i.test(node.localName) && (node.href.baseVal || node.href);
        if (href) return [node, new URL(href, d.baseURI)];
      }
      return [];
    };

    const click = (e) => {
      // Of the other buttons the middle one follows a link.
      if (e.type == "auxclick" && e.button != 1) return;
      const [node, to] = link(e);
      if (!node) return;
      if (/^http/.test(to.protocol)) {
        const file = node.hasAttribute("download") || FILE.test(to.pathname);
        if (has("links") && (file || to.host != l.host)) send(file ? "download" : "outbound", { href: to.href });
      } else if (has("contact") && /^(mailto|tel|sms):/.test(to.protocol)) {
        // Who is written to or called is not sent.
        send("contact", { kind: to.protocol.slice(0, -1) });
      }
    };

    if (has("links") || has("contact")) {
      on(d, "click", click);
      on(d, "auxclick", click);
    }

    // ---- data-events: data-pharos-event="signup" on an element, data-pharos-NAME for its properties
    const named = (e) => {
      for (const node of e.composedPath()) {
        const event = node.getAttribute && node.getAttribute("data-pharos-event");
        if (!event) continue;
        if ((node.localName == "form") != (e.type == "submit")) return;
        const more = {};
        const props = {};
        for (const { name, value } of [...node.attributes]) {
          const key = name.slice(12);
          if (name.startsWith("data-pharos-") && key != "event")
            (/^(value|currency|id)$/.test(key) ? more : props)[key] = value;
        }
        return send(event, props, more);
      }
    };

    if (has("events")) {
      on(d, "click", named);
      on(d, "submit", named);
    }

    // ---- data-forms: a form is submitted
    if (has("forms"))
      on(d, "submit", (e) => {
        const form = e.target;
        // An input of that name hides the form's own property.
        const text = (name) => Element.prototype.getAttribute.call(form, name) || "";
        const to = new URL(text("action"), d.baseURI);
        send("form", { form: text("id") || text("name"), action: to.origin + to.pathname });
      });

    // ---- data-scroll: a quarter, half, three quarters and nine tenths of a page were seen, each once
    let view;
    let deepest;
    const scroll = () => {
      if (view != l.pathname) deepest = 0;
      view = l.pathname;
      const seen = (100 * (w.scrollY + w.innerHeight)) / d.documentElement.scrollHeight;
      for (const percent of [25, 50, 75, 90])
        if (seen >= percent && deepest < percent) w.pharos("scroll", { props: { percent: (deepest = percent) } });
    };

    if (has("scroll")) on(w, "scroll", scroll);

    // ---- data-not-found: the page was answered with 404
    if (has("notFound")) {
      const [load] = performance.getEntriesByType("navigation");
      if (load && load.responseStatus == 404) w.pharos("not_found");
    }

    // ---- data-debug: the console shows each request of the tag, and what the collector answered
    if (has("debug")) {
      const real = w.fetch;
      w.fetch = function (to, init) {
        const answer = real.apply(this, arguments);
        if (init && init.method == "POST" && core.url("e") == "" + to)
          answer.then(
            (r) =>
              r
                .clone()
                .text()
                .then((text) => console.log("pharos", r.status, text, JSON.parse(init.body))),
            (error) => console.warn("pharos: no answer that this page may read; each event goes as an image", error),
          );
        return answer;
      };
    }

    // ---- ?pharos-debug, #pharos-debug: the helper's overlay
    if (/pharos-debug/.test(l.search + l.hash)) {
      const s = d.createElement("script");
      s.src = core.url("pharos-helper.js");
      d.head.append(s);
    }

    // ---- data-cmp: consent as a consent platform has it
    const [platform, ...needed] = (set.cmp || "").split(/[ ,]+/);

    // "tcf 1 7 8": IAB TCF v2; the purposes that must be allowed.
    const tcf = (left) => {
      if (!w.__tcfapi) return left && setTimeout(tcf, 500, left - 1);
      const purposes = needed[0] ? needed : [1, 7, 8];
      w.__tcfapi("addEventListener", 2, (data, ok) => {
        // While the visitor is being asked there is no answer; where the law does not apply there is no question.
        if (ok && data.gdprApplies !== false && /^(tcloaded|useractioncomplete)$/.test(data.eventStatus))
          w.pharos("consent", purposes.every((purpose) => data.purpose.consents[purpose]));
      });
    };
    if (platform == "tcf") tcf(120);

    // "gcm analytics_storage": Google Consent Mode; the types that must be granted.
    if (platform == "gcm") {
      const types = needed[0] ? needed : ["analytics_storage"];
      const state = {};
      const read = (entry) => {
        if (entry[0] != "consent" || entry[2].region) return;
        Object.assign(state, entry[2]);
        const given = types.every((type) => state[type] == "granted");
        // What is denied by default is not yet refused.
        if (given || (entry[1] == "update" && types.every((type) => state[type]))) w.pharos("consent", given);
      };
      const layer = (w.dataLayer = w.dataLayer || []);
      const push = layer.push;
      layer.push = function (...entries) {
        const pushed = push.apply(layer, entries);
        for (const entry of entries) attempt(read)(entry);
        return pushed;
      };
      for (const entry of layer) attempt(read)(entry);
    }

    // ---- data-domains: the visitor's id goes along to other domains of the site, in links followed within a minute
    if (has("domains")) {
      const linkers = {};
      const other = ([node, to]) =>
        node &&
        /^http/.test(to.protocol) &&
        to.hostname != l.hostname &&
        set.domains.split(" ").some((domain) => ("." + to.hostname).endsWith("." + domain));
      // Ask when a link is pointed at or focused: the answer is there when it is followed.
      const ask = (e) => {
        const found = link(e);
        if (!other(found)) return;
        const host = found[1].hostname;
        if (linkers[host] && Date.now() - linkers[host].at < 6e4) return;
        const held = (linkers[host] = { at: Date.now() });
        fetch(core.url("linker?s=" + encodeURIComponent(set.site.split(" ")[0]) + "&to=" + host), { credentials: "include" })
          .then((r) => r.text())
          .then((text) => (held.text = text))
          .catch(() => delete linkers[host]);
      };
      const follow = (e) => {
        const [node, to] = link(e);
        const held = other([node, to]) && linkers[to.hostname];
        if (!held || !held.text || Date.now() - held.at > 6e4) return;
        const before = node.getAttribute("href");
        to.search += (to.search ? "&" : "?") + "_plk=" + held.text;
        node.setAttribute("href", to);
        setTimeout(() => node.setAttribute("href", before));
      };
      for (const event of ["pointerover", "pointerdown", "focusin"]) on(d, event, ask);
      for (const event of ["click", "auxclick"]) on(d, event, follow);
    }

    // ---- The page #pharos: a switch for one's own visits
    if (l.hash == "#pharos") {
      const off = localStorage.pharosOff;
      const text = `${l.host}: visits with this browser are ${off ? "not " : ""}counted. Change this from the next page on?`;
      if (confirm(text)) off ? delete localStorage.pharosOff : (localStorage.pharosOff = 1);
    }
  });
})(window, document, location);
