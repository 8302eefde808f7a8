// Questions to ClickHouse over HTTP, as the user who opened the page; or to the answers inside a saved page.

/** Why a question has no answer. kind: "sign-in" (who asks is not known), "network", "refused" (ClickHouse's own text). */
export class NoAnswer extends Error {
  constructor(kind, text, code = 0) {
    super(text);
    this.kind = kind;
    this.code = code;
  }
}

const AT_ONCE = 3; // questions; the others wait, so that the first block is not the last one's equal
const KEPT_IN = "pharos.user"; // of the tab: gone when it is closed
const SIGN_IN = new Set([192, 193, 194, 516]); // unknown user, wrong password, required password, authentication failed

/** Asks, and remembers the answers of this page's life: the same SQL is asked once. */
export class ClickHouse {
  constructor(url = "query") {
    this.url = url;
    this.known = new Map();
    this.asked = 0;
    this.running = 0;
    this.waiting = [];
    try {
      this.user = JSON.parse(sessionStorage.getItem(KEPT_IN)) ?? { name: "analyst", password: "" };
    } catch {
      this.user = { name: "analyst", password: "" };
    }
  }

  /** Ask as this user from now on. */
  signIn(name, password) {
    this.user = { name, password };
    this.known.clear();
    try {
      sessionStorage.setItem(KEPT_IN, JSON.stringify(this.user));
    } catch {
      // A browser without storage asks again after a reload.
    }
  }

  signOut() {
    this.signIn("analyst", "");
    sessionStorage.removeItem(KEPT_IN);
  }

  /** Return {columns, rows}: rows are objects by column, numbers as numbers. Throws NoAnswer. `fresh`: do not use an earlier answer. */
  ask(sql, { fresh = false } = {}) {
    if (!fresh && this.known.has(sql)) return this.known.get(sql);
    const answer = this.#turn().then(() => this.#ask(sql)).finally(() => this.#next());
    if (!fresh) {
      this.known.set(sql, answer);
      answer.catch(() => this.known.delete(sql));
    }
    return answer;
  }

  /** Return the JSON of a path of this server that is not ClickHouse's, asked as the same user. Throws NoAnswer. */
  async fetchJson(path) {
    let response;
    try {
      response = await fetch(path, { headers: { Authorization: this.#authorization() }, credentials: "same-origin", cache: "no-store" });
    } catch {
      throw new NoAnswer("network", "the server cannot be reached.");
    }
    const said = await response.json().catch(() => null);
    if (response.ok && said) return said;
    throw new NoAnswer("network", said?.problem ?? `the server answers ${response.status} for ${path.split("?")[0]}.`);
  }

  #authorization() {
    return `Basic ${base64(`${this.user.name}:${this.user.password}`)}`;
  }

  /** Return when this question may be asked. */
  #turn() {
    if (this.running < AT_ONCE) {
      this.running += 1;
      return Promise.resolve();
    }
    return new Promise((resolve) => this.waiting.push(resolve));
  }

  #next() {
    const next = this.waiting.shift();
    if (next) next();
    else this.running -= 1;
  }

  async #ask(sql) {
    this.asked += 1;
    let response;
    try {
      response = await fetch(this.url, {
        method: "POST",
        headers: { Authorization: this.#authorization(), "Content-Type": "text/plain" },
        body: `${sql}\nFORMAT JSONCompact`,
        credentials: "same-origin", // an edge may know its users by a cookie
        cache: "no-store",
      });
    } catch {
      throw new NoAnswer("network", "ClickHouse cannot be reached: no network, or the server is away.");
    }
    const text = await response.text().catch(() => "");
    if (!response.ok) {
      const code = Number(response.headers.get("X-ClickHouse-Exception-Code") ?? /^Code: (\d+)/.exec(text)?.[1] ?? 0);
      if (response.status === 401 || SIGN_IN.has(code)) throw new NoAnswer("sign-in", "ClickHouse does not know this user, or the password is wrong.", code);
      if (!code) throw new NoAnswer("network", `The server in front of ClickHouse answers ${response.status}.`);
      throw new NoAnswer("refused", plain(text), code);
    }
    try {
      return table(JSON.parse(text));
    } catch {
      throw new NoAnswer("network", "The answer was cut off, or is not ClickHouse's.");
    }
  }
}

/** The answers inside a saved page. */
export class Saved {
  constructor(answers) {
    this.answers = answers;
    this.user = null;
    this.asked = 0;
  }

  async ask(sql) {
    if (!(sql in this.answers)) throw new NoAnswer("saved", "This is a saved report: it has the answers of its own period and site only.");
    const answer = this.answers[sql];
    if (answer.error) throw new NoAnswer("refused", plain(answer.error), answer.code);
    return table(answer);
  }
}

/** ClickHouse's sentence without its code, version and context. */
function plain(text) {
  const found = /DB::Exception: ([\s\S]*?)(?:: while executing|: In scope|: While processing|\. \([A-Z_0-9]+\)|\n|$)/.exec(text);
  return (found ? found[1] : text).trim().slice(0, 600);
}

const NUMBER = /^(Nullable\()?(LowCardinality\()?(U?Int|Float|Decimal)/;

function table({ meta, data }) {
  const numeric = meta.map(({ type }) => NUMBER.test(type));
  const columns = meta.map(({ name }) => name);
  const rows = data.map((row) =>
    Object.fromEntries(row.map((value, i) => [columns[i], numeric[i] && value !== null ? Number(value) : value])),
  );
  return { columns, rows };
}

function base64(text) {
  return btoa(String.fromCharCode(...new TextEncoder().encode(text)));
}
