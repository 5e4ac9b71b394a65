/** The lounge: a talk. */

import { el, inFrame } from "/page/dom.js";

const SHOWN = 300;

export class Lounge {
  #table;
  #talk = el("div", { class: "talk", role: "log", "aria-label": "Talk", tabindex: "0" });
  #pending = [];
  root;

  constructor(table) {
    this.#table = table;
    const words = el("input", { "aria-label": "Say something", placeholder: "Say something", maxlength: "1000", autocomplete: "off" });
    const form = el("form", { class: "row" }, words, el("button", { class: "primary" }, "Say"));
    form.onsubmit = (event) => {
      event.preventDefault();
      if (words.value) table.say(words.value);
      words.value = "";
    };
    this.root = el("div", { class: "lounge" }, this.#talk, form);
    table.status("", true);
  }

  message({ from, said }) {
    const text = typeof said === "string" ? said : JSON.stringify(said);
    this.#pending.push(el("p", { class: from === this.#table.you ? "mine" : null }, el("b", {}, this.#table.name(from)), ` ${text}`));
    if (this.#pending.length > SHOWN) this.#pending.shift();
    inFrame(this.#show);
  }

  picture() {}

  ended() {
    return "The room is over.";
  }

  #show = () => {
    this.#talk.append(...this.#pending);
    this.#pending = [];
    while (this.#talk.childElementCount > SHOWN) this.#talk.firstElementChild.remove();
    this.#talk.scrollTop = this.#talk.scrollHeight;
  };
}
