// The frame of one question: its title, its answer or why there is none, the SQL of it, export as CSV and PNG.
import { csv } from "./format.js";
import { focusable, h, newId } from "./dom.js";
import { picture } from "./picture.js";

const TOOLS = { SQL: "The SQL of this", CSV: "Save as CSV", PNG: "Save as PNG" };

/**
 * Make a block. `part`: {id, title, about, wide, needs(state), show(answers, state), sql(state, answers)}.
 * show returns {body, columns, rows} or {empty: "why"}; rows are what the SQL gives, for the exports, or else whole()
 * returns {columns, rows} once one more question is answered. unfiltered: what to say where the filters of the page do not
 * apply. early: the question whose answer is shown before the others are asked; show is then called with it alone and a
 * state that is `waiting`. Its buttons are there before its answer, so that the Tab key reaches a block that was not asked.
 */
export function block(part) {
  const heading = newId();
  const body = h("div", { class: "body" }, h("div", { class: "skeleton" }, h("p", {}, "Loads when it comes into view.")));
  const about = h("p", { class: "about" });
  let actions = null; // by button, once there was an answer
  let wanted = ""; // the button that was used before
  const tool = ([kind, text]) => h("button", {
    type: "button", class: "quiet", "aria-label": `${text}: ${part.title}`, title: `${text}: ${part.title}`,
    onclick: () => { if (actions) actions[kind]?.(); else wanted = kind; },
  }, kind);
  const tools = h("div", { class: "tools" }, Object.entries(TOOLS).map(tool));
  const section = h("section", { class: part.wide ? "wide" : "", "aria-labelledby": heading, id: `block-${part.id}` },
    h("div", { class: "head" }, h("h2", { id: heading }, part.title), tools), about, body);
  let turn = 0;
  let ended = null;

  const why = (text) => h("p", { class: "why", role: "alert" }, text);

  async function update(state, clickhouse) {
    const own = ++turn;
    section.setAttribute("aria-busy", "true");
    if (!section.dataset.ready) body.replaceChildren(h("div", { class: "skeleton", role: "status", "aria-label": `${part.title}: no answer yet` }));
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
    const focused = section.contains(document.activeElement) ? document.activeElement : null;
    const unfiltered = shown?.body && Object.keys(state.filter).length > 0 && part.unfiltered;
    about.replaceChildren(...[shown?.about ?? part.about ?? "", unfiltered ? ` ${unfiltered}` : ""].flat());
    about.hidden = !about.textContent;
    const exports = shown?.rows?.length ? { ...shown, title: part.title, id: part.id, state } : null;
    actions = actionsOf(part, part.sql(state, answers), exports, section, (text) => body.prepend(why(text)));
    for (const button of tools.children) button.hidden = !actions[button.textContent];
    if (failed) body.replaceChildren(why(failed.message));
    else if (shown.empty) body.replaceChildren(h("p", { class: "empty", role: "status" }, shown.empty));
    else {
      body.replaceChildren(...[shown.body].flat());
      ended = shown.end ?? null;
      shown.begin?.();
    }
    section.dataset.ready = String(own);
    if (focused?.hidden || focused?.isConnected === false) focusable(section).focus({ preventScroll: true });
    actions[wanted]?.();
    wanted = "";
  }

  return { section, update, end: () => { turn += 1; ended?.(); } };
}

/** Ask everything at once; a question without an answer fails the block. */
async function answersOf(needs, clickhouse) {
  const names = Object.keys(needs);
  const answers = await Promise.all(names.map((name) => clickhouse.ask(needs[name])));
  return Object.fromEntries(names.map((name, i) => [name, answers[i]]));
}

/** What each button does; one that has nothing to do is not there. */
function actionsOf(part, sql, exports, section, fail) {
  const name = exports && `${exports.state.site}-${part.id}-${exports.state.since}`.replace(/[^\w.-]+/g, "_");
  return {
    SQL: sql && (() => showSql(part.title, sql)),
    CSV: exports && (() => saveCsv(exports, `${name}.csv`).catch((error) => fail(error.message))),
    PNG: exports && (() => picture(section, exports).then((image) => save(image, `${name}.png`))),
  };
}

async function saveCsv(exports, name) {
  const { columns, rows } = exports.whole ? await exports.whole() : exports;
  save(new Blob([csv(columns, rows)], { type: "text/csv" }), name);
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
