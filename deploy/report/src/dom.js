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
