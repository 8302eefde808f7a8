// What the page shows is in the address, behind "#": `#/report?site=shop&days=7`. Pure.

/** Return {page, values} of a location's hash; values are texts by name. The anchor of a block, `#block-health`, is the value `block`. */
export function read(hash) {
  const [, block] = /^#block-(\w+)$/.exec(hash) ?? [];
  if (block) return { page: "report", values: { block } };
  const [, page = "", query = ""] = /^#?\/?([^?]*)\??(.*)$/.exec(hash) ?? [];
  return { page: page || "report", values: Object.fromEntries(new URLSearchParams(query)) };
}

/** Return the hash of a page with these values; empty ones are left out. */
export function write(page, values) {
  const query = new URLSearchParams(Object.entries(values).filter(([, value]) => value !== "" && value != null));
  const text = String(query);
  return `#/${page}${text && `?${text}`}`;
}
