/** Helpers for the document. The words of players and nodes go in as text, never as HTML. */

/** A new element; `on…` are handlers, the rest are attributes, and absent ones are left out. */
export function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node[name] = value;
    else if (value !== undefined && value !== null && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

export const byId = (id) => document.getElementById(id);

/** Sets a text if it is another one: a live region is silent, and nothing is laid out anew. */
export function setText(node, text) {
  const shown = String(text);
  if (node.textContent !== shown) node.textContent = shown;
}

export function setData(node, name, value) {
  if (node.dataset[name] !== value) node.dataset[name] = value;
}

export function setHidden(node, hidden) {
  if (node.hidden !== hidden) node.hidden = hidden;
}

/** Puts `node` at a position among its siblings, if it is not there yet. */
export function placeAt(parent, node, index) {
  if (parent.children[index] !== node) parent.insertBefore(node, parent.children[index] ?? null);
}

const due = new Set();

/** Calls `act` once in the next animation frame, however often it is asked for until then. */
export function inFrame(act) {
  if (due.size === 0) requestAnimationFrame(runFrame);
  due.add(act);
}

function runFrame() {
  const acts = [...due];
  due.clear();
  acts.forEach((act) => act());
}

let waiting = [];

/** Says something to those who hear the page: at most one sentence a second, the newest last. */
export function announce(text) {
  if (waiting.at(-1) === text) return;
  waiting = [...waiting, text].slice(-3);
  if (waiting.length === 1) setTimeout(sayWaiting, 300);
}

function sayWaiting() {
  byId("said").textContent = waiting.join(". ");
  waiting = [];
}

const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });

/** The time of day of Unix seconds; of now without them. */
export const timeOf = (seconds) => clock.format(seconds === undefined ? new Date() : new Date(seconds * 1000));

export const plural = (count, word) => `${grouped(count)} ${word}${count === 1 ? "" : "s"}`;

const digits = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

export const grouped = (count) => digits.format(count);

export const calm = matchMedia("(prefers-reduced-motion: reduce)");

/** The colours of the style sheet, for canvases; read again when light and dark change. */
export function colour(name) {
  if (!colours.has(name)) colours.set(name, getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim());
  return colours.get(name);
}

const colours = new Map();
const dark = matchMedia("(prefers-color-scheme: dark)");
dark.addEventListener("change", () => colours.clear());

export const onColours = (act) => dark.addEventListener("change", act);
