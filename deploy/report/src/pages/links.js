// Links: a form that makes tracking links, named links and QR codes, the mail pixel and the site's tag. It writes nothing.
import { correction, generate } from "lean-qr";
import { toSvgSource } from "lean-qr/extras/svg";
import { choices, h, newId } from "../dom.js";
import * as make from "../link.js";
import { fill } from "../sql.js";
import { warnings } from "../warnings.js";
import names_sql from "../../questions/names.sql";

export const id = "links";
export const title = "Links";
export const ofSite = {};

const KINDS = { named: "Named link", tracking: "Only parameters", signed: "Signed link" };
const ABOUT = {
  named: "Short, may be changed later, counts each click: needs a line in links.toml.",
  tracking: "The page's own address with parameters: works at once, counts the visit but no click.",
  signed: "Counts each click, needs no line: the key signs it, so a command makes it.",
};
const FIELDS = {
  url: ["Leads to", "https://shop.example/launch"],
  code: ["Code", "yt-launch"],
  source: ["Source", "youtube"],
  medium: ["Medium", "video"],
  campaign: ["Campaign", "launch"],
  term: ["Term", ""],
  content: ["Content", "description-link"],
};
const BASE = "pharos.base"; // where the collector is: kept in this browser

let current = null;

export function show(main, context) {
  current = new Links(main, context);
  current.begin();
}

export function update(context) {
  current.context = context;
  current.draw();
}

class Links {
  constructor(main, context) {
    this.context = context;
    this.history = [];
    this.problem = "";
    const { values } = context;
    const lists = h("div", {});
    this.lists = lists;
    this.inputs = {};
    const field = (name) => {
      const [text, placeholder] = FIELDS[name];
      const hint = h("span", { class: "hints", id: newId() });
      const list = newId();
      const input = h("input", { name, placeholder, value: values[name] ?? "", "aria-describedby": hint.id, autocomplete: "off", spellcheck: false, inputMode: name === "url" ? "url" : "text", list: ["source", "medium", "campaign"].includes(name) && list,
        oninput: () => this.draw(), onchange: () => this.keep(name) });
      this.inputs[name] = { input, hint, list };
      return h("label", { class: `line line-${name}` }, h("span", {}, text), input, hint);
    };
    const base = h("input", { name: "base", placeholder: "https://px.example.com", value: kept() ?? "", autocomplete: "off", spellcheck: false, inputMode: "url", oninput: () => { keep(base.value); this.draw(); } });
    this.base = base;
    this.kinds = choices("Kind of link", KINDS, (kind) => this.context.go({ kind: kind === "named" ? "" : kind }));
    this.about = h("p", { class: "about" });
    this.result = h("div", { "aria-live": "polite" });
    this.sender = h("select", { name: "sender", onchange: () => this.draw() }, Object.keys(make.SENDERS).map((name) => h("option", {}, name)));
    this.recipient = h("input", { type: "checkbox", name: "recipient", onchange: () => this.draw() });
    this.consent = h("input", { type: "checkbox", name: "consent", onchange: () => this.draw() });
    this.pixel = h("div", {});
    this.tag = h("div", {});
    const form = h("form", { class: "link-form", onsubmit: (event) => event.preventDefault() },
      h("label", { class: "line" }, h("span", {}, "Collector's address"), base, h("span", { class: "hints soft" }, "As browsers reach it.")), Object.keys(FIELDS).map(field), lists);
    main.append(h("h1", { class: "hidden" }, `Links of ${context.values.site || "no site yet"}`),
      h("div", { class: "blocks" },
        h("section", { "aria-labelledby": "links-form" }, h("h2", { id: "links-form" }, "A link"), this.kinds.element, this.about, form),
        h("section", { "aria-labelledby": "links-result" }, h("h2", { id: "links-result" }, "What to use"), this.result),
        h("section", { "aria-labelledby": "links-mail" }, h("h2", { id: "links-mail" }, "The pixel of a mail"),
          h("p", { class: "about" }, "At the end of the mail's HTML. It counts opens; docs/http.md, \"Mail\"."),
          h("div", { class: "controls" }, h("label", { class: "field" }, h("span", {}, "Sent by"), this.sender),
            h("label", { class: "check" }, this.recipient, "Name the recipient by the sender's id"), h("label", { class: "check" }, this.consent, "They have consented")), this.pixel),
        h("section", { "aria-labelledby": "links-tag" }, h("h2", { id: "links-tag" }, "The site's tag"),
          h("p", { class: "about" }, "In every page, anywhere."), this.tag)));
  }

  async begin() {
    this.draw();
    const asked = [this.lookForNames()];
    if (!this.base.value) asked.push(this.lookForBase());
    await Promise.all(asked);
    this.draw();
  }

  async lookForBase() {
    try {
      const { collector } = await this.context.clickhouse.fetchJson("config.json");
      if (!this.base.value && collector) this.base.value = collector;
    } catch (error) {
      if (!error.kind) throw error; // no such file: the reader types it
    }
  }

  async lookForNames() {
    const { site } = this.context.values;
    if (!site) return;
    try {
      this.history = (await this.context.clickhouse.ask(fill(names_sql, { site }))).rows;
    } catch (error) {
      if (!error.kind) throw error;
      this.problem = error.message;
    }
    for (const name of ["source", "medium", "campaign"]) {
      const known = [...new Set(this.history.filter(({ what }) => what === "origin").map((row) => row[name]))].filter((value) => value && !value.startsWith("(")).slice(0, 100);
      this.lists.append(h("datalist", { id: this.inputs[name].list }, known.map((value) => h("option", { value }))));
    }
  }

  /** Put a field into the address, so that the form can be shared and survives a reload. */
  keep(name) {
    this.context.go({ [name]: this.inputs[name].input.value.trim() });
  }

  fields() {
    const found = Object.fromEntries(Object.entries(this.inputs).map(([name, { input }]) => [name, input.value.trim()]));
    return { ...found, url: make.plain(found.url), base: this.base.value.trim().replace(/\/+$/, ""), site: this.context.values.site };
  }

  draw() {
    const kind = this.context.values.kind in KINDS ? this.context.values.kind : "named";
    const fields = this.fields();
    const drawn = JSON.stringify([kind, fields, this.history.length, this.sender.value, this.recipient.checked, this.consent.checked]);
    if (this.drawn === drawn) return; // a field that loses the focus changes the address only: "Copy" must stay while it is pressed
    this.drawn = drawn;
    this.kinds.mark(kind);
    this.about.textContent = ABOUT[kind];
    this.inputs.code.input.closest("label").hidden = kind !== "named";
    const found = warnings({ ...fields, code: kind === "named" ? fields.code : "" }, this.history);
    for (const [name, { input, hint }] of Object.entries(this.inputs)) {
      const own = found.filter((one) => one.name === name);
      const texts = own.map(({ text }) => text).join("\n");
      if (hint.dataset.texts === texts) continue; // a button that is being pressed must stay
      hint.dataset.texts = texts;
      hint.replaceChildren(...own.map((one) => h("span", { class: `hint ${one.level}` }, one.text,
        one.use && h("button", { type: "button", class: "quiet", onclick: () => { input.value = one.use; this.keep(name); this.draw(); input.focus(); } }, `Use "${one.use}"`))));
    }
    this.result.replaceChildren(...this.results(kind, fields).filter(Boolean));
    this.pixel.replaceChildren(...this.needsBase(fields) ?? [copy("The pixel", make.mailPixel(fields.base, fields.site, this.sender.value, { recipient: this.recipient.checked, consent: this.consent.checked })),
      !fields.base.startsWith("https://") && h("p", { class: "hint warn" }, "Mail programs load images over HTTPS only."),
      this.recipient.checked && h("p", { class: "soft about" }, "The recipient's id is stored only with consent.")].filter(Boolean));
    this.tag.replaceChildren(...this.needsBase(fields) ?? [copy("The tag", make.snippet(fields.base, fields.site)), local(fields.base) && h("p", { class: "soft about" }, "To count pages of your own machine, add data-hosts=\"*\".")].filter(Boolean));
  }

  needsBase({ base, site }) {
    if (!site) return [h("p", { class: "empty" }, "Add a site first: python -m collector site add KEY")];
    return make.wrongWith(base) ? [h("p", { class: "empty" }, "Give the collector's address above.")] : null;
  }

  results(kind, fields) {
    const wrong = make.wrongWith(fields.url) || (kind === "named" && (!fields.code ? "Choose a code." : make.wrongCode(fields.code)));
    if (wrong) return [h("p", { class: "empty" }, wrong)];
    const tracking = make.withParameters(fields.url, make.utmPairs(fields));
    if (kind === "tracking") return [copy("The link", tracking), qr(tracking, fields.campaign || "link")];
    const missing = this.needsBase(fields);
    if (missing) return missing;
    if (kind === "signed") return [copy("The command", make.signCommand(fields)), h("p", { class: "about" }, "It needs PHAROS_COLLECTOR_LINK_KEY, prints the link, and with --qr FILE.png its QR code. It leads to:"), h("p", { class: "address" }, tracking)];
    const link = `${fields.base}/c/${fields.code}`;
    return [copy("The link", link), qr(link, fields.code), h("p", { class: "about" }, "It works when links.toml has it. The command writes the lines, checked, and your comments stay:"),
      copy("The command", make.addCommand(fields)), copy("Or the lines of links.toml", make.toml(fields)), h("p", { class: "about" }, "It leads to:"), h("p", { class: "address" }, tracking)];
  }
}

/** A text with its own button to copy it. */
function copy(name, text) {
  const said = h("span", { role: "status", class: "soft" });
  const box = h("pre", { class: "copy", tabIndex: 0, "aria-label": name }, text);
  const take = async () => {
    try {
      await navigator.clipboard.writeText(text);
      said.textContent = "Copied.";
    } catch {
      getSelection().selectAllChildren(box);
      said.textContent = "Selected: copy it with Ctrl-C.";
    }
  };
  return h("div", { class: "copied", "data-text": name }, h("div", { class: "head" }, h("h3", {}, name), h("span", {}, said, h("button", { type: "button", class: "quiet", "aria-label": `Copy: ${name}`, onclick: take }, "Copy"))), box);
}

function qr(text, name) {
  let code;
  try {
    code = generate(text, { minCorrectionLevel: correction.M });
  } catch {
    return h("p", { class: "empty" }, "The link is too long for a QR code: use a named link.");
  }
  const source = toSvgSource(code, { on: "#000", off: "#fff", xmlDeclaration: true, scale: 8, padX: 4, padY: 4 });
  const url = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(source)}`;
  const file = `qr-${name.replace(/[^\w.-]+/g, "_")}`;
  const png = () => {
    const canvas = document.createElement("canvas");
    code.toCanvas(canvas, { on: [0, 0, 0, 255], off: [255, 255, 255, 255], padX: 4, padY: 4 });
    const large = document.createElement("canvas");
    large.width = large.height = canvas.width * 16;
    const context = large.getContext("2d");
    context.imageSmoothingEnabled = false;
    context.drawImage(canvas, 0, 0, large.width, large.height);
    large.toBlob((blob) => save(blob, `${file}.png`), "image/png");
  };
  return h("div", { class: "qr" }, h("img", { src: url, alt: `QR code of ${text}`, width: 168, height: 168 }),
    h("div", {}, h("button", { type: "button", onclick: () => save(new Blob([source], { type: "image/svg+xml" }), `${file}.svg`) }, "Save as SVG"),
      h("button", { type: "button", onclick: png }, "Save as PNG")));
}

function save(blob, name) {
  const url = URL.createObjectURL(blob);
  h("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

const local = (base) => /^https?:\/\/(localhost|127\.)/.test(base);

function kept() {
  try {
    return localStorage.getItem(BASE);
  } catch {
    return null;
  }
}

function keep(base) {
  try {
    localStorage.setItem(BASE, base.trim());
  } catch {}
}
