/** The nodes as cards, in one column for each generation; only what has changed is written. */

import { byId, el, grouped, placeAt, plural, setData, setHidden, setText } from "/page/dom.js";
import { confirmVerb, verbsFor } from "/page/verbs.js";

const MANY = 24; // from here on, cards are small
const TICK_MS = 250;
const REASONS = 5;

const byName = new Intl.Collator("en", { numeric: true }).compare;
const inOrder = (one, other) => one.tier.localeCompare(other.tier) || byName(one.name, other.name);

/** By which each of `nodes` is known here and in `figures`: its name, or its address if another one has that name. */
export function keysOf(nodes) {
  const names = nodes.map(({ name }) => name);
  const isTwin = (name) => names.indexOf(name) !== names.lastIndexOf(name);
  return new Map(nodes.map((node) => [node, isTwin(node.name) ? node.admin : node.name]));
}

export class Nodes {
  #root = byId("nodes");
  #cards = new Map(); // by their keys
  #keys = new Map(); // by node
  #columns = new Map(); // by generation
  #cluster = null;

  constructor() {
    setInterval(() => this.#tick(), TICK_MS);
  }

  /** Shows the nodes of a `cluster` event. */
  show(cluster) {
    this.#cluster = cluster;
    const nodes = [...cluster.nodes].sort(inOrder);
    this.#keys = keysOf(nodes);
    this.#root.classList.toggle("dense", nodes.length > MANY);
    const generations = [...new Set(nodes.map((node) => node.generation))].sort((a, b) => a - b);
    generations.forEach((generation, index) => this.#showColumn(generation, index, nodes));
    this.#removeGone(generations);
  }

  /** Shows the messages per second of each node. */
  rates(rates) {
    for (const [key, rate] of rates) this.#cards.get(key)?.rate(rate);
  }

  /** Shows the counts of a `figures` event, which are newer than those of the last `cluster` event. */
  counts(nodes) {
    for (const [key, { rooms, clients }] of Object.entries(nodes)) this.#cards.get(key)?.counts(rooms, clients);
  }

  #showColumn(generation, index, nodes) {
    if (!this.#columns.has(generation)) this.#columns.set(generation, new Column());
    const column = this.#columns.get(generation);
    const members = nodes.filter((node) => node.generation === generation);
    placeAt(this.#root, column.root, index);
    column.show(generation, members);
    members.forEach((node, at) => {
      const key = this.#keys.get(node);
      if (!this.#cards.has(key)) this.#cards.set(key, new Card());
      const card = this.#cards.get(key);
      placeAt(column.cards, card.root, at);
      card.show(node, this.#cluster, key);
    });
  }

  #removeGone(generations) {
    const keys = new Set(this.#keys.values());
    const hadFocus = this.#root.contains(document.activeElement);
    remove(this.#cards, (key) => !keys.has(key));
    remove(this.#columns, (generation) => !generations.includes(generation));
    if (hadFocus && !this.#root.contains(document.activeElement)) byId("cluster-title").focus();
  }

  #tick() {
    const now = performance.now();
    for (const card of this.#cards.values()) card.tick(now);
  }
}

function remove(shown, isGone) {
  for (const [key, { root }] of shown) {
    if (!isGone(key)) continue;
    root.remove();
    shown.delete(key);
  }
}

class Column {
  #title = el("h3");
  #summary = el("p", { class: "muted" });
  cards = el("div", { class: "cards" });
  root = el("section", { class: "generation" }, el("header", {}, this.#title, this.#summary), this.cards);

  show(generation, nodes) {
    const versions = [...new Set(nodes.map((node) => node.version))].filter(Boolean).join(", ");
    setText(this.#title, `Generation ${generation + 1}`);
    setText(this.#summary, `${plural(nodes.length, "node")}${versions && ` · ${versions}`}`);
  }
}

/** The first reasons, and how many more there are: a node may have 10 000 rooms. */
function brief(reasons) {
  if (reasons.length <= REASONS) return reasons;
  return [...reasons.slice(0, REASONS), `… and ${reasons.length - REASONS} more`];
}

class Card {
  #name = el("h4");
  #tier = el("span", { class: "tier" });
  #phase = el("p", { class: "phase" });
  #rooms = el("dd");
  #clients = el("dd");
  #rate = el("dd", {}, "–");
  #roomsCell = el("div", {}, el("dt", {}, "rooms"), this.#rooms);
  #left = el("span");
  #fill = el("i");
  #leaving = el("p", { class: "left", hidden: true }, el("span", { class: "bar", "aria-hidden": "true" }, this.#fill), this.#left);
  #why = el("ul", { class: "why" });
  #whyBox = el("div", { class: "why-box", hidden: true }, el("h5", {}, "Why it is still up"), this.#why);
  #buttons = new Map();
  #verbs = el("div", { class: "verbs" });
  #node = null;
  #cluster = null;
  #endsAt = null;

  root = el(
    "article",
    { class: "card" },
    el("header", {}, el("span", { class: "pip", "aria-hidden": "true" }), this.#name, this.#tier),
    this.#phase,
    el(
      "div",
      { class: "facts" },
      el("dl", {}, this.#roomsCell, el("div", {}, el("dt", {}, "clients"), this.#clients), el("div", {}, el("dt", {}, "msg/s"), this.#rate)),
      this.#verbs,
    ),
    this.#leaving,
    this.#whyBox,
  );

  show(node, cluster, key) {
    this.#node = node;
    this.#cluster = cluster;
    setData(this.root, "phase", node.dead ? "dead" : node.phase);
    setData(this.root, "node", node.name);
    setText(this.#name, node.name);
    setText(this.#tier, node.tier);
    const address = key !== node.name && key; // two cards of one name
    setText(this.#phase, [node.dead || node.phase, node.version, node.pid && `pid ${node.pid}`, address].filter(Boolean).join(" · "));
    this.counts(node.rooms, node.clients);
    this.#endsAt = node.seconds_left === null || node.dead ? null : performance.now() + node.seconds_left * 1000;
    this.tick(performance.now());
    this.#showWhy(node.dead || node.phase === "serving" ? [] : brief(node.why));
    this.#showVerbs(verbsFor(node, cluster.verbs));
  }

  counts(rooms, clients) {
    setHidden(this.#roomsCell, this.#node.tier === "api" && !rooms);
    setText(this.#rooms, grouped(rooms));
    setText(this.#clients, grouped(clients));
  }

  rate(perSecond) {
    setText(this.#rate, grouped(perSecond));
  }

  /** Empties the bar between the events. */
  tick(now) {
    setHidden(this.#leaving, this.#endsAt === null);
    if (this.#endsAt === null) return;
    const seconds = Math.max(0, (this.#endsAt - now) / 1000);
    const grace = Math.max(this.#node.grace ?? seconds, seconds, 1);
    this.#fill.style.transform = `scaleX(${(seconds / grace).toFixed(3)})`;
    setText(this.#left, `${Math.ceil(seconds)} s left`);
  }

  #showWhy(reasons) {
    setHidden(this.#whyBox, reasons.length === 0);
    const rows = this.#why.children;
    reasons.forEach((reason, index) => {
      if (rows[index]) setText(rows[index], reason);
      else this.#why.append(el("li", {}, reason));
    });
    while (rows.length > reasons.length) rows[reasons.length].remove();
  }

  #makeButtons() {
    for (const verb of this.#cluster.verbs.filter((verb) => verb !== "roll" && !this.#buttons.has(verb))) {
      const ask = () => confirmVerb(verb, this.#node, this.#cluster);
      const button = el("button", { type: "button", class: "quiet", "aria-label": `${verb} ${this.#node.name}`, onclick: ask }, verb);
      this.#buttons.set(verb, button);
      this.#verbs.append(button);
    }
  }

  #showVerbs(verbs) {
    const hadFocus = this.#verbs.contains(document.activeElement);
    if (verbs.some((verb) => !this.#buttons.has(verb))) this.#makeButtons();
    for (const [verb, button] of this.#buttons) setHidden(button, !verbs.includes(verb));
    if (hadFocus && document.activeElement?.hidden !== false) this.#verbs.querySelector("button:not([hidden])")?.focus();
  }
}
