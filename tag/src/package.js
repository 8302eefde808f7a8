// The entry of the package @pharos/tag: the tag of /t.js, started by a call. build.mjs puts the tag's text before it, as the
// function `start`. Nothing happens where there is no window, so that it can be imported on a server.
const windowed = typeof window !== "undefined";

const queue = () => {
  if (!window.pharos)
    window.pharos = function () {
      (window.pharos.q = window.pharos.q || []).push(arguments);
    };
  return window.pharos;
};

/** Start the tag, once a page; further calls do nothing. */
export const init = (options) => {
  if (!windowed || window.pharosTag) return;
  queue();
  const tag = document.createElement("script");
  for (const [name, value] of Object.entries(options)) {
    if (name === "nonce") tag.nonce = value;
    else if (name === "consent" && value != null) tag.dataset.consent = value ? "1" : "0";
    else if (value === true) tag.dataset[name] = "1";
    else if (value) tag.dataset[name] = [].concat(value).join(" ");
  }
  window.pharosTag = tag;
  start();
};

/** Send an event; before `init`, keep it. */
export const pharos = (event, fields) => {
  if (windowed) queue()(event, fields);
};

/** Report the visitor's answer. */
export const consent = (given) => pharos("consent", given);

export default pharos;
