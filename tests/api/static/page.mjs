// A page of a browser: its events, and its timers, which are late while it is hidden.

import { FakeClock } from "./fakes.mjs";

/** Chrome runs the timers of a hidden page once a minute if a chain of five timers led to them. */
export const LONG_CHAIN = 5;

const roundUp = (ms, unit) => Math.ceil(ms / unit) * unit;

class PageClock extends FakeClock {
  constructor(page, minuteFrom) {
    super();
    Object.assign(this, { page, minuteFrom });
  }

  firesAt({ at, chain }) {
    if (!this.page.document.hidden) return at;
    return roundUp(at, chain >= this.minuteFrom ? 60_000 : 1_000);
  }

  run({ callback, chain }) {
    this.chain = chain;
    callback();
    this.chain = 0;
  }
}

/**
 * A window with its document. While it is hidden, timers fire at a whole second; those at the end of
 * a chain of `minuteFrom` timers fire at a whole minute (with 1: all of them).
 */
export class FakePage extends EventTarget {
  document = { hidden: false };

  constructor(minuteFrom = LONG_CHAIN) {
    super();
    this.clock = new PageClock(this, minuteFrom);
  }

  fire(type) {
    this.dispatchEvent(new Event(type));
  }

  show(hidden = false) {
    this.document.hidden = hidden;
    this.fire("visibilitychange");
  }

  hide() {
    this.show(true);
  }

  /** The user goes to another page, which is in the same tab. */
  leave() {
    this.fire("pagehide");
    this.hide();
  }

  /** The user comes back to this page, which was kept. */
  return() {
    this.show();
    this.fire("pageshow");
  }

  /** Time passes without this page: no timer fires. */
  suspend(ms) {
    this.clock.ms += ms;
  }

  /**
   * Replaces the global timers until the test ends, so that the client's own ones are tested. The task
   * of a message does not belong to a chain of timers.
   */
  install(test) {
    const originals = {};
    const install = (name, value) => {
      originals[name] = globalThis[name];
      globalThis[name] = value;
    };
    install("setTimeout", this.clock.setTimeout);
    install("clearTimeout", this.clock.clearTimeout);
    install("MessageChannel", FakeChannel);
    test.after(() => Object.assign(globalThis, originals));
    return { page: this, now: this.clock.now };
  }
}

class FakeChannel {
  port1 = { onmessage: null, close() {} };
  port2 = { postMessage: () => setImmediate(() => this.port1.onmessage()) };
}
