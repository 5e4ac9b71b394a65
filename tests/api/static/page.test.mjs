import assert from "node:assert/strict";
import { test } from "node:test";

import { connect, internals } from "../../../api/static/lastcall.js";
import { FakeServer, joined, msg, resumed } from "./fakes.mjs";
import { FakePage } from "./page.mjs";

const SECOND = 1_000;
const MINUTE = 60_000;

/** Returns a place that is here, its server, and its page, whose timers the client uses. */
async function seated(test, page = new FakePage()) {
  const server = new FakeServer();
  server.clock = page.clock;
  const { WebSocket, random } = server.fakes;
  const options = { kind: "lounge", key: "k", WebSocket, random, ...page.install(test) };
  const opening = connect("ws://one/", options);
  answer(server, joined());
  const place = await opening;
  await page.clock.advance(0);
  return { place, server, page, clock: page.clock };
}

function answer(server, frame) {
  server.socket.hello();
  server.socket.deliver(frame);
}

/** The server is heard every 10 s. */
async function beats(server, clock, seconds) {
  for (let second = 0; second < seconds; second += 10) {
    await clock.advance(10 * SECOND);
    server.socket.deliver({ t: "beat" });
  }
}

// A hidden page.

test("a page that was hidden for ten minutes notices a dead network in 25 s, and dials on", async (test) => {
  const { place, server, page, clock } = await seated(test);
  page.hide();
  await beats(server, clock, 600);
  await clock.advance(24 * SECOND);
  assert.equal(place.state, "here");
  await clock.advance(1 * SECOND);
  assert.equal(place.state, "away");
  const dialedAt = [];
  server.onSocket = () => dialedAt.push(clock.ms / SECOND - 600);
  await clock.advance(30 * SECOND);
  // 25.4 s; then 3 s an attempt, and half of 0.25, 0.5, 1, 2, 4 and 8 s; each at a whole second
  assert.deepEqual(dialedAt, [26, 30, 34, 38, 42, 47, 54]);
  answer(server, resumed());
  assert.equal(place.state, "here"); // the node had seen the loss after 30 s, and kept the seat for 30 s
});

test("a hidden page confirms a message within a second, however long it was hidden", async (test) => {
  const { server, page, clock } = await seated(test);
  page.hide();
  await beats(server, clock, 600);
  server.socket.deliver(msg(1));
  await clock.advance(1 * SECOND);
  assert.equal(server.socket.sentOfType("got").at(-1).seq, 1);
});

for (const [name, awake] of [
  ["the network is back", (page) => page.fire("online")],
  ["the page is shown", (page) => page.show()],
  ["the page returns", (page) => page.fire("pageshow")],
]) {
  test(`a silent socket is replaced as soon as ${name}, even if no timer has fired`, async (test) => {
    const { place, server, page, clock } = await seated(test, new FakePage(1));
    await clock.advance(1 * SECOND);
    page.hide();
    await clock.advance(30 * SECOND);
    assert.deepEqual([place.state, server.sockets.length], ["here", 1]); // its timers wait for 1:00
    awake(page);
    assert.deepEqual([server.sockets[0].closed, server.sockets.length], [1000, 2]);
    answer(server, resumed());
    assert.equal(place.state, "here");
    await clock.advance(20 * SECOND);
    assert.equal(server.sockets.length, 2);
  });

  test(`the client dials as soon as ${name}, and does not wait for its back-off`, async (test) => {
    const { place, server, page, clock } = await seated(test, new FakePage(1));
    page.hide();
    server.socket.drop();
    await clock.advance(50 * SECOND);
    assert.deepEqual([place.state, server.sockets.length], ["away", 1]);
    awake(page);
    assert.equal(server.sockets.length, 2);
    awake(page);
    assert.equal(server.sockets.length, 2, "one attempt at a time");
    page.suspend(3 * SECOND);
    awake(page);
    assert.equal(server.sockets.length, 3, "an attempt whose time is over makes way");
  });

  test(`after a suspend of an hour, a place resumes as soon as ${name}`, async (test) => {
    const { place, server, page } = await seated(test);
    page.suspend(60 * MINUTE);
    awake(page);
    answer(server, resumed());
    assert.deepEqual([place.state, server.sockets.length], ["here", 2]);
  });
}

test("an event of the page changes nothing for a socket that was heard a moment ago", async (test) => {
  const { place, server, page, clock } = await seated(test);
  page.hide();
  for (const type of ["online", "visibilitychange", "pageshow"]) page.fire(type);
  page.show();
  await beats(server, clock, 60);
  assert.deepEqual([place.state, server.sockets.length], ["here", 1]);
});

test("a place with too many unread messages is not resumed by an event of the page", async (test) => {
  const { server, page } = await seated(test);
  for (let seq = 1; seq <= internals.LIMITS.unread; seq += 1) server.socket.deliver(msg(seq));
  page.fire("online");
  assert.equal(server.sockets.length, 1);
});

// Inputs without an answer.

test("an input that is not answered for 5 s after `online` shows that the socket is dead", async (test) => {
  const { place, server, page, clock } = await seated(test);
  await clock.advance(10 * SECOND);
  page.fire("online");
  place.say("hello");
  await clock.advance(4_999);
  assert.equal(place.state, "here");
  await clock.advance(1);
  assert.equal(place.state, "away");
  await clock.advance(400);
  answer(server, resumed());
  assert.deepEqual(server.socket.sentOfType("say"), [{ t: "say", n: 1, d: "hello" }]);
});

test("an input that had no answer for 5 s before `online` does not wait for another 5 s", async (test) => {
  const { place, server, page, clock } = await seated(test);
  place.say("hello");
  await clock.advance(4 * SECOND);
  place.say("are you there?");
  await clock.advance(1 * SECOND);
  page.fire("online");
  assert.equal(server.sockets.length, 2);
});

test("the 5 s count from the oldest input, and any frame ends them", async (test) => {
  const { place, server, page, clock } = await seated(test);
  await clock.advance(10 * SECOND);
  page.fire("online");
  for (const word of ["one", "two"]) {
    place.say(word);
    await clock.advance(2_400);
  }
  server.socket.deliver({ t: "beat" });
  await clock.advance(10 * SECOND);
  assert.equal(place.state, "here");
  page.fire("online");
  assert.equal(place.state, "away");
});

test("a socket that was heard while the input waited for its answer has 5 s more", async (test) => {
  const { place, server, page, clock } = await seated(test);
  place.say("hello");
  await clock.advance(4 * SECOND);
  server.socket.deliver(msg(1));
  await clock.advance(3 * SECOND);
  page.fire("online");
  await clock.advance(1_999);
  assert.equal(place.state, "here");
  await clock.advance(1);
  assert.equal(place.state, "away");
});

test("without an event of the page, an input may remain without an answer", async (test) => {
  const { place, clock } = await seated(test);
  place.say("hello");
  await clock.advance(24 * SECOND);
  assert.equal(place.state, "here");
});

test("with no input to answer, a quiet socket is kept after `online`", async (test) => {
  const { place, server, page, clock } = await seated(test);
  await clock.advance(9 * SECOND);
  page.fire("online");
  await clock.advance(15 * SECOND);
  assert.deepEqual([place.state, server.sockets.length], ["here", 1]);
});

// The user leaves the page, and comes back.

test("a page that the user leaves closes its socket, and resumes when they come back", async (test) => {
  const { place, server, page, clock } = await seated(test);
  place.say("hello");
  page.leave();
  assert.deepEqual([place.state, server.socket.closed, clock.timers], ["away", 1000, 0]);
  place.say("on the way out");
  page.fire("online");
  await clock.advance(30 * SECOND);
  assert.equal(server.sockets.length, 1);
  page.return();
  assert.equal(server.sockets.length, 2);
  answer(server, resumed());
  assert.deepEqual(server.socket.sentOfType("say").map(({ d }) => d), ["hello", "on the way out"]);
});

test("a page that the user leaves while it waits for its back-off does not dial", async (test) => {
  const { server, page, clock } = await seated(test);
  server.socket.drop();
  page.leave();
  await clock.advance(10 * SECOND);
  assert.deepEqual([server.sockets.length, clock.timers], [1, 0]);
  page.return();
  assert.equal(server.sockets.length, 2);
});

test("a page that the user leaves does not dial to read on", async (test) => {
  const { place, server, page } = await seated(test);
  for (let seq = 1; seq <= internals.LIMITS.unread; seq += 1) server.socket.deliver(msg(seq));
  page.leave();
  for await (const { seq } of place) if (seq === internals.LIMITS.unread) break;
  assert.equal(server.sockets.length, 1);
  page.return();
  assert.equal(server.sockets.length, 2);
});

test("a place that is over hears no more events of the page", async (test) => {
  const { place, server, page } = await seated(test);
  server.socket.deliver({ t: "ended", room: place.room, reason: "finished" });
  for (const event of ["leave", "return", "show"]) page[event]();
  page.fire("online");
  assert.deepEqual([place.state, server.sockets.length], ["over", 1]);
});

test("a timer that was cleared after it had fired does not run", async () => {
  const fired = [];
  const env = { now: () => 0, setTimeout: (callback) => fired.push(callback), clearTimeout() {} };
  const timers = new internals.Timers(env);
  const timer = timers.set(() => assert.fail("it was cleared"), 0);
  timers.clear(timer);
  fired.forEach((callback) => callback());
  timers.ring();
});
