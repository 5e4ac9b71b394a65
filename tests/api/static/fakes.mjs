// A clock that the test advances, and a server that sends what the test tells it to send.

/** Timers that run when the test advances the clock, in the order of their times. */
export class FakeClock {
  ms = 0;
  chain = 0; // how many timers led to the task that runs: one set the next
  #timers = new Map();
  #last = 0;

  setTimeout = (callback, delay) => {
    this.#timers.set(++this.#last, { at: this.ms + delay, callback, chain: this.chain + 1 });
    return this.#last;
  };
  clearTimeout = (timer) => this.#timers.delete(timer);
  now = () => this.ms;

  get timers() {
    return this.#timers.size;
  }

  /** When a timer fires; a test's clock may be late. */
  firesAt({ at }) {
    return at;
  }

  run({ callback }) {
    callback();
  }

  async advance(ms) {
    const end = this.ms + ms;
    for (;;) {
      await settled();
      const [id, timer] = [...this.#timers].reduce(
        (first, next) => (this.firesAt(next[1]) < this.firesAt(first[1]) ? next : first),
        [0, { at: Infinity }],
      );
      if (this.firesAt(timer) > end) break;
      this.ms = Math.max(this.ms, this.firesAt(timer));
      this.#timers.delete(id);
      this.run(timer);
    }
    this.ms = end;
    await settled();
  }
}

/** Waits until every promise that needs no timer has settled. */
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

  // The methods that the client calls.
  send(text) {
    if (this.readyState !== 1) throw new Error("not open");
    this.sent.push(JSON.parse(text));
  }
  close(code) {
    this.closed ??= code;
    this.readyState = 3;
  }

  // The methods that the test calls.
  hello(node = "api-1") {
    this.readyState = 1;
    this.deliver({ t: "hello", v: 1, node, version: "7" });
  }
  deliver(...frames) {
    for (const frame of frames) this.onmessage?.({ data: JSON.stringify(frame) });
  }
  drop(code = 1006, reason = "") {
    this.readyState = 3;
    this.onclose?.({ code, reason });
  }
  sentOfType(type) {
    return this.sent.filter((frame) => frame.t === type);
  }
}

export class FakeServer {
  sockets = [];
  clock = new FakeClock();
  randomValue = 0.5;
  /** Is called with each new socket; a test may replace it. */
  onSocket = () => {};

  get socket() {
    return this.sockets.at(-1);
  }
  get urls() {
    return this.sockets.map(({ url }) => url);
  }

  /** Options of `connect` that replace the WebSocket, the clock and the random numbers. */
  get fakes() {
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
      random: () => this.randomValue,
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
