/** The connection of one player as a small dot, from which its story unfolds. */

import { el, inFrame, plural, setData, setText, timeOf } from "/page/dom.js";

const KEPT = 40;
const CALM_MS = 700; // a shorter absence does not change the dot

const STATES = { joining: "joining", here: "connected", away: "reconnecting", over: "over" };

let count = 0;

export class ConnectionDot {
  #place = null;
  #awayAt = null;
  #leaving = null; // the draining event of the node that the socket is on
  #saidAgain = 0;
  #moves = 0;
  #timer = null;
  #word = el("span", { class: "unseen" }, "Connection: joining");
  #facts = el("dl");
  #notes = el("ol");
  #cells = new Map();

  under = el("div", { class: "under", id: `under-${++count}`, hidden: true }, this.#facts, this.#notes);
  button = el(
    "button",
    {
      type: "button",
      class: "dot",
      title: "The connection, and what happened to it",
      "data-state": "joining",
      "aria-expanded": "false",
      "aria-controls": this.under.id,
      onclick: () => this.#unfold(),
    },
    el("span", { class: "pip", "aria-hidden": "true" }),
    this.#word,
  );

  follow(place) {
    this.#place = place;
    place.addEventListener("state", ({ state }) => this.#onState(state));
    place.addEventListener("draining", (event) => this.#onDraining(event));
    place.addEventListener("picture", () => this.note("Away for longer than the room remembers: its current state came instead"));
    place.addEventListener("regrouped", () => this.note("The room had not started: seated in another one"));
    this.#show(place.state);
    this.note(place.resumes ? `Resumed at ${place.node}, after a reload` : `Seated, at ${place.node}`);
  }

  /** Adds a line to what happened. */
  note(text) {
    this.#notes.prepend(el("li", {}, el("time", {}, timeOf()), ` ${text}`));
    if (this.#notes.childElementCount > KEPT) this.#notes.lastElementChild.remove();
    inFrame(this.update);
  }

  over() {
    clearTimeout(this.#timer);
    this.#show("over");
  }

  /** Refreshes the counts. */
  update = () => {
    const place = this.#place;
    if (!place || this.under.hidden) return;
    this.#fact("node", place.node);
    this.#fact("moved", this.#moves);
    this.#fact("resumed", place.resumes);
    this.#fact("said again", this.#saidAgain);
    this.#fact("unacknowledged", place.unacked);
    this.#fact("repeats dropped", place.repeats);
  };

  #unfold() {
    this.under.hidden = !this.under.hidden;
    this.button.setAttribute("aria-expanded", String(!this.under.hidden));
    this.update();
  }

  #fact(name, value) {
    if (!this.#cells.has(name)) {
      const cell = el("dd");
      this.#cells.set(name, cell);
      this.#facts.append(el("div", {}, el("dt", {}, name), cell));
    }
    setText(this.#cells.get(name), value);
  }

  #onState(state) {
    if (state === "away") {
      this.#awayAt = performance.now();
      this.#timer = setTimeout(() => this.#show("away"), CALM_MS);
      return;
    }
    clearTimeout(this.#timer);
    this.#show(state);
    if (state === "here" && this.#awayAt !== null) this.#onBack();
  }

  #onBack() {
    const { node, unacked } = this.#place;
    const ms = Math.round(performance.now() - this.#awayAt);
    this.#awayAt = null;
    if (this.#leaving) this.#moves += 1;
    this.note(this.#leaving ? `Moved to ${node}, in ${ms} ms` : `The connection was lost; resumed at ${node} after ${ms} ms`);
    this.#leaving = null;
    this.#saidAgain += unacked;
    if (unacked) this.note(`${plural(unacked, "input")} said again`);
  }

  #onDraining({ tier, seconds }) {
    if (tier === "api") this.#leaving = { seconds };
    this.note(`The ${tier} node leaves in ${Math.round(seconds)} s`);
  }

  #show(state) {
    setData(this.button, "state", state);
    setText(this.#word, `Connection: ${STATES[state]}`);
  }
}
