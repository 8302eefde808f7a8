// The demo page's script: notes each event that the tag sends, and shows it again when it is a row in ClickHouse.
"use strict";

const KEPT = "pharos.demo"; // of this tab: a campaign's link leads to a new page view, and the older ones stay in the list
const MOST = 20;
let hits = [];
try {
  hits = JSON.parse(sessionStorage.getItem(KEPT)) ?? [];
} catch {}

const rows = document.getElementById("hits");
const say = document.getElementById("say");

window.pharosBefore = (event) => {
  hits = [{ id: event.id, event: event.event, sent: Date.now() }, ...hits].slice(0, MOST);
  keep();
  draw();
};

function keep() {
  try {
    sessionStorage.setItem(KEPT, JSON.stringify(hits));
  } catch {}
}

function cell(text, soft) {
  const made = document.createElement("td");
  made.textContent = text;
  if (soft) made.className = "soft";
  return made;
}

function draw() {
  rows.replaceChildren(...hits.map((hit) => {
    const line = document.createElement("tr");
    line.dataset.event = hit.event;
    const { row } = hit;
    line.append(cell(hit.event),
      row ? cell(`a row after ${(row.after / 1000).toFixed(1)} s`) : cell("sent", true),
      row ? cell(row.channel) : cell("..."), row ? cell([row.source, row.campaign].filter(Boolean).join(", ")) : cell(""),
      cell(row && Number(row.value) ? `${row.value} ${row.currency}` : ""));
    return line;
  }));
}

async function look() {
  const waiting = hits.filter(({ row, sent }) => !row && Date.now() - sent < 600_000);
  if (waiting.length && !document.hidden) {
    const ids = waiting.map(({ id }) => `'${id.replace(/[^\w-]/g, "")}'`).join(", ");
    const sql = `SELECT client_event_id, if(referrer_kind = 'internal' AND channel = 'Direct', 'Internal', channel),
        if(referrer_kind = 'internal' AND channel = 'Direct', '(internal)', source), campaign, toString(value), currency
      FROM pharos.recent(site = 'demo', seconds = 900) WHERE client_event_id IN (${ids}) FORMAT JSONCompact`;
    try {
      const answer = await fetch("/report/query", { method: "POST", body: sql, cache: "no-store" });
      if (!answer.ok) throw new Error(answer.status === 401 || answer.status === 403 ? "ClickHouse wants a password here: sign in to the report." : `ClickHouse answers ${answer.status}.`);
      for (const [id, channel, source, campaign, value, currency] of (await answer.json()).data) {
        const hit = hits.find((one) => one.id === id);
        if (hit && !hit.row) hit.row = { channel, source, campaign, value, currency, after: Date.now() - hit.sent };
      }
      say.textContent = "";
      keep();
      draw();
    } catch (problem) {
      say.textContent = String(problem.message);
    }
  }
  setTimeout(look, 500);
}

document.getElementById("buy").addEventListener("click", () => {
  pharos("purchase", { value: "19.90", currency: "EUR", props: { product: "mug" } });
});
document.getElementById("signup").addEventListener("click", () => pharos("signup", { props: { plan: "pro" } }));
document.getElementById("wrong").addEventListener("click", () => pharos("not a good name"));
draw();
look();
