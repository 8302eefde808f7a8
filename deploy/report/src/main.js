// The shell: who asks, which page, which site; it draws the page again when the address changes.
import { ClickHouse, Saved } from "./ask.js";
import { h, svg } from "./dom.js";
import { PAGES } from "./pages.js";
import * as route from "./route.js";
import sites_sql from "../questions/sites.sql";

const app = document.getElementById("app");
const inside = document.getElementById("answers");
const saved = inside ? JSON.parse(inside.textContent) : null;
const clickhouse = saved ? new Saved(saved.answers) : new ClickHouse();
let end = null; // of the page that is shown
let sites = null; // {name: [{event, last, time_zone}]}
let shown = ""; // page and site whose frame is drawn
let kept = {}; // values of the address before a block's anchor

const lighthouse = () =>
  svg("svg", { viewBox: "0 0 24 24", class: "logo", "aria-hidden": "true" },
    svg("path", { class: "tower", d: "M9 22 10 9h4l1 13zM9 8l3-6 3 6z" }),
    svg("path", { class: "light", d: "M2 5l6 2v1L2 10zM22 5l-6 2v1l6 2z" }));

async function start() {
  app.replaceChildren(h("p", { class: "plain", role: "status" }, "Asking ClickHouse which sites there are ..."));
  try {
    const { rows } = await clickhouse.ask(sites_sql.trim());
    sites = {};
    for (const { site, ...event } of rows) (sites[site] ??= []).push(event);
  } catch (error) {
    if (error.kind === "sign-in") return signIn(clickhouse.user.password ? error.message : "");
    return app.replaceChildren(problem(error));
  }
  shown = "";
  draw();
}

function problem(error) {
  return h("main", { class: "plain", id: "main" },
    h("h1", {}, "No report yet"),
    h("p", { class: "why", role: "alert" }, error.message),
    h("button", { type: "button", class: "primary", onclick: start }, "Try again"));
}

function signIn(why) {
  const name = h("input", { name: "user", value: clickhouse.user.name, autocomplete: "username", required: true });
  const password = h("input", { name: "password", type: "password", autocomplete: "current-password" });
  const form = h("form", { class: "sign-in", onsubmit: (event) => {
      event.preventDefault();
      clickhouse.signIn(name.value, password.value);
      start();
    } },
    h("h1", {}, lighthouse(), "Pharos"),
    h("p", {}, "The page asks ClickHouse as a user of yours who may only read."),
    why && h("p", { class: "why", role: "alert" }, why),
    h("label", {}, "User", name),
    h("label", {}, "Password", password),
    h("button", { class: "primary" }, "Sign in"),
    h("p", { class: "soft" }, "Name and password stay in this tab until it is closed."));
  app.replaceChildren(h("main", { class: "centre", id: "main" }, form));
  password.focus();
}

function go(changes, page) {
  const now = route.read(location.hash);
  const hash = route.write(page ?? now.page, { ...now.values, ...changes });
  if (hash !== location.hash) location.hash = hash;
}

function draw() {
  if (!sites) return;
  const { page: id, values } = route.read(location.hash);
  if (location.hash.startsWith("#block-")) return location.replace(route.write(id, { ...kept, ...values }));
  kept = values;
  const page = PAGES.find((one) => one.id === id) ?? PAGES[0];
  const names = Object.keys(sites);
  const site = values.site || saved?.site || names[0] || "";
  const context = { clickhouse, values: { ...saved?.values, ...values, site }, go, sites, saved, reload: start };
  document.title = `${page.title} · ${site || "Pharos"}`;
  const frame = `${page.id} ${site} ${clickhouse.user?.name}`;
  if (frame !== shown) {
    end?.();
    shown = frame;
    const main = h("main", { id: "main", tabIndex: -1 });
    app.replaceChildren(head(page, site, names), main);
    end = page.show(main, context) ?? null;
  } else {
    page.update?.(context);
  }
}

function head(page, site, names) {
  const link = (one) =>
    h("a", { href: route.write(one.id, { site }), "aria-current": one === page && "page" }, one.title);
  const choose = h("select", { "aria-label": "Site", onchange: (event) => go({ site: event.target.value, ...page.ofSite }) },
    [...new Set([...names, site])].filter(Boolean).map((name) => h("option", { value: name, selected: name === site }, name)));
  return h("header", { class: "top" },
    h("span", { class: "brand" }, lighthouse(), "Pharos"),
    !saved && h("nav", { "aria-label": "Pages" }, PAGES.map(link)),
    h("span", { class: "grow" }),
    saved ? h("span", { class: "soft" }, `${site}, as of ${saved.at}`) : choose,
    clickhouse.user?.password && h("button", { type: "button", class: "quiet", onclick: () => { clickhouse.signOut(); signIn(""); } }, "Sign out"));
}

addEventListener("hashchange", draw);
document.querySelector(".skip")?.addEventListener("click", (event) => {
  event.preventDefault(); // the address after "#" is the report's own
  document.getElementById("main")?.focus();
});
start();
