/** The playground: which kind to play, the players of this tab, and the links to their rooms. */

import { announce, byId, el, plural, setHidden, setText } from "/page/dom.js";
import { hasForm, schemaForm } from "/page/schema_form.js";

const VIEWED = ["tictactoe", "arena", "lounge"]; // the kinds with a view of their own
const MOST = 5; // players in one tab
const STORED = "lastcall page";
const SEATS = `${STORED}${location.search}`; // a link with other URLs does not get the tickets of these seats
const NAMES = ["Ada", "Grace", "Alan", "Edsger", "Barbara", "Donald", "Frances", "Niklaus", "Hedy", "Claude", "Radia", "Ken"];
const LOOPBACK = /^(localhost|127\.|\[::1\]|0\.0\.0\.0)/;

export class Playground {
  urls = [];
  token = null;
  #kinds = new Map();
  #seats = [];
  #root = byId("seats");
  #form = byId("join");
  #options = null; // the fields of the chosen kind
  #names = new Map(); // by player
  #begun = false;
  #isReachable = null; // not known yet
  #coming = 0; // seats whose scripts are being loaded

  constructor() {
    const hash = hashFields();
    this.token = hash.get("token");
    byId("name").value = sessionStorage.getItem(`${STORED} name`) ?? freeName([]);
    this.#form.onsubmit = (event) => {
      event.preventDefault();
      this.#join(false);
    };
    byId("join-new").onclick = () => this.#form.reportValidity() && this.#join(true);
    this.#form.addEventListener("focusin", loadSeats, { once: true });
    this.#form.addEventListener("pointerenter", loadSeats, { once: true });
    byId("options").addEventListener("invalid", () => (byId("options").open = true), true);
    addEventListener("hashchange", () => this.#followLink());
  }

  get isAlone() {
    return this.#seats.length < 2;
  }

  /** Where clients connect; the first time, players who were here before a reload come back. */
  reach(urls) {
    const asked = new URLSearchParams(location.search).getAll("ws").flatMap((text) => text.split(",")).filter(Boolean);
    this.urls = asked.length ? asked : urls.map(seenFromHere);
    const isReachable = this.urls.length > 0;
    setHidden(this.#form, !isReachable);
    if (isReachable !== this.#isReachable) this.#tell(isReachable ? "" : "Players connect to other nodes than this one: play from the page of an api node, or of the cluster.");
    this.#isReachable = isReachable;
    this.#refresh();
    if (this.#begun || !isReachable) return;
    this.#begun = true;
    this.#comeBack();
  }

  async #comeBack() {
    for (const asked of stored()) await this.#seat({ ...asked, isPrivate: false }, false);
    this.#followLink();
  }

  /** The kinds that the cluster runs; those with a view come first. */
  offer(kinds) {
    const chosen = this.#chosen;
    const rank = ({ name }) => (VIEWED.includes(name) ? VIEWED.indexOf(name) : VIEWED.length);
    const sorted = [...kinds].sort((one, other) => rank(one) - rank(other));
    this.#kinds = new Map(sorted.map((kind) => [kind.name, kind]));
    const first = this.#kinds.has(chosen) ? chosen : sorted[0]?.name;
    const cards = sorted.map((kind) => this.#kindCard(kind, kind.name === first));
    byId("kinds").replaceChildren(byId("kinds").firstElementChild, ...(cards.length ? cards : [this.#kindByName(chosen)]));
    if (chosen !== first) this.#showOptions();
  }

  /** An event of the cluster. */
  hear(event) {
    this.#seats.forEach((seat) => seat.hear(event));
  }

  /** The state of the cluster. */
  look(cluster) {
    this.#seats.forEach((seat) => seat.look(cluster));
  }

  // For its seats.

  kindOf(name) {
    return this.#kinds.get(name) ?? null;
  }

  nameOf(player, otherwise = `player ${player.slice(-4)}`) {
    return this.#names.get(player) ?? otherwise;
  }

  link(room) {
    const page = new URL(location.href);
    page.hash = `room=${encodeURIComponent(room)}`; // the token is not for others
    return page.href;
  }

  seated(seat) {
    for (const { id, name } of seat.place.players) if (name) this.#names.set(id, name);
    this.#names.set(seat.place.you, seat.asked.name);
    this.#store();
    this.#showRoom(seat.room);
    this.#refresh();
  }

  over(seat) {
    if (seat.room === hashFields().get("room")) this.#showRoom(this.#seats.find((other) => !other.isOver)?.room);
    this.#store();
    this.#refresh();
  }

  closed(seat) {
    this.#seats.splice(this.#seats.indexOf(seat), 1);
    this.over(seat);
    (this.#seats.at(-1) ?? { focus: () => byId("play-title").focus() }).focus();
  }

  again(seat) {
    const { name, options } = seat.asked;
    seat.root.remove();
    this.#seats.splice(this.#seats.indexOf(seat), 1);
    this.#seat({ kind: seat.place?.kind ?? seat.asked.kind, name, options });
  }

  another(seat) {
    this.#seat({ room: seat.place.room, name: freeName(this.#taken) });
  }

  get #taken() {
    return this.#seats.map(({ asked }) => asked.name);
  }

  get #chosen() {
    return this.#form.querySelector("input[name=kind]:is(:checked, [type=text])")?.value;
  }

  #tell(text) {
    setText(byId("no-play"), text);
    setHidden(byId("no-play"), !text);
  }

  #join(isPrivate) {
    const name = byId("name").value.trim();
    sessionStorage.setItem(`${STORED} name`, name);
    let options;
    try {
      options = this.#options?.read();
    } catch (error) {
      this.#tell(`The options are not JSON: ${error.message}`);
      return;
    }
    this.#tell("");
    this.#clearOver();
    const hasOptions = options && Object.keys(options).length > 0;
    this.#seat({ kind: this.#chosen, name, isPrivate, options: hasOptions ? options : undefined });
  }

  /** Removes ended places when new ones begin. */
  #clearOver() {
    for (const { root, isOver } of this.#seats) if (isOver) root.remove();
    this.#seats = this.#seats.filter(({ isOver }) => !isOver);
  }

  async #seat(asked, isAskedNow = true) {
    if (this.#seats.length + this.#coming >= MOST) {
      this.#tell(`${MOST} players sit in this tab: close one first.`);
      return;
    }
    this.#coming += 1;
    const module = await loadSeats();
    this.#coming -= 1;
    if (!module) {
      this.#tell("The server does not answer, so the game cannot be loaded. Try again when it is back.");
      return;
    }
    const seat = new module.Seat({ ...asked, key: asked.key ?? randomKey() }, this);
    this.#seats.push(seat);
    this.#root.append(seat.root);
    this.#refresh();
    if (isAskedNow) seat.focus();
  }

  /** `#room=ID`: a seat in that room, unless a player of this tab has one. */
  #followLink() {
    const room = hashFields().get("room");
    const isHere = this.#seats.some((seat) => seat.room === room);
    if (!room || isHere || !this.#begun) return;
    const { value } = byId("name");
    this.#seat({ room, name: this.#taken.includes(value) ? freeName(this.#taken) : value });
    announce("Joining the room of the link");
  }

  #showRoom(room) {
    const hash = hashFields();
    if (room) hash.set("room", room);
    else hash.delete("room");
    history.replaceState(null, "", `${location.pathname}${location.search}${hash.size ? `#${hash}` : ""}`);
  }

  #store() {
    const kept = this.#seats.filter((seat) => !seat.isOver);
    sessionStorage.setItem(SEATS, JSON.stringify(kept.map(({ asked, room }) => ({ ...asked, at: room }))));
  }

  #refresh() {
    this.#root.dataset.count = this.#seats.length;
    setHidden(byId("hint"), this.#seats.length > 0 || this.urls.length === 0);
    for (const seat of this.#seats) seat.mayAdd(this.#seats.length < MOST);
  }

  #kindCard(kind, isChosen) {
    const radio = el("input", { type: "radio", name: "kind", value: kind.name, checked: isChosen, onchange: () => this.#showOptions() });
    const traits = [
      kind.starts > 1 ? plural(kind.starts, "player") : `up to ${kind.seats}`,
      kind.survives ? "survives its node" : kind.moves === "never" ? "stays on its node" : "moves",
    ];
    return el("label", { class: "kind" }, radio, el("b", {}, kind.name), el("span", { class: "about" }, kind.about ?? ""), el("span", { class: "traits" }, traits.join(" · ")));
  }

  /** An api node knows no kinds, but it seats players in rooms of any kind. */
  #kindByName(chosen) {
    const input = el("input", { type: "text", name: "kind", required: true, value: chosen ?? "lounge", autocomplete: "off" });
    return el("label", { class: "name" }, "Kind of room", input);
  }

  #showOptions() {
    const schema = this.#kinds.get(this.#chosen)?.options;
    this.#options = hasForm(schema) ? schemaForm(schema, false) : null;
    byId("options-fields").replaceChildren(...(this.#options ? [this.#options.root] : []));
    setHidden(byId("options"), !this.#options);
  }
}

const hashFields = () => new URLSearchParams(location.hash.slice(1));

const randomKey = () => crypto.getRandomValues(new Uint32Array(4)).join("-");

/** The scripts of players are loaded when somebody is about to play; null if they cannot be. */
const loadSeats = () =>
  import("/page/seat.js").catch((error) => {
    console.warn("the scripts of players cannot be loaded:", error);
    return null;
  });

function stored() {
  try {
    return JSON.parse(sessionStorage.getItem(SEATS)) ?? [];
  } catch {
    return [];
  }
}

function freeName(taken) {
  const free = NAMES.filter((name) => !taken.includes(name));
  return free[Math.floor(Math.random() * free.length)];
}

/** A cluster that says 127.0.0.1 to a page on another machine means its own. */
function seenFromHere(url) {
  const seen = new URL(url);
  if (LOOPBACK.test(seen.hostname) && !LOOPBACK.test(location.hostname)) seen.hostname = location.hostname;
  return seen.href;
}
