// Elements without markup in texts: what a visitor of the site sent (a campaign, a path) is only ever text here.

/** Make an element. `given`: properties, `class`, `on...` listeners, `data-`/`aria-`/other attributes; false is left out. */
export function h(tag, given = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(given)) {
    if (value === false || value == null) continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name === "class") made.className = value;
    else if (name === "style") for (const [property, own] of Object.entries(value)) made.style.setProperty(property, own);
    else if (name in made && !name.startsWith("aria") && name !== "list" && name !== "role") made[name] = value;
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.flat(Infinity).filter((child) => child !== false && child != null));
  return made;
}

/**
 * Make buttons of which one is chosen: `{ element, buttons, mark(kind) }`. They are the same elements for as long as the page is
 * shown, since a press is lost, and the focus too, where a button is replaced between its beginning and its end.
 */
export function choices(label, kinds, choose) {
  const buttons = Object.fromEntries(Object.entries(kinds).map(([kind, text]) => [kind, h("button", { type: "button", class: "choice", "data-kind": kind, onclick: () => choose(kind) }, text)]));
  const element = h("div", { class: "choices", role: "group", "aria-label": label }, Object.values(buttons));
  const mark = (chosen) => Object.entries(buttons).forEach(([kind, button]) => button.setAttribute("aria-pressed", String(kind === chosen)));
  return { element, buttons, mark };
}

/** Make `items` the children of `parent`. Those that keep their order are not taken out, for the same reason; the focus stays. */
export function arrange(parent, items) {
  const wanted = new Set(items);
  const focused = parent.contains(document.activeElement) ? document.activeElement : null;
  for (const child of [...parent.children]) if (!wanted.has(child)) child.remove();
  items.forEach((item, index) => parent.children[index] === item || parent.insertBefore(item, parent.children[index] ?? null));
  if (focused !== document.activeElement && parent.contains(focused)) focused?.focus();
}

const SVG = "http://www.w3.org/2000/svg";

/** Make an SVG element; attributes and children only. */
export function svg(tag, given = {}, ...children) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(given)) if (value !== false && value != null) made.setAttribute(name, value);
  made.append(...children.flat(Infinity));
  return made;
}

/** Let an element that is no control have the focus, and return it. */
export function focusable(element) {
  element.tabIndex = -1;
  return element;
}

let numbers = 0;

/** Return an id that no other element has. */
export const newId = () => `e${++numbers}`;
