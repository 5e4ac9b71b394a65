/** A table for rooms of any kind: what the room says as JSON, and what a player says as a form. */

import { el, inFrame, timeOf } from "/page/dom.js";
import { hasForm, schemaForm } from "/page/schema_form.js";

const SHOWN = 200;

export class GenericTable {
  #table;
  #list = el("div", { class: "messages", role: "log", "aria-live": "off", "aria-label": "Messages of the room", tabindex: "0" });
  #pending = [];
  root;

  /** `table.kind` has the schema of inputs, or null if nothing is known of the kind. */
  constructor(table) {
    this.#table = table;
    const schema = table.kind?.inputs;
    const isDeaf = table.kind?.inputs === null;
    const deaf = isDeaf ? el("p", { class: "muted" }, "The room says nothing of inputs: it may refuse all of them.") : null;
    this.root = el("div", { class: "generic" }, this.#list, deaf, hasForm(schema) ? this.#choice(schema) : this.#form({}));
  }

  message(data, seq) {
    this.#add(seq ?? "", data, "");
  }

  picture(state) {
    this.#add("state", state, "notice");
  }

  /** Shows a refused input, or a result. */
  note(label, data) {
    this.#add(label, data, "notice");
  }

  ended(result) {
    this.#add("ended", result ?? null, "notice");
    return "The room is over.";
  }

  #add(label, data, kind) {
    this.#pending.push([timeOf(), label, data, kind]);
    if (this.#pending.length > SHOWN) this.#pending.shift();
    inFrame(this.#show);
  }

  #show = () => {
    const list = this.#list;
    const atEnd = list.scrollTop + list.clientHeight >= list.scrollHeight - 8;
    list.append(...this.#pending.map(row));
    this.#pending = [];
    while (list.childElementCount > SHOWN) list.firstElementChild.remove();
    if (atEnd) list.scrollTop = list.scrollHeight;
  };

  /** The form of the schema, or JSON by hand. */
  #choice(schema) {
    const [form, raw] = [this.#form(schema), this.#form({})];
    raw.hidden = true;
    const turn = el("button", { type: "button", class: "quiet", "aria-pressed": "false" }, "Write JSON");
    turn.onclick = () => {
      raw.hidden = !raw.hidden;
      form.hidden = !raw.hidden;
      turn.setAttribute("aria-pressed", String(form.hidden));
    };
    return el("div", { class: "say" }, form, raw, turn);
  }

  #form(schema) {
    const fields = schemaForm(schema);
    const fault = el("p", { class: "fault", role: "alert", hidden: true });
    const form = el("form", {}, fields.root, fault, el("button", { class: "primary" }, "Say"));
    form.onsubmit = (event) => {
      event.preventDefault();
      fault.hidden = true;
      try {
        this.#table.say(fields.read() ?? null);
      } catch (error) {
        fault.textContent = `This is not JSON: ${error.message}`;
        fault.hidden = false;
      }
    };
    return form;
  }
}

function row([time, label, data, kind]) {
  return el("p", { class: kind || null }, el("time", {}, time), el("b", {}, label), el("code", {}, JSON.stringify(data)));
}
