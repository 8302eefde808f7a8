// The frame of one question: its title, its answer or why there is none, the SQL of it, export as CSV and PNG.
import { csv } from "./format.js";
import { h, newId } from "./dom.js";
import { picture } from "./picture.js";

/**
 * Make a block. `part`: {id, title, about, wide, needs(state), show(answers, state), sql(state, answers)}.
 * show returns {body, columns, rows} or {empty: "why"}; rows are what the SQL gives, for the exports. unfiltered: what to
 * say where the filters of the page do not apply. early: the question whose answer is shown before the others are asked;
 * show is then called with it alone and a state that is `waiting`.
 */
export function block(part) {
  const heading = newId();
  const body = h("div", { class: "body" }, h("div", { class: "skeleton", role: "status", "aria-label": `${part.title}: no answer yet` }));
  const about = h("p", { class: "about" });
  const tools = h("div", { class: "tools" });
  const section = h("section", { class: part.wide ? "wide" : "", "aria-labelledby": heading, id: `block-${part.id}`, "aria-busy": "true" },
    h("div", { class: "head" }, h("h2", { id: heading }, part.title), tools), about, body);
  let turn = 0;
  let ended = null;

  const say = (text, kind) => body.replaceChildren(h("p", { class: kind, role: kind === "why" ? "alert" : "status" }, text));

  async function update(state, clickhouse) {
    const own = ++turn;
    section.setAttribute("aria-busy", "true");
    let shown;
    let failed = null;
    let answers = {};
    try {
      const needs = part.needs(state);
      if (part.early && needs[part.early] && Object.keys(needs).length > 1) {
        const first = await clickhouse.ask(needs[part.early]);
        if (own !== turn) return;
        if (!section.dataset.ready) body.replaceChildren(...[part.show({ [part.early]: first }, { ...state, waiting: true }).body ?? ""].flat());
      }
      answers = await answersOf(needs, clickhouse);
      if (own !== turn) return;
      shown = part.show(answers, state);
    } catch (error) {
      if (own !== turn) return;
      if (!error.kind) throw error;
      failed = error;
    } finally {
      if (own === turn) section.removeAttribute("aria-busy");
    }
    ended?.();
    ended = null;
    const unfiltered = shown?.body && Object.keys(state.filter).length > 0 && part.unfiltered;
    about.replaceChildren(...[shown?.about ?? part.about ?? "", unfiltered ? ` ${unfiltered}` : ""].flat());
    about.hidden = !about.textContent;
    const exports = shown?.rows?.length ? { ...shown, title: part.title, id: part.id, state } : null;
    tools.replaceChildren(...buttons(part, part.sql(state, answers), exports, section));
    if (failed) say(failed.message, "why");
    else if (shown.empty) say(shown.empty, "empty");
    else {
      body.replaceChildren(...[shown.body].flat());
      ended = shown.end ?? null;
      shown.begin?.();
    }
    section.dataset.ready = String(own);
  }

  return { section, update, end: () => { turn += 1; ended?.(); } };
}

/** Ask everything at once; a question without an answer fails the block. */
async function answersOf(needs, clickhouse) {
  const names = Object.keys(needs);
  const answers = await Promise.all(names.map((name) => clickhouse.ask(needs[name])));
  return Object.fromEntries(names.map((name, i) => [name, answers[i]]));
}

function buttons(part, sql, exports, section) {
  const button = (text, label, onclick) => h("button", { type: "button", class: "quiet", "aria-label": label, title: label, onclick }, text);
  const name = exports && `${exports.state.site}-${part.id}-${exports.state.since}`.replace(/[^\w.-]+/g, "_");
  return [
    sql && button("SQL", `The SQL of this: ${part.title}`, () => showSql(part.title, sql)),
    exports && button("CSV", `Save as CSV: ${part.title}`, () => save(new Blob([csv(exports.columns, exports.rows)], { type: "text/csv" }), `${name}.csv`)),
    exports && button("PNG", `Save as PNG: ${part.title}`, () => picture(section, exports).then((image) => save(image, `${name}.png`))),
  ].filter(Boolean);
}

function save(blob, name) {
  const url = URL.createObjectURL(blob);
  h("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

function showSql(title, sql) {
  const heading = newId();
  const copied = h("span", { role: "status", class: "soft" });
  const text = h("pre", { tabIndex: 0, "aria-label": "SQL" }, sql);
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(sql);
      copied.textContent = "Copied.";
    } catch {
      getSelection().selectAllChildren(text);
      copied.textContent = "Selected: copy it with Ctrl-C.";
    }
  };
  const dialog = h("dialog", { "aria-labelledby": heading, onclose: () => dialog.remove() },
    h("h2", { id: heading }, `The SQL of this: ${title}`), text,
    h("div", { class: "row" },
      h("button", { type: "button", class: "primary", onclick: copy }, "Copy"),
      h("button", { type: "button", onclick: () => dialog.close() }, "Close"), copied));
  document.body.append(dialog);
  dialog.showModal();
}
