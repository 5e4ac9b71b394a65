/** The list of what happens in the cluster. */

import { byId, el, inFrame, timeOf } from "/page/dom.js";

const SHOWN = 300;

export class EventLog {
  #list = byId("log");
  #pending = [];
  #known = new Set(); // a new stream may tell again what an earlier one has told

  constructor() {
    const only = byId("only-warnings");
    only.onchange = () => this.#list.classList.toggle("warnings", only.checked);
  }

  /** Adds an event; returns whether it is new. */
  add(event) {
    const key = JSON.stringify(event);
    if (this.#known.has(key)) return false;
    this.#known.add(key);
    if (this.#known.size > 2 * SHOWN) this.#known.delete(this.#known.values().next().value);
    this.#pending.push(event);
    if (this.#pending.length > SHOWN) this.#pending.shift();
    inFrame(this.#show);
    return true;
  }

  #show = () => {
    const list = this.#list;
    const atEnd = list.scrollTop + list.clientHeight >= list.scrollHeight - 8;
    list.append(...this.#pending.map(line));
    this.#pending = [];
    while (list.childElementCount > SHOWN) list.firstElementChild.remove();
    if (atEnd) list.scrollTop = list.scrollHeight;
  };
}

function line({ at, node, level, event, text }) {
  return el(
    "p",
    { "data-level": level },
    el("time", {}, timeOf(at)),
    el("b", {}, node),
    el("span", {}, el("em", {}, event), ` ${text}`),
  );
}
