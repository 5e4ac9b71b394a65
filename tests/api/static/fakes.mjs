// A clock that the test turns, and a server that says what the test says.

/** Timers that run when the test advances the clock, in the order of their times. */
export class FakeClock {
  ms = 0;
  #timers = new Map();
  #last = 0;

  setTimeout = (callback, delay) => {
    this.#timers.set(++this.#last, { at: this.ms + delay, callback });
    return this.#last;
  };
  clearTimeout = (timer) => this.#timers.delete(timer);
  now = () => this.ms;

  get timers() {
    return this.#timers.size;
  }

  async advance(ms) {
    const end = this.ms + ms;
    for (;;) {
      await settled();
      const [id, timer] = [...this.#timers].reduce(
        (first, next) => (next[1].at < first[1].at ? next : first),
        [0, { at: Infinity }],
      );
      if (timer.at > end) break;
      this.ms = Math.max(this.ms, timer.at);
      this.#timers.delete(id);
      timer.callback();
    }
    this.ms = end;
    await settled();
  }
}

/** Every promise that can settle without a timer has settled. */
export const settled = () => new Promise((resolve) => setImmediate(resolve));

/** One WebSocket as the server sees it. */
export class FakeSocket {
  readyState = 0;
  onmessage = null;
  onclose = null;
  onerror = null;
  sent = [];
  closed = null;

  constructor(server, url, protocols) {
    Object.assign(this, { url, protocols });
    server.sockets.push(this);
    server.onSocket(this);
  }

  // The client's side.
  send(text) {
    if (this.readyState !== 1) throw new Error("not open");
    this.sent.push(JSON.parse(text));
  }
  close(code) {
    this.closed ??= code;
    this.readyState = 3;
  }

  // The server's side.
  hello(node = "api-1") {
    this.readyState = 1;
    this.tell({ t: "hello", v: 1, node, version: "7" });
  }
  tell(...frames) {
    for (const frame of frames) this.onmessage?.({ data: JSON.stringify(frame) });
  }
  end(code = 1006, reason = "") {
    this.readyState = 3;
    this.onclose?.({ code, reason });
  }
  of(type) {
    return this.sent.filter((frame) => frame.t === type);
  }
}

export class FakeServer {
  sockets = [];
  clock = new FakeClock();
  dice = 0.5;
  /** Called with each new socket; the test may replace it. */
  onSocket = () => {};

  get socket() {
    return this.sockets.at(-1);
  }
  get urls() {
    return this.sockets.map(({ url }) => url);
  }

  /** Options of `connect` that put the module into the test's hands. */
  get parts() {
    const server = this;
    return {
      WebSocket: class {
        constructor(url, protocols) {
          return new FakeSocket(server, url, protocols);
        }
      },
      setTimeout: this.clock.setTimeout,
      clearTimeout: this.clock.clearTimeout,
      now: this.clock.now,
      random: () => this.dice,
    };
  }
}

export const joined = (more = {}) => ({
  t: "joined",
  room: "game-1.r",
  kind: "lounge",
  you: "p1",
  seq: 0,
  ticket: "t0",
  players: [{ id: "p1", name: "Ada" }],
  ...more,
});

export const resumed = (more = {}) => ({
  t: "resumed",
  room: "game-1.r",
  seq: 0,
  n: 0,
  ticket: "t1",
  complete: true,
  ...more,
});

export const msg = (seq, d = seq) => ({ t: "msg", seq, d });
