/**
 * Lastcall's client for browsers and for Node 22 or newer: one module, no dependencies.
 *
 *     import { connect } from "lastcall";
 *     const place = await connect(["wss://a.example", "wss://b.example"], { kind: "lounge" });
 *     await place.say("hello");
 *     for await (const { seq, data } of place) console.log(seq, data);
 *
 * A place outlives its socket. When the socket is lost, the client opens another one, resumes, sends
 * unacknowledged inputs again, and drops messages that it has already received: every input is
 * applied once, and every message is seen once.
 *
 * From top to bottom: errors; values (encode); decisions without timers and sockets (PlaceCore,
 * Pacing, Tokens); a page's timers and storage (Timers, Memory); one socket (Socket); the driver that combines
 * them (Driver); the public API (Place, connect).
 *
 * @license MIT
 */

const SUBPROTOCOL = "lastcall.v1";
const REFUSE_BY_CLOSE = "lastcall.refuse-by-close"; // browsers hide the status of a handshake
const VERSION = 1;

const LIMITS = Object.freeze({
  unacked: 64, // inputs that the room has not acknowledged; the server keeps no more
  waiting: 1024, // calls of say() that wait until fewer are unacknowledged
  unread: 1024, // messages that the program has not read yet
  unreadLow: 512, // a place whose socket was closed for `unread` resumes at this level
  inputBytes: 64 * 1024 - 64, // a frame without its envelope
  depth: 512, // objects and arrays in each other; the server reads at least that many
  gotEvery: 32, // messages between two `got`
});

const MS = Object.freeze({
  connect: 3_000, // one attempt, the server's hello included
  join: 10_000, // until the seat is granted, all attempts together
  answer: 8_000, // a join or a resume; the server answers within 4 s
  silence: 25_000, // a server sends at least a `beat` every 10 s
  doubt: 5_000, // without an answer to an input, after the page woke or the network came back
  got: 1_000, // the latest time after a message
  leave: 5_000, // then the server frees the seat in its own time
  scatter: 800, // the longest wait after an unannounced loss
  backoff: 250, // the first span of the back-off, which doubles
  backoffMax: 10_000, // the longest span of the back-off
  steady: 5_000, // a place that was here for this time begins the back-off anew
});

const NO_CLOSE_FRAME = 1006;
const SERVICE_RESTART = 1012;
const NOT_ALLOWED = 4001;
const NO_SUCH_PLACE = 4004;
const FINAL = new Map([
  [NOT_ALLOWED, "the server refuses this client"],
  [4002, "the server says that this client broke the protocol"],
  [4003, "kicked"],
  [4004, "no such place: its ticket is unknown, used, or too old"],
  [4005, "taken over by a newer socket"],
]);
const BUSY = new Set([1013, 4100, 4101]);
const HOPS = 3; // announced closes without a place in a row, before the back-off begins

/** The base of all errors of this module. */
export class LastcallError extends Error {
  constructor(message) {
    super(message);
    this.name = new.target.name;
  }
}

/** No node answered within `joinTimeout`; the message has the failure of each attempt. */
export class ConnectFailed extends LastcallError {}

/** The server refuses the seat. `code`: see the protocol; `retry`: it may succeed later. */
export class JoinRefused extends LastcallError {
  constructor(code, message, retry) {
    super(`${code}: ${message}`);
    this.code = code;
    this.retry = retry;
  }
}

/** The place is lost and cannot be resumed. `code` is the close code, 4001 … 4005. */
export class PlaceLost extends LastcallError {
  constructor(code, reason = "") {
    super(`${FINAL.get(code) ?? "the place is lost"} (${code}${reason && `, ${reason}`})`);
    this.code = code;
  }
}

/** The server refuses who the client is: its token is missing or not valid. `code` is 4001. */
export class AuthRefused extends PlaceLost {}

/** A value that is too big for a frame. */
export class MessageTooBig extends LastcallError {}

/** More than 1 024 calls of `say` wait for the room: the program does not await them. */
export class TooManyWaiting extends LastcallError {}

// -------------------------------------------------------------------------------------- values

const LONE_SURROGATE = /\p{Surrogate}/u; // with `u`, the two halves of a pair are one character

/**
 * The JSON of a value that arrives as it is; throws a TypeError that says what to do for any other
 * value, or MessageTooBig. As in JSON, `toJSON` is called, properties that are undefined are left
 * out, and -0 is 0.
 */
function encode(value) {
  const depths = new Map(); // of the objects that JSON.stringify is in
  const json = JSON.stringify(value, function (key, part) {
    const depth = (depths.get(this) ?? -1) + 1;
    const isLeftOut = part === undefined && depth > 0 && !Array.isArray(this);
    const fault = faultOf(key) || (!isLeftOut && faultOf(part)) || (depth > LIMITS.depth && TOO_DEEP);
    if (fault) {
      const where = depth > 0 ? `${JSON.stringify(key)} in the value` : "the value";
      throw new TypeError(`${where} cannot arrive as it is: ${fault}`);
    }
    if (typeof part === "object") depths.set(part, depth);
    return part;
  });
  const bytes = json.length * 3 > LIMITS.inputBytes ? new TextEncoder().encode(json).length : 0;
  if (bytes <= LIMITS.inputBytes) return json;
  throw new MessageTooBig(`the value has ${bytes} bytes as JSON; ${LIMITS.inputBytes} fit into a frame`);
}

const TOO_DEEP = `it is nested in more than ${LIMITS.depth} objects and arrays`;

/** Why JSON cannot hold this, apart from what it contains, and what can be done; empty if it can. */
function faultOf(part) {
  switch (typeof part) {
    case "string":
      if (!LONE_SURROGATE.test(part)) return "";
      return "it has half of a character, such as an emoji; text.toWellFormed() replaces it";
    case "number":
      return Number.isFinite(part) ? "" : `JSON has no ${part}; use null or a text`;
    case "boolean":
      return "";
    case "object": {
      const type = Object.prototype.toString.call(part).slice(8, -1);
      if (type === "Object" || type === "Array" || part === null) return "";
      return `it is a ${type}; use a plain object, an array, or toJSON()`;
    }
    default:
      return `JSON has no ${typeof part}; use a text or null, or leave it out`;
  }
}

// ----------------------------------------------------------------------------------- decisions

/** The state of one place: inputs, messages, and how it ended. No timer, no socket. */
class PlaceCore {
  room = "";
  kind = "";
  you = "";
  players = [];
  ticket = "";
  seq = 0; // the last message received, read or not
  ended = null;
  leaving = false;
  unacked = []; // {n, text, at}, in order
  unread = []; // {seq, data}, in order
  resumes = 0;
  regroups = 0;
  incomplete = 0;
  refused = 0;
  repeats = 0;
  holes = 0;
  #said = 0;
  #confirmed = 0;

  /** The first frame on a new socket: a join until the seat is granted, then a resume. */
  opening(join) {
    if (!this.ticket) return join;
    return JSON.stringify({ t: "resume", ticket: this.ticket, seen: this.seq });
  }

  get windowOpen() {
    return this.unacked.length < LIMITS.unacked;
  }

  /** Numbers an input and keeps it until it is acknowledged. */
  say(json, at) {
    const said = { n: ++this.#said, text: "", at };
    said.text = `{"t":"say","n":${said.n},"d":${json}}`;
    this.unacked.push(said);
    return said;
  }

  /** The frames after a join or a resume: a `got`, then the unacknowledged inputs. */
  greeting() {
    const frames = [this.got(), ...this.unacked.map((said) => said.text)];
    return this.leaving ? [...frames, LEAVE] : frames;
  }

  got() {
    this.#confirmed = this.seq;
    return JSON.stringify({ t: "got", seq: this.seq, room: this.room });
  }

  /** Numbers received since the last `got`. */
  get unconfirmed() {
    return this.seq - this.#confirmed;
  }

  joined(frame) {
    const again = this.room !== "";
    if (again) this.#forget();
    this.room = frame.room;
    this.kind = frame.kind;
    this.you = frame.you;
    this.players = frame.players ?? [];
    this.ticket = frame.ticket;
    this.seq = frame.seq;
    if (frame.complete === false) this.incomplete += 1;
    return again;
  }

  /** The place as text, for a page that is loaded again. */
  get record() {
    const { room, kind, you, players, ticket, unacked } = this;
    return JSON.stringify({ room, kind, you, players, ticket, unacked });
  }

  /** The place of a page that is loaded again. It has seen nothing: `seq` is 0. */
  restore({ room, kind, you, players, ticket, unacked }) {
    Object.assign(this, { room, kind, you, players, ticket, unacked });
    this.#said = unacked.at(-1)?.n ?? 0;
  }

  /** The place is resumed. Returns how: "whole", "incomplete", or "regrouped" meanwhile. */
  resumed(frame) {
    this.ticket = frame.ticket;
    this.resumes += 1;
    if (frame.room !== this.room) {
      this.#forget();
      this.#said = frame.n;
      this.room = frame.room;
      this.seq = frame.seq;
      return "regrouped";
    }
    this.acked(frame.n);
    this.#said = Math.max(this.#said, frame.n); // another page of this tab may have said more
    this.seq = Math.max(this.seq, frame.seq);
    if (frame.complete) return "whole";
    this.incomplete += 1;
    return "incomplete";
  }

  #forget() {
    this.regroups += 1;
    this.unread.length = 0;
    this.unacked.length = 0;
    this.#said = 0;
    this.#confirmed = 0;
  }

  acked(n) {
    const first = this.unacked.findIndex((said) => said.n > n);
    this.unacked.splice(0, first < 0 ? this.unacked.length : first);
  }

  /** Counts a message; returns whether it is new. A skipped `seq` is another player's message. */
  heard(seq) {
    if (!(seq > this.seq)) {
      this.repeats += 1;
      return false;
    }
    this.holes += seq - this.seq - 1;
    this.seq = seq;
    return !this.leaving;
  }
}

/** How long to wait before the next socket, in milliseconds. Randomness is an argument. */
class Pacing {
  #random;
  #urls;
  #round = 0; // of the back-off
  #failed = 0; // URLs that have failed since the last wait
  #hops = 0;

  constructor(urls, random) {
    this.#urls = urls;
    this.#random = random;
  }

  /** `hereMs`: how long the place was here on the lost socket; null if it never was. */
  delay({ code, moved, hereMs }) {
    const here = hereMs !== null;
    if (here) this.#failed = 0;
    if (here && hereMs >= MS.steady) this.#round = 0;
    if (BUSY.has(code)) return this.backoff();
    if (moved || code === SERVICE_RESTART) {
      if (here) this.#hops = 0;
      if (here || this.#hops++ < HOPS) return 0;
    } else if (here) {
      return this.#random() * MS.scatter;
    }
    this.#failed += 1;
    return this.#failed < this.#urls ? 0 : this.backoff();
  }

  /** Full jitter: a random time within a span that doubles. */
  backoff() {
    this.#failed = 0;
    const span = Math.min(MS.backoffMax, MS.backoff * 2 ** this.#round);
    this.#round += 1;
    return this.#random() * span;
  }
}

/** The client's token: a text, or a function that is asked anew for each socket. */
class Tokens {
  #source;
  #last;
  #refused; // token
  #refusal = null; // the first one in this absence

  constructor(source) {
    this.#source = source == null || typeof source === "function" ? source : checkedToken(source);
  }

  /** Calls `use` with the token, at once if it is a text; `fail` with the function's error. */
  ask(use, fail) {
    if (typeof this.#source !== "function") return use(this.#source);
    const asked = new Promise((resolve) => resolve(this.#source()));
    asked.then((token) => this.#given(checkedToken(token))).then(use, fail);
  }

  #given(token) {
    if (this.#refusal && token === this.#refused) throw this.#refusal;
    return (this.#last = token);
  }

  /** Whether to ask once more after `refusal`: a function, once in each absence. */
  mayDiffer(refusal) {
    if (typeof this.#source !== "function" || this.#refusal) return false;
    this.#refusal = refusal;
    this.#refused = this.#last;
    return true;
  }

  accepted() {
    this.#refusal = null;
  }
}

function checkedToken(token) {
  if (/^[\w!#$%&'*+.^`|~-]+$/.test(token) && typeof token === "string") return token;
  throw new TypeError("a token is a text of letters, digits and !#$%&'*+-.^_`|~, as in base64url");
}

const LEAVE = '{"t":"leave"}';

// -------------------------------------------------------------------------------------- a page

/**
 * Timers with deadlines. A hidden page's timers are late, and those of a page that was suspended are
 * later still: `ring()` runs the overdue ones when an event shows that the page is awake.
 */
class Timers {
  #env;
  #pending = new Set();

  constructor(env) {
    this.#env = env;
  }

  set(callback, ms) {
    const timer = { due: this.#env.now() + ms, callback };
    timer.id = this.#env.setTimeout(() => this.#run(timer), ms);
    this.#pending.add(timer);
    return timer;
  }

  clear(timer) {
    if (this.#pending.delete(timer)) this.#env.clearTimeout(timer.id);
  }

  ring() {
    const now = this.#env.now();
    const overdue = [...this.#pending].filter((timer) => timer.due <= now);
    overdue.sort((one, two) => one.due - two.due).forEach((timer) => this.#run(timer));
  }

  #run(timer) {
    if (!this.#pending.has(timer)) return; // it was cleared after it had fired
    this.clear(timer);
    timer.callback();
  }
}

// In a hidden page, browsers run a timer only once a minute if it was set by a timer, that one by a
// timer, and so on five times. The task of a message is not a timer: what it sets starts a new chain.
function setUnchainedTimeout(callback, ms) {
  return setTimeout(() => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      callback();
    };
    port2.postMessage(null);
  }, ms);
}

/** Keeps the record of a place in a Storage, such as `sessionStorage`; without one, nothing. */
class Memory {
  #storage;
  #key;
  #saved = null;

  constructor(storage, key) {
    this.#storage = storage;
    this.#key = key;
  }

  /** The record, or null. */
  load() {
    try {
      this.#saved = this.#storage?.getItem(this.#key) ?? null;
      const record = JSON.parse(this.#saved);
      return record?.ticket && Array.isArray(record.unacked) ? record : null;
    } catch {
      return null; // another program wrote it
    }
  }

  save(text) {
    try {
      this.#storage?.setItem(this.#key, text);
      this.#saved = text;
    } catch (error) {
      // Not the message, which may quote the place's `key`.
      console.warn("lastcall: this place would not survive a reload:", error.name);
    }
  }

  /** Removes the record, unless another tab with the same storage has written a newer one. */
  forget() {
    if (this.#storage?.getItem(this.#key) === this.#saved) this.#storage?.removeItem(this.#key);
  }
}

// ---------------------------------------------------------------------------------- one socket

/**
 * One WebSocket from its opening to its loss. It calls `owner.onFrame(frame)` for each frame, of which
 * the first is `hello`, and once, but never after `drop()`, `owner.onLost(code, reason)`, or
 * `owner.onFailed(error)` if it cannot be opened.
 */
class Socket {
  #env;
  #ws = null; // while there is no token yet
  #owner;
  #timer;
  #greeted = false;
  heardAt = 0;

  constructor(env, url, connectTimeout, owner) {
    this.#env = env;
    this.#owner = owner;
    this.#expect(connectTimeout, `no token within ${connectTimeout / 1000} s`);
    const open = (token) => this.#owner && this.#open(url, connectTimeout, token);
    env.tokens.ask(open, (error) => this.#fail(error));
  }

  #open(url, connectTimeout, token) {
    const protocols = [SUBPROTOCOL, REFUSE_BY_CLOSE];
    if (token) protocols.splice(1, 0, `bearer.${token}`);
    try {
      this.#ws = new this.#env.WebSocket(url, protocols);
    } catch (error) {
      return this.#fail(new ConnectFailed(`${shown(url)}: ${error.message}`)); // such as mixed content
    }
    this.#expect(connectTimeout, `no hello within ${connectTimeout / 1000} s`);
    this.#ws.onmessage = ({ data }) => this.#receive(data);
    this.#ws.onclose = ({ code, reason }) => this.#lose(code, reason);
    // Some Node versions report a failed handshake by `error` alone; elsewhere `close` comes first.
    const lose = () => this.#lose(NO_CLOSE_FRAME, "no connection");
    this.#ws.onerror = () => this.#env.timers.set(lose, 0);
  }

  send(text) {
    if (this.#ws?.readyState === 1) this.#ws.send(text);
  }

  /** Closes the socket and ignores its later events. */
  drop() {
    this.#owner = null;
    this.#env.timers.clear(this.#timer);
    if (!this.#ws) return;
    this.#ws.onmessage = this.#ws.onclose = this.#ws.onerror = null;
    this.#ws.close(1000);
  }

  #receive(data) {
    if (this.#owner === null) return;
    this.heardAt = this.#env.now();
    let frame;
    try {
      frame = JSON.parse(data);
    } catch {
      return this.#lose(NO_CLOSE_FRAME, "a frame that is not JSON");
    }
    if (!this.#greeted && !this.#greet(frame)) return;
    this.#expect(MS.silence, `nothing heard for ${MS.silence / 1000} s`);
    this.#owner.onFrame(frame);
  }

  #greet(frame) {
    if (frame?.t !== "hello" || frame.v !== VERSION) {
      this.#lose(NO_CLOSE_FRAME, `the first frame is not a hello of version ${VERSION}`);
      return false;
    }
    return (this.#greeted = true);
  }

  /** Loses the socket unless a frame arrives within `ms`. */
  #expect(ms, reason) {
    this.#env.timers.clear(this.#timer);
    this.#timer = this.#env.timers.set(() => this.#lose(NO_CLOSE_FRAME, reason), ms);
  }

  #lose(code, reason) {
    const owner = this.#owner;
    if (owner !== null) this.drop();
    owner?.onLost(code, reason);
  }

  #fail(error) {
    const owner = this.#owner;
    if (owner !== null) this.drop();
    owner?.onFailed(error);
  }
}

// --------------------------------------------------------------------------------- the driver

/** Keeps one place: opens sockets, joins, resumes, resends; ends once. */
class Driver {
  core = new PlaceCore();
  state = "joining";
  node = "";
  url = "";
  error = null;
  #env;
  #timers;
  #memory;
  #urls;
  #turn = 0;
  #join; // the frame
  #limits;
  #pacing;
  #events; // {emit(type, fields), wake(), over(error)}
  #socket = null;
  #dialTimer;
  #answerTimer;
  #gotTimer;
  #lastTimer; // of the time to join, then of the time to leave
  #doubtTimer;
  #hereAt = null;
  #wokenAt = -Infinity;
  #moved = false;
  #paused = false; // too many messages are unread
  #gone = false; // the user has left the page, and may return to it
  #restored = false; // the place of an earlier load of the page, not yet resumed
  #unwatch = new AbortController();
  #failures = [];
  #waiting = []; // {json, accept, fail}

  constructor(env, urls, join, memory, limits, events) {
    this.#env = env;
    this.#timers = env.timers;
    this.#memory = memory;
    this.#urls = urls;
    this.#join = join;
    this.#limits = limits;
    this.#events = events;
    this.#pacing = new Pacing(urls.length, env.random);
    this.#lastTimer = env.timers.set(() => this.finish(this.#joinFailure()), limits.joinTimeout);
    const record = memory.load();
    this.#restored = record !== null;
    if (record) this.core.restore(record);
    this.#watchPage();
    this.#dial();
  }

  // For the program.

  say(json) {
    if (this.state === "over" && this.error) return Promise.reject(this.error);
    if (this.state === "over" || this.core.leaving) return Promise.resolve(0);
    if (this.core.windowOpen && this.#waiting.length === 0) return Promise.resolve(this.#say(json));
    if (this.#waiting.length >= LIMITS.waiting) {
      const message = `${LIMITS.waiting} inputs already wait for the room: await say()`;
      return Promise.reject(new TooManyWaiting(message));
    }
    return new Promise((accept, fail) => this.#waiting.push({ json, accept, fail }));
  }

  leave() {
    if (this.state === "over" || this.core.leaving) return;
    this.core.leaving = true;
    this.core.unread.length = 0;
    this.#waiting.splice(0).forEach(({ accept }) => accept(0));
    this.#memory.forget();
    this.#send(LEAVE);
    this.#lastTimer = this.#timers.set(() => this.#end("left"), MS.leave);
    this.read();
  }

  /** A message was read: a place whose socket was closed for too many unread ones resumes. */
  read() {
    if (!this.#paused || this.core.unread.length > LIMITS.unreadLow) return;
    this.#paused = false;
    this.#dial();
  }

  /** The next message; undefined when there is none yet. */
  shift() {
    const message = this.core.unread.shift();
    if (message) this.read();
    return message;
  }

  /** The program no longer wants the seat that it asked for. */
  abort(reason) {
    this.#socket?.send(LEAVE);
    this.#memory.forget();
    this.finish(reason);
  }

  /** Ends the place, with an error or with `core.ended`. */
  finish(error = null) {
    if (this.state === "over") return;
    this.error = error;
    this.core.unacked.length = 0;
    // After an AuthRefused, the user may log in and come back.
    if (!error || [PlaceLost, JoinRefused].includes(error.constructor)) this.#memory.forget();
    this.#unwatch.abort();
    this.#dropSocket();
    for (const timer of [this.#dialTimer, this.#lastTimer]) this.#timers.clear(timer);
    for (const { accept, fail } of this.#waiting.splice(0)) error ? fail(error) : accept(0);
    this.#enter("over");
    this.#events.over(error);
  }

  // The page. Its events are the evidence that timers do not give while it is hidden or suspended.

  #watchPage() {
    const { page } = this.#env;
    const on = (type, act) => page?.addEventListener(type, act, { signal: this.#unwatch.signal });
    on("online", () => this.#wake());
    on("pageshow", () => this.#return());
    on("pagehide", () => this.#goAway());
    on("visibilitychange", () => (page.document.hidden ? this.#save() : this.#wake()));
  }

  #wake() {
    this.#timers.ring();
    this.#wokenAt = this.#env.now();
    this.#doubt();
    if (!this.#socket && !this.#paused && this.state !== "over") this.#dial();
  }

  // A socket that was open when the page woke is dead if it has not answered an input for 5 s.
  #doubt() {
    this.#timers.clear(this.#doubtTimer);
    const [oldest] = this.core.unacked;
    if (this.state !== "here" || !oldest || this.#socket.heardAt > this.#wokenAt) return;
    const since = Math.max(oldest.at, this.#socket.heardAt);
    const left = since + MS.doubt - this.#env.now();
    if (left > 0) this.#doubtTimer = this.#timers.set(() => this.#doubt(), left);
    else this.#loseSocket(NO_CLOSE_FRAME, `an input has no answer after ${MS.doubt / 1000} s`);
  }

  // A page with an open socket is not kept for the browser's "back". One that is kept does not run.
  #goAway() {
    this.#save();
    this.#gone = true;
    this.#dropSocket();
    if (this.state === "here") this.#enter("away");
  }

  #return() {
    this.#gone = false;
    const record = this.#memory.load(); // the next page of this tab may have resumed the place
    if (record?.room === this.core.room && record.you === this.core.you) {
      this.core.ticket = record.ticket;
    }
    this.#wake();
  }

  #save() {
    if (this.core.ticket && !this.core.leaving) this.#memory.save(this.core.record);
  }

  // Sockets.

  #dial() {
    this.#timers.clear(this.#dialTimer);
    if (this.#gone) return;
    this.url = this.#urls[this.#turn % this.#urls.length];
    this.#hereAt = null;
    this.#moved = false;
    this.#socket = new Socket(this.#env, this.url, this.#limits.connectTimeout, this);
  }

  // On the way back, a token function may succeed later.
  onFailed(error) {
    const isFinal = error instanceof ConnectFailed || error instanceof AuthRefused;
    if (isFinal || this.state === "joining") return this.finish(error);
    console.warn("lastcall: no token:", error);
    this.onLost(1013, "no token");
  }

  onLost(code, reason) {
    const hereMs = this.#hereAt === null ? null : this.#env.now() - this.#hereAt;
    const failure = `${shown(this.url)}: ${code}${reason && ` ${reason}`}`;
    this.#failures = [...this.#failures, failure].slice(-2 * this.#urls.length);
    this.#dropSocket();
    if (FINAL.has(code) && this.core.leaving) return this.#end("left");
    if (code === NO_SUCH_PLACE && this.#restored) return this.#joinAnew();
    if (code === NOT_ALLOWED) return this.#onAuthRefused(new AuthRefused(code, reason));
    if (FINAL.has(code)) return this.finish(new PlaceLost(code, reason));
    this.#turn += 1;
    if (this.state === "here") this.#enter("away");
    const delay = this.#pacing.delay({ code, moved: this.#moved, hereMs });
    if (delay === 0) return this.#dial(); // a timer in a hidden page may take a second
    this.#dialTimer = this.#timers.set(() => this.#dial(), delay);
  }

  #onAuthRefused(refusal) {
    if (this.state === "away" && this.#env.tokens.mayDiffer(refusal)) this.#dial();
    else this.finish(refusal);
  }

  #dropSocket() {
    this.#socket?.drop();
    this.#socket = null;
    const timers = [this.#answerTimer, this.#gotTimer, this.#doubtTimer];
    timers.forEach((timer) => this.#timers.clear(timer));
    this.#gotTimer = undefined;
  }

  #loseSocket(code, reason) {
    this.#socket.drop();
    this.onLost(code, reason);
  }

  #send(text) {
    if (this.state === "here") this.#socket.send(text);
  }

  #ask() {
    this.#socket.send(this.core.opening(this.#join));
    const lose = () => this.#loseSocket(NO_CLOSE_FRAME, "no answer");
    this.#answerTimer = this.#timers.set(lose, MS.answer);
  }

  // The place of an earlier load of the page no longer exists.
  #joinAnew() {
    this.#restored = false;
    this.#memory.forget();
    this.core = new PlaceCore();
    this.#dial();
  }

  // Frames. Unknown types are for newer clients.

  onFrame(frame) {
    switch (frame?.t) {
      case "hello":
        return this.#onHello(frame);
      case "joined":
        return this.#onJoined(frame);
      case "resumed":
        return this.#onResumed(frame);
      case "msg":
        return this.#onMessage(frame);
      case "ack":
        return this.#onAck(frame.n);
      case "error":
        return this.#onError(frame);
      case "ended":
        if (frame.room === this.core.room) this.#end(frame.reason, frame.result);
        return;
      case "draining":
        return this.#emit("draining", { tier: frame.tier, seconds: frame.seconds });
      case "move":
        this.#moved = true;
    }
  }

  #onHello(frame) {
    this.node = frame.node;
    this.#ask();
  }

  #onJoined(frame) {
    const again = this.core.joined(frame);
    this.#here();
    if (again) this.#emit("regrouped", { room: frame.room });
    const picture = { state: frame.state, seq: frame.seq };
    // Later: connect() has to return the place before anybody can listen to it.
    if (frame.complete === false) this.#timers.set(() => this.#emit("picture", picture), 0);
  }

  #onResumed(frame) {
    const how = this.core.resumed(frame);
    this.#here();
    if (how === "regrouped") this.#emit("regrouped", { room: frame.room });
    if (how === "incomplete") this.#emit("picture", { state: frame.state, seq: frame.seq });
  }

  #here() {
    this.#timers.clear(this.#answerTimer);
    if (this.state === "joining") this.#timers.clear(this.#lastTimer);
    this.#restored = false;
    this.#env.tokens.accepted();
    this.#save();
    this.#hereAt ??= this.#env.now();
    this.#enter("here");
    this.core.greeting().forEach((text) => this.#socket.send(text));
    this.#sendWaiting();
  }

  #onMessage(frame) {
    if (!this.core.heard(frame.seq)) return;
    this.core.unread.push({ seq: frame.seq, data: frame.d });
    if (this.core.unconfirmed >= LIMITS.gotEvery) this.#got();
    else this.#gotTimer ??= this.#timers.set(() => this.#got(), MS.got);
    this.#events.wake();
    if (this.core.unread.length >= LIMITS.unread) this.#pause();
  }

  #got() {
    this.#timers.clear(this.#gotTimer);
    this.#gotTimer = undefined;
    this.#send(this.core.got());
  }

  // A browser cannot stop reading a socket. The room's history keeps the messages meanwhile.
  #pause() {
    this.#paused = true;
    this.#dropSocket();
    this.#enter("away");
  }

  #onAck(n) {
    this.core.acked(n);
    this.#sendWaiting();
  }

  #say(json) {
    const said = this.core.say(json, this.#env.now());
    this.#send(said.text);
    this.#doubt();
    if (this.#gone) this.#save();
    return said.n;
  }

  #sendWaiting() {
    while (this.#waiting.length && this.core.windowOpen) {
      const { json, accept } = this.#waiting.shift();
      accept(this.#say(json));
    }
  }

  #onError({ code, message, retry, n }) {
    if (n !== undefined) this.core.refused += 1;
    else if (this.state === "joining") return this.#onRefused(new JoinRefused(code, message, retry));
    else if (this.state === "away") return this.#loseSocket(1013, `${code}: ${message}`);
    this.#emit("error", { n, code, message, retry });
  }

  #onRefused(refusal) {
    if (!refusal.retry && this.#restored) return this.#loseSocket(NO_SUCH_PLACE, refusal.message);
    if (!refusal.retry) return this.finish(refusal);
    this.#failures = [refusal];
    this.#timers.clear(this.#answerTimer);
    this.#answerTimer = this.#timers.set(() => this.#ask(), this.#pacing.backoff());
  }

  #end(reason, result) {
    this.core.ended = Object.freeze({ reason, result });
    this.finish();
  }

  #joinFailure() {
    const last = this.#failures.at(-1);
    if (last instanceof JoinRefused) return last;
    return new ConnectFailed(this.#failures.join("; ") || `${shown(this.url)}: no answer`);
  }

  #enter(state) {
    if (state === this.state) return;
    this.state = state;
    this.#emit("state", { state });
  }

  #emit(type, fields) {
    this.#events.emit(type, fields);
  }
}

// --------------------------------------------------------------------------------- public API

/** An event of a place; its fields are properties: `event.data`, `event.state`. */
class PlaceEvent extends Event {
  constructor(type, fields) {
    super(type);
    Object.assign(this, fields);
  }
}

const EVENTS = ["message", "state", "ended", "draining", "error", "picture", "regrouped"];
const MAKE = Symbol("made by connect()");

/**
 * A player's place in a room, from `joined` to `ended`. Made by `connect`.
 *
 * Iterate it, or listen to "message": from the first listener on, all unread and later messages go to
 * the listeners. Up to 1 024 unread messages are kept. With more, the socket is closed, and the place
 * is resumed when half of them are read. So a program that only speaks must read too: if it reads
 * nothing for longer than the room's `resume_seconds`, it loses the place.
 */
export class Place extends EventTarget {
  #driver;
  #readers = [];
  #handlers = new Map();
  #listening = false;
  #held = []; // events from before the program could listen
  #closed;
  #settle;

  constructor(made, start, onReady, onFailed) {
    if (made !== MAKE) throw new TypeError("a Place is made by connect()");
    super();
    this.#closed = new Promise((resolve, reject) => (this.#settle = { resolve, reject }));
    this.#closed.catch(() => {}); // no unhandled rejection if the program does not use `closed`
    let ready = () => {
      ready = null;
      onReady(this);
    };
    this.#driver = start({
      emit: (type, fields) => {
        if (type === "state" && fields.state === "here") ready?.();
        this.#emit(type, fields);
      },
      wake: () => this.#wake(),
      over: (error) => {
        if (ready) onFailed(error);
        this.#over(error);
      },
    });
  }

  /** "joining", "here", "away" (the socket is lost, and the client reconnects) or "over". */
  get state() {
    return this.#driver.state;
  }
  get room() {
    return this.#driver.core.room;
  }
  get kind() {
    return this.#driver.core.kind;
  }
  get you() {
    return this.#driver.core.you;
  }
  get players() {
    return this.#driver.core.players;
  }
  /** The number of the last message received, read or not. */
  get seq() {
    return this.#driver.core.seq;
  }
  /** `{reason, result}` once the place has ended; null before, and when it was lost. */
  get ended() {
    return this.#driver.core.ended;
  }
  /** The PlaceLost, if the place was lost. */
  get error() {
    return this.#driver.error;
  }
  /** The name of the last api node that was reached, and its URL. */
  get node() {
    return this.#driver.node;
  }
  get url() {
    return this.#driver.url;
  }
  /** Inputs that the room has not acknowledged yet. */
  get unacked() {
    return this.#driver.core.unacked.length;
  }
  get resumes() {
    return this.#driver.core.resumes;
  }
  get regroups() {
    return this.#driver.core.regroups;
  }
  /** Resumes for which the room's history was too short. */
  get incomplete() {
    return this.#driver.core.incomplete;
  }
  /** How many inputs were refused; an "error" event tells which and why. */
  get refused() {
    return this.#driver.core.refused;
  }
  /** How many messages came again and were dropped. */
  get repeats() {
    return this.#driver.core.repeats;
  }
  /** How many numbers were skipped: other players' private messages. */
  get holes() {
    return this.#driver.core.holes;
  }
  /** Resolves to `ended` when the place has ended; rejects with PlaceLost when it is lost. */
  get closed() {
    return this.#closed;
  }

  /**
   * Says a value that JSON can hold; rejects with a TypeError if it could not arrive as it is. Waits
   * while 64 inputs are unacknowledged, then resolves to the input's number; from there on it is sent
   * until the room has it. Resolves to 0 after the end.
   */
  async say(value) {
    return this.#driver.say(encode(value));
  }

  /** Gives the seat up, within 5 s even if no node can be reached. Unread messages are dropped. */
  async leave() {
    this.#driver.leave();
    await this.#closed.catch(() => {});
  }

  async [Symbol.asyncDispose ?? Symbol.for("Symbol.asyncDispose")]() {
    await this.leave();
  }

  /** Iterates the messages: ends when the place has ended, throws PlaceLost when it is lost. */
  [Symbol.asyncIterator]() {
    const done = { done: true, value: undefined };
    return { next: () => this.#next(), return: async () => done };
  }

  addEventListener(type, listener, options) {
    super.addEventListener(type, listener, options);
    if (type === "message" && listener && !this.#listening) {
      this.#listening = true;
      queueMicrotask(() => this.#wake()); // listeners that are added right after it miss nothing
    }
  }

  async #next() {
    for (;;) {
      if (this.#listening) throw new TypeError('this place is read by its "message" listeners');
      const value = this.#driver.shift();
      if (value) return { done: false, value };
      if (this.error) throw this.error;
      if (this.state === "over") return { done: true, value: undefined };
      await new Promise((resolve) => this.#readers.push(resolve));
    }
  }

  #wake() {
    this.#readers.splice(0).forEach((resolve) => resolve());
    if (!this.#listening || this.#held) return;
    for (let message; (message = this.#driver.shift()); ) this.#dispatch("message", message);
  }

  #over(error) {
    this.#readers.splice(0).forEach((resolve) => resolve());
    if (error) this.#settle.reject(error);
    else this.#settle.resolve(this.ended);
    if (!error) this.#emit("ended", this.ended);
  }

  #emit(type, fields) {
    if (this.#held) this.#held.push([type, fields]);
    else this.#dispatch(type, fields);
  }

  #dispatch(type, fields) {
    this.dispatchEvent(new PlaceEvent(type, fields));
  }

  /** The program has had time to add listeners: dispatches the held events; later ones go at once. */
  [MAKE]() {
    const held = this.#held;
    this.#held = null;
    const isLast = ([type, { state }]) => type === "ended" || state === "over";
    const begun = held.filter((event) => !isLast(event));
    begun.forEach(([type, fields]) => this.#dispatch(type, fields));
    this.#wake();
    held.filter(isLast).forEach(([type, fields]) => this.#dispatch(type, fields));
  }

  static {
    for (const type of EVENTS) {
      Object.defineProperty(this.prototype, `on${type}`, {
        get() {
          return this.#handlers.get(type) ?? null;
        },
        set(handler) {
          this.removeEventListener(type, this.#handlers.get(type) ?? null);
          this.#handlers.delete(type);
          if (typeof handler !== "function") return;
          this.#handlers.set(type, handler);
          this.addEventListener(type, handler);
        },
      });
    }
  }
}

/**
 * Takes a seat and resolves to a Place. The URLs are tried in turn.
 *
 * Options: `kind` or `room`; `new` (or `isNew`); `private` (or `isPrivate`), a new room for those who
 * have its id; `options`, `name`, `key`; `token`, a text, or a function that is asked anew for each
 * socket and may return a promise; `connectTimeout` (one attempt) and `joinTimeout` (all of them) in milliseconds; `signal`, which gives the seat up;
 * `storage` (`sessionStorage`), with which the place survives a reload of the page: `connect` with the
 * same `kind`, `room` and `key` resumes it. Rejects with JoinRefused, ConnectFailed, AuthRefused,
 * PlaceLost, a TypeError, what the token function throws, or the signal's reason. `WebSocket`, `setTimeout`, `clearTimeout`, `random`, `now`
 * (milliseconds) and `page` are for tests, and for a Node without WebSocket.
 */
export function connect(urls, options = {}) {
  return new Promise((resolve, reject) => {
    const { signal, connectTimeout = MS.connect, joinTimeout = MS.join } = options;
    signal?.throwIfAborted();
    const env = environment(options);
    const hrefs = addresses(urls);
    const join = joinFrame(options);
    const memory = new Memory(options.storage, memoryKey(options));
    const limits = { connectTimeout, joinTimeout };
    let driver;
    const place = new Place(
      MAKE,
      (events) => (driver = new Driver(env, hrefs, join, memory, limits, events)),
      (place) => {
        resolve(place);
        env.timers.set(() => place[MAKE](), 0);
      },
      reject,
    );
    if (!signal) return;
    const giveUp = () => (place.state === "joining" ? driver.abort(signal.reason) : driver.leave());
    signal.addEventListener("abort", giveUp, { once: true });
    place.closed.catch(() => {}).then(() => signal.removeEventListener("abort", giveUp));
  });
}

function environment(options) {
  const env = {
    WebSocket: options.WebSocket ?? globalThis.WebSocket,
    setTimeout: options.setTimeout ?? setUnchainedTimeout,
    clearTimeout: options.clearTimeout ?? ((timer) => clearTimeout(timer)),
    random: options.random ?? Math.random,
    now: options.now ?? (() => Date.now()), // unlike performance.now(), it goes on during a suspend
    page: options.page ?? (globalThis.addEventListener && globalThis), // also a worker; not Node
  };
  env.timers = new Timers(env);
  env.tokens = new Tokens(options.token);
  if (!env.WebSocket) throw new TypeError("there is no WebSocket here: Node has one from version 22 on");
  return env;
}

function addresses(urls) {
  const all = [urls].flat().map((url) => new URL(url).href);
  const wrong = all.find((url) => !/^wss?:/.test(url) || url.includes("#"));
  if (wrong || !all.length) {
    throw new TypeError(`${shown(wrong ?? "nothing")} is not a WebSocket URL, such as wss://example.org/`);
  }
  return all;
}

/** A URL without what may be a secret: its password and its query. */
function shown(url) {
  return url.replace(/[?#].*/, "").replace(/\/\/.*@/, "//");
}

function joinFrame(options) {
  const { kind, room, name, options: settings } = options;
  if (!kind && !room) throw new TypeError("give a kind of room, or a room");
  const isPrivate = options.private ?? options.isPrivate;
  const isNew = isPrivate || (options.new ?? options.isNew); // a node of 0.1 knows only `new`
  const key = options.key ?? randomKey(); // so that an unanswered join can be sent again
  const asked = { kind, room, new: isNew || null, private: isPrivate || null, options: settings, name, key };
  const given = Object.entries(asked).filter(([, value]) => value != null);
  return encode(Object.fromEntries([["t", "join"], ...given]));
}

function memoryKey({ kind, room, key }) {
  return `lastcall ${JSON.stringify({ kind, room, key })}`;
}

function randomKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** For this module's own tests; not part of the API. */
export const internals = Object.freeze({ PlaceCore, Pacing, Timers, LIMITS, MS });
