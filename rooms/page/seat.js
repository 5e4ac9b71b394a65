/** One player of this tab: their place in a room, and how it is shown. */

import { connect } from "/lastcall.js";
import { Arena } from "/page/arena.js";
import { ConnectionDot } from "/page/connection_dot.js";
import { announce, el, inFrame, setHidden, setText } from "/page/dom.js";
import { GenericTable } from "/page/generic_table.js";
import { Lounge } from "/page/lounge.js";
import { TicTacToe } from "/page/tictactoe.js";

const VIEWS = new Map([["arena", Arena], ["lounge", Lounge], ["tictactoe", TicTacToe]]);

const ENDS = {
  cut: "The room was cut: its node had to leave.",
  crashed: "The room has crashed.",
  node_lost: "The room's node is lost.",
  abandoned: "Nobody was there.",
  kicked: "You were sent away.",
  left: "You have left.",
};

const MOVES = /^(handoff|survival|room)\./;
const IN_WORDS = { "survival.promoted": "goes on with the room, from its copy" };

let count = 0;

/**
 * Connects as `asked` says (kind or room, name, key, options, isPrivate) and shows the place.
 *
 * `owner` has `urls`, `token`, `kindOf(name)`, `nameOf(player)`, `link(room)`, and is told by
 * `seated(seat)`, `over(seat)`, `again(seat)`, `another(seat)` and `closed(seat)`.
 */
export class Seat {
  place = null;
  #owner;
  #view = null;
  #homeIsUp = false;
  #isOffered = false; // the link is shown without having been asked for
  #generic = null;
  #dot = new ConnectionDot();
  #id = `seat-${++count}`;
  #title;
  #status = el("p", { class: "status" });
  #body = el("div", { class: "view" });
  #invite = el("div", { class: "invite", hidden: true });
  #inviteButton = button("Invite", () => this.#toggleInvite());
  #another = button("Add a player", () => this.#owner.another(this));
  #leave = button("Leave", () => this.#close());
  #again = el("button", { type: "button", class: "primary", hidden: true, onclick: () => this.#owner.again(this) }, "Play again");

  constructor(asked, owner) {
    this.asked = asked;
    this.#owner = owner;
    this.#title = el("h3", { id: this.#id, tabindex: "-1" }, asked.name, " ", el("span", { class: "muted" }, asked.kind ?? ""));
    for (const early of [this.#inviteButton, this.#another]) early.hidden = true;
    this.root = el(
      "article",
      { class: "seat", "aria-labelledby": this.#id },
      el("header", {}, this.#dot.button, this.#title, el("div", { class: "actions" }, this.#inviteButton, this.#another, this.#leave)),
      this.#dot.under,
      this.#invite,
      this.#status,
      this.#body,
      this.#again,
    );
    this.status("Looking for a seat…", true);
    this.#connect();
  }

  // For a view.

  get you() {
    return this.place.you;
  }

  get kind() {
    return this.#owner.kindOf(this.place.kind);
  }

  /** The name of a player; those who came later than you are known by their ids only. */
  name(player, otherwise) {
    return player === this.you ? "You" : this.#owner.nameOf(player, otherwise);
  }

  say(value) {
    this.place.say(value).catch((error) => this.#fault(error.message));
    inFrame(this.#dot.update);
  }

  /** Shows how things stand; says it too, unless it is only for the eye. */
  status(text, isQuiet = false) {
    if (this.#status.textContent === text) return;
    setText(this.#status, text);
    setHidden(this.#status, !text);
    if (text && !isQuiet) announce(this.#owner.isAlone ? text : `${this.asked.name}: ${text}`);
  }

  // For its owner.

  /** The room that it sits in, or is on its way to, if that is known. */
  get room() {
    return this.place?.room ?? this.asked.at ?? this.asked.room;
  }

  get isOver() {
    return this.root.dataset.over === "yes";
  }

  /** A line of the cluster's log: what it says of the moves of this room is noted under the dot. */
  hear({ node, event, text }) {
    if (this.place && MOVES.test(event) && text.includes(this.place.room)) this.#dot.note(event in IN_WORDS ? `${node} ${IN_WORDS[event]}` : `${node}: ${event} ${text}`);
  }

  /** The cluster as it is now: a room whose first node is gone has been handed off, or has survived it. */
  look({ about, nodes }) {
    if (about !== "cluster" || this.place?.state !== "here") return;
    const home = this.place.room.slice(0, this.place.room.lastIndexOf("."));
    const isUp = nodes.some(({ name, phase, dead }) => name === home && !dead && phase !== "stopped");
    if (this.#homeIsUp && !isUp) this.#dot.note(`${home} is gone, and the room plays on at another node`);
    this.#homeIsUp = isUp;
  }

  focus() {
    this.#title.focus();
  }

  mayAdd(isPossible) {
    setHidden(this.#another, !isPossible || this.place === null || this.isOver);
  }

  async #connect() {
    const { urls, token } = this.#owner;
    const { kind, room, name, key, options, isPrivate } = this.asked;
    try {
      this.place = await connect(urls, { kind, room, name, key, options, isPrivate, token, storage: sessionStorage });
    } catch (error) {
      this.#end(error.message);
      return;
    }
    if (!this.root.isConnected) {
      this.place.leave(); // it was closed meanwhile
      return;
    }
    this.#seated();
  }

  #seated() {
    const { place } = this;
    this.#title.lastElementChild.textContent = place.kind;
    this.root.dataset.kind = place.kind;
    this.status("", true);
    this.#dot.follow(place);
    const View = VIEWS.get(place.kind);
    if (View) {
      this.#view = new View(this);
      this.#body.append(this.#view.root, this.#rawBox());
    } else {
      this.#showAsTable();
    }
    this.#listen();
    this.#inviteButton.hidden = false;
    this.#isOffered = Boolean(this.asked.isPrivate) && this.kind?.seats !== 1;
    if (this.#isOffered) this.#showInvite(); // who asks for a private room wants others in it
    this.#owner.seated(this);
  }

  #showAsTable() {
    this.#view = this.#generic ??= new GenericTable(this);
    this.#body.replaceChildren(this.#view.root);
  }

  /** For a kind with a view of its own: what is said beneath it. Nothing is kept while it is closed. */
  #rawBox() {
    const box = el("details", { class: "raw" }, el("summary", {}, "Messages"));
    box.ontoggle = () => {
      this.#generic ??= new GenericTable(this);
      if (box.open) box.append(this.#generic.root);
      else this.#generic.root.remove();
    };
    return box;
  }

  #listen() {
    const on = (type, act) => this.place.addEventListener(type, act);
    on("message", ({ data, seq }) => this.#message(data, seq));
    on("picture", ({ state }) => this.#each((view) => view.picture(state)));
    on("error", ({ code, message }) => this.#fault(`${code}: ${message}`));
    on("regrouped", () => this.#owner.seated(this));
    this.place.closed.then(
      (ended) => this.#ended(ended),
      (error) => this.#end(error.message),
    );
  }

  #message(data, seq) {
    if (this.#isOffered && this.kind?.starts > 1) this.#hideInvite(); // they are all here
    this.#each((view) => view.message(data, seq));
    inFrame(this.#dot.update);
  }

  /** Shows something in the table of messages, if that is open, and in the view. */
  #each(act) {
    const hasView = this.#view !== this.#generic;
    const isListed = !hasView || this.#generic?.root.isConnected;
    if (isListed) act(this.#generic);
    if (!hasView) return;
    try {
      act(this.#view);
    } catch (error) {
      console.warn(`this is not the example's ${this.place.kind}:`, error); // an author's kind of that name
      this.#view.close?.();
      this.#showAsTable();
      this.status("", true);
      if (!isListed) act(this.#generic);
    }
  }

  #fault(text) {
    this.#dot.note(`Refused: ${text}`);
    this.#generic?.note("refused", text);
    this.status(text);
  }

  #ended({ reason, result }) {
    let text = ENDS[reason];
    if (!text) this.#each((view) => (text = view.ended(result))); // the view comes last
    this.#end(text);
  }

  #end(text) {
    if (!this.root.isConnected) return;
    this.#view?.close?.();
    this.status(text);
    this.root.dataset.over = "yes";
    this.#dot.over();
    setHidden(this.#again, !(this.place?.kind ?? this.asked.kind));
    setHidden(this.#inviteButton, true);
    setHidden(this.#invite, true);
    setText(this.#leave, "Close");
    this.#owner.over(this);
  }

  #close() {
    this.#view?.close?.();
    this.root.remove();
    this.root.dataset.over = "yes";
    this.place?.leave();
    this.#owner.closed(this);
  }

  #toggleInvite() {
    if (!this.#invite.hidden && !this.#isOffered) {
      this.#hideInvite();
      return;
    }
    this.#isOffered = false;
    this.#showInvite().select();
  }

  #hideInvite() {
    this.#isOffered = false;
    this.#invite.hidden = true;
  }

  #showInvite() {
    const link = this.#owner.link(this.place.room);
    const shown = el("input", { readonly: true, "aria-label": "Link to this room", value: link });
    const copy = button("Copy", async () => {
      shown.select();
      const isCopied = (await navigator.clipboard?.writeText(link).then(() => true, () => false)) || document.execCommand("copy");
      setText(copy, isCopied ? "Copied" : "Press Ctrl-C");
      announce(isCopied ? "The link is copied" : "The link is selected");
    });
    const tab = el("a", { href: link, target: "_blank", rel: "noopener" }, "Open in a new tab");
    this.#invite.replaceChildren("Send this link:", shown, copy, tab);
    this.#invite.hidden = false;
    return shown;
  }
}

function button(text, onclick) {
  return el("button", { type: "button", class: "quiet", onclick }, text);
}
