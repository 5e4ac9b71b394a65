import assert from "node:assert/strict";
import { test } from "node:test";

import * as lastcall from "../../../api/static/lastcall.js";
import { FakeServer, joined, msg, resumed, settled } from "./fakes.mjs";

const { connect, internals, JoinRefused, ConnectFailed, PlaceLost } = lastcall;
const URL_1 = "ws://one/";
const URL_2 = "ws://two/";

/** A place that is here, and the server that gave it. */
async function seated({ urls = URL_1, frame = {}, ...options } = {}) {
  const server = new FakeServer();
  const opening = connect(urls, { kind: "lounge", key: "k", ...server.parts, ...options });
  server.socket.hello();
  server.socket.tell(joined(frame));
  const place = await opening;
  await server.clock.advance(0);
  return { place, server };
}

/** The same place on its next socket. */
async function back(server, ms, more = {}) {
  await server.clock.advance(ms);
  server.socket.hello("api-2");
  server.socket.tell(resumed(more));
  await settled();
}

async function read(place, count) {
  const messages = [];
  for await (const message of place) if (messages.push(message) === count) break;
  return messages.map(({ seq }) => seq);
}

function heardEvents(place, ...types) {
  const heard = [];
  for (const type of types) {
    place.addEventListener(type, (event) => heard.push({ ...event, type, isTrusted: undefined }));
  }
  return heard;
}

// Joining.

test("the join offers the subprotocol, waits for hello, and bears a key of 128 bits", async () => {
  const server = new FakeServer();
  const opening = connect(URL_1, { kind: "lounge", name: "Ada", options: { a: 1 }, ...server.parts });
  assert.deepEqual(server.socket.protocols, ["lastcall.v1"]);
  assert.deepEqual(server.socket.sent, []);
  server.socket.hello();
  const [{ key, ...join }] = server.socket.sent;
  assert.deepEqual(join, { t: "join", kind: "lounge", name: "Ada", options: { a: 1 } });
  assert.match(key, /^[0-9a-f]{32}$/);
  server.socket.tell(joined({ seq: 4 }));
  const place = await opening;
  assert.deepEqual(server.socket.of("got"), [{ t: "got", seq: 4, room: "game-1.r" }]);
  assert.deepEqual(
    [place.state, place.room, place.kind, place.you, place.seq, place.node, place.players],
    ["here", "game-1.r", "lounge", "p1", 4, "api-1", [{ id: "p1", name: "Ada" }]],
  );
});

test("a room of its own, or one by name, is asked for", async () => {
  for (const [options, asked] of [
    [{ kind: "x", new: true }, { kind: "x", new: true }],
    [{ kind: "x", isNew: true }, { kind: "x", new: true }],
    [{ room: "game-1.r" }, { room: "game-1.r" }],
  ]) {
    const server = new FakeServer();
    connect(URL_1, { key: "k", ...options, ...server.parts });
    server.socket.hello();
    assert.deepEqual(server.socket.sent, [{ t: "join", key: "k", ...asked }]);
  }
});

test("what cannot be asked for is refused at once, and opens no socket", async () => {
  const server = new FakeServer();
  for (const [urls, options] of [
    [[], { kind: "x" }],
    ["https://example.org/", { kind: "x" }],
    ["nonsense", { kind: "x" }],
    [URL_1, {}],
  ]) {
    await assert.rejects(connect(urls, { ...server.parts, ...options }), TypeError);
  }
  assert.equal(server.sockets.length, 0);
});

test("a URL that does not answer within the time to connect is left for the next", async () => {
  const server = new FakeServer();
  connect([URL_1, URL_2], { kind: "x", connectTimeout: 700, ...server.parts });
  await server.clock.advance(699);
  assert.deepEqual(server.urls, [URL_1]);
  await server.clock.advance(1);
  assert.deepEqual(server.urls, [URL_1, URL_2]);
  assert.equal(server.sockets[0].closed, 1000);
});

test("a node whose handshake is reported by `error` alone is left for the next", async () => {
  const server = new FakeServer();
  connect([URL_1, URL_2], { kind: "x", ...server.parts });
  server.socket.onerror({});
  await server.clock.advance(0);
  assert.deepEqual(server.urls, [URL_1, URL_2]);
});

test("a join without an answer is sent again with the same key after a reconnect", async () => {
  const server = new FakeServer();
  connect([URL_1, URL_2], { kind: "x", ...server.parts });
  server.socket.hello();
  server.socket.end();
  await server.clock.advance(0);
  server.socket.hello();
  const [one, two] = server.sockets.map((socket) => socket.of("join")[0]);
  assert.deepEqual(one, two);
});

test("a socket that beats but never answers the join is left after 8 s", async () => {
  const server = new FakeServer();
  connect([URL_1, URL_2], { kind: "x", ...server.parts });
  server.socket.hello();
  await server.clock.advance(7_999);
  server.socket.tell({ t: "beat" });
  assert.equal(server.sockets.length, 1);
  await server.clock.advance(1);
  assert.equal(server.sockets.length, 2);
});

test("a refused join rejects with its code", async () => {
  const server = new FakeServer();
  const opening = connect(URL_1, { kind: "x", ...server.parts });
  server.socket.hello();
  server.socket.tell({ t: "error", code: "no_such_kind", message: "no x", retry: false });
  await assert.rejects(opening, (error) => {
    assert.ok(error instanceof JoinRefused && error instanceof lastcall.LastcallError);
    assert.deepEqual([error.code, error.retry, error.name], ["no_such_kind", false, "JoinRefused"]);
    return true;
  });
  assert.equal(server.socket.closed, 1000);
  assert.equal(server.clock.timers, 0);
});

test("a join that may pass later is asked again on the same socket until the time to join", async () => {
  const server = new FakeServer();
  const opening = connect(URL_1, { kind: "x", joinTimeout: 2_000, ...server.parts });
  opening.catch(() => {});
  const refuse = () =>
    server.socket.tell({ t: "error", code: "no_game_node", message: "none", retry: true });
  server.socket.hello();
  refuse();
  for (const [ms, joins] of [[124, 1], [1, 2]]) {
    await server.clock.advance(ms);
    assert.equal(server.socket.of("join").length, joins); // half of 250 ms
  }
  refuse();
  for (const [ms, joins] of [[249, 2], [1, 3]]) {
    await server.clock.advance(ms);
    assert.equal(server.socket.of("join").length, joins); // half of 500 ms
  }
  refuse();
  await server.clock.advance(2_000 - 375);
  await assert.rejects(opening, (error) => error.code === "no_game_node" && error.retry);
  assert.equal(server.sockets.length, 1);
});

test("with nobody there, connect tries all URLs, backs off, and fails at the time to join", async () => {
  const server = new FakeServer();
  server.onSocket = (socket) => setImmediate(() => socket.end());
  const opening = connect([URL_1, URL_2], { kind: "x", joinTimeout: 1_000, ...server.parts });
  opening.catch(() => {});
  await server.clock.advance(0);
  assert.deepEqual(server.urls, [URL_1, URL_2]);
  await server.clock.advance(124);
  assert.equal(server.sockets.length, 2);
  await server.clock.advance(1);
  await server.clock.advance(0);
  assert.deepEqual(server.urls, [URL_1, URL_2, URL_1, URL_2]);
  await server.clock.advance(875);
  await assert.rejects(opening, (error) => {
    assert.ok(error instanceof ConnectFailed);
    assert.match(error.message, /ws:\/\/one\/: 1006; ws:\/\/two\/: 1006/);
    return true;
  });
  assert.equal(server.clock.timers, 0);
});

test("a signal that is aborted while joining gives the seat up, and rejects with its reason", async () => {
  const server = new FakeServer();
  const abort = new AbortController();
  const opening = connect(URL_1, { kind: "x", signal: abort.signal, ...server.parts });
  server.socket.hello();
  abort.abort(new Error("enough"));
  await assert.rejects(opening, /enough/);
  assert.deepEqual(server.socket.sent.map(({ t }) => t), ["join", "leave"]);
  assert.equal(server.socket.closed, 1000);
  assert.equal(server.clock.timers, 0);
});

test("a signal that is aborted later leaves the place", async () => {
  const abort = new AbortController();
  const { place, server } = await seated({ signal: abort.signal });
  abort.abort();
  assert.equal(server.socket.of("leave").length, 1);
  server.socket.tell({ t: "ended", room: place.room, reason: "left" });
  assert.deepEqual(await place.closed, { reason: "left", result: undefined });
});

// Down: each message once.

test("messages are read in order; one that comes again is dropped and counted, a hole is fine", async () => {
  const { place, server } = await seated();
  server.socket.tell(msg(1), msg(2), msg(2), msg(1), msg(5));
  assert.deepEqual(await read(place, 3), [1, 2, 5]);
  assert.deepEqual([place.seq, place.repeats, place.holes], [5, 2, 2]);
});

test("messages in the same packet as joined wait for the program to listen", async () => {
  const server = new FakeServer();
  const opening = connect(URL_1, { kind: "x", ...server.parts });
  server.socket.hello();
  const ended = { t: "ended", room: "game-1.r", reason: "finished", result: 7 };
  server.socket.tell(joined(), msg(1), { t: "draining", tier: "game", seconds: 9 }, msg(2), ended);
  const place = await opening;
  const heard = heardEvents(place, "message", "draining", "ended", "state");
  await server.clock.advance(0);
  assert.deepEqual(
    heard.map(({ type, seq, seconds, result, state }) => [type, seq ?? seconds ?? result ?? state]),
    [
      ["state", "here"],
      ["draining", 9],
      ["message", 1],
      ["message", 2],
      ["state", "over"],
      ["ended", 7],
    ],
  );
});

test("a listener takes the messages, and iteration says so", async () => {
  const { place, server } = await seated();
  server.socket.tell(msg(1));
  const heard = [];
  place.onmessage = ({ seq, data }) => heard.push([seq, data]);
  await settled();
  server.socket.tell(msg(2, "two"));
  assert.deepEqual(heard, [[1, 1], [2, "two"]]);
  await assert.rejects(read(place, 1), TypeError);
  assert.equal(typeof place.onmessage, "function");
  assert.equal(place.onended, null);
});

test("`got` is sent at once after joined, after 32 messages, and 1 s after the last ones", async () => {
  const { place, server } = await seated();
  const gots = () => server.socket.of("got").map(({ seq }) => seq);
  for (let seq = 1; seq <= 31; seq += 1) server.socket.tell(msg(seq));
  assert.deepEqual(gots(), [0]);
  server.socket.tell(msg(32));
  assert.deepEqual(gots(), [0, 32]);
  server.socket.tell(msg(33));
  await server.clock.advance(999);
  assert.deepEqual(gots(), [0, 32]);
  await server.clock.advance(1);
  assert.deepEqual(gots(), [0, 32, 33]);
  await server.clock.advance(20_000);
  assert.deepEqual(gots(), [0, 32, 33]);
  assert.equal(place.seq, 33);
});

test("with 1 024 unread messages the socket is closed, and comes back at 512", async () => {
  const { place, server } = await seated();
  for (let seq = 1; seq <= 1_030; seq += 1) server.socket.tell(msg(seq));
  assert.deepEqual([place.seq, place.state, server.socket.closed], [1_024, "away", 1000]);
  await server.clock.advance(60_000);
  await read(place, 511);
  assert.equal(server.sockets.length, 1);
  await read(place, 1);
  assert.equal(server.sockets.length, 2);
  server.socket.hello();
  assert.deepEqual(server.socket.sent, [{ t: "resume", ticket: "t0", seen: 1_024 }]);
  server.socket.tell(resumed({ seq: 1_024 }), msg(1_025));
  assert.deepEqual((await read(place, 513)).at(-1), 1_025);
});

// Up: each input once.

test("inputs are numbered, kept until acknowledged, and 64 at the most are out", async () => {
  const { place, server } = await seated();
  const accepted = [];
  for (let i = 1; i <= 66; i += 1) place.say({ i }).then((n) => accepted.push(n));
  await settled();
  assert.deepEqual([accepted.length, place.unacked], [64, 64]);
  assert.deepEqual(server.socket.of("say").at(-1), { t: "say", n: 64, d: { i: 64 } });
  server.socket.tell({ t: "ack", n: 1 });
  await settled();
  assert.deepEqual([accepted.at(-1), place.unacked], [65, 64]);
  server.socket.tell({ t: "ack", n: 65 });
  await settled();
  assert.deepEqual([accepted.at(-1), place.unacked], [66, 1]);
  assert.deepEqual(
    server.socket.of("say").map(({ n }) => n),
    Array.from({ length: 66 }, (_, i) => i + 1),
  );
});

test("a value is said as it was when it was said", async () => {
  const { place, server } = await seated();
  const value = { cell: 1 };
  place.say(value);
  value.cell = 2;
  server.socket.end();
  await back(server, 400);
  assert.deepEqual(server.socket.of("say"), [{ t: "say", n: 1, d: { cell: 1 } }]);
});

test("what JSON or a frame cannot hold is refused, and takes no number", async () => {
  const { place, server } = await seated();
  await assert.rejects(place.say(undefined), TypeError);
  await assert.rejects(place.say("ä".repeat(32 * 1024)), lastcall.MessageTooBig);
  assert.equal(await place.say("ok"), 1);
  assert.equal(await place.say("x".repeat(64 * 1024 - 66)), 2);
  assert.equal(server.socket.of("say").length, 2);
});

test("1 024 calls of say may wait for the room, and no more", async () => {
  const { place } = await seated();
  const all = Array.from({ length: 64 + 1_024 + 1 }, () => place.say(1));
  await assert.rejects(all.at(-1), lastcall.TooManyWaiting);
});

test("a refused input is counted and told", async () => {
  const { place, server } = await seated();
  const heard = heardEvents(place, "error");
  server.socket.tell({ t: "error", code: "bad_input", message: "no cell", retry: false, n: 3 });
  assert.equal(place.refused, 1);
  assert.deepEqual([heard[0].n, heard[0].code, heard[0].message], [3, "bad_input", "no cell"]);
});

// Resume.

test("after a lost socket the place resumes, says again what the room has not, and hears the rest", async () => {
  const { place, server } = await seated({ urls: [URL_1, URL_2] });
  for (const word of "abc") place.say(word);
  server.socket.tell(msg(1), msg(2), { t: "ack", n: 1 });
  server.socket.end();
  assert.equal(place.state, "away");
  place.say("d"); // while away
  await back(server, 400, { seq: 2, n: 2 });
  assert.equal(server.socket.url, URL_2);
  assert.deepEqual(server.socket.sent, [
    { t: "resume", ticket: "t0", seen: 2 },
    { t: "got", seq: 2, room: "game-1.r" },
    { t: "say", n: 3, d: "c" },
    { t: "say", n: 4, d: "d" },
  ]);
  server.socket.tell(msg(2), msg(3));
  assert.deepEqual(await read(place, 3), [1, 2, 3]);
  assert.deepEqual(
    [place.state, place.node, place.resumes, place.repeats, place.unacked],
    ["here", "api-2", 1, 1, 2],
  );
  server.socket.end();
  await server.clock.advance(400);
  server.socket.hello();
  assert.deepEqual(server.socket.sent[0], { t: "resume", ticket: "t1", seen: 3 });
});

test("a resume whose answer is lost is said again with the same ticket", async () => {
  const { server } = await seated();
  server.socket.end();
  await server.clock.advance(400);
  server.socket.hello();
  server.socket.end();
  await server.clock.advance(125);
  server.socket.hello();
  assert.deepEqual(server.socket.sent, [{ t: "resume", ticket: "t0", seen: 0 }]);
});

test("a history that is too short is told with the room's picture, and counting goes on from there", async () => {
  const { place, server } = await seated();
  const heard = heardEvents(place, "picture");
  server.socket.tell(msg(1));
  server.socket.end();
  await back(server, 400, { seq: 40, complete: false, state: { board: "X" } });
  server.socket.tell(msg(40), msg(41));
  assert.deepEqual(await read(place, 2), [1, 41]);
  assert.equal(place.incomplete, 1);
  assert.deepEqual([heard[0].seq, heard[0].state], [40, { board: "X" }]);
});

test("a room that ended while the place was away is told, after its last messages", async () => {
  const { place, server } = await seated();
  server.socket.end();
  await back(server, 400);
  const result = { winner: "p1" };
  server.socket.tell(msg(1), { t: "ended", room: place.room, reason: "finished", result });
  assert.deepEqual(await read(place, 9), [1]);
  assert.deepEqual(place.ended, { reason: "finished", result });
  assert.deepEqual(await place.closed, place.ended);
  assert.deepEqual([place.state, server.socket.closed, server.clock.timers], ["over", 1000, 0]);
  assert.equal(await place.say("too late"), 0);
});

test("a second joined is another place: n counts from 1, and nothing of the old one is said", async () => {
  const { place, server } = await seated();
  const heard = heardEvents(place, "regrouped");
  server.socket.tell(msg(1), msg(2));
  const many = Array.from({ length: 65 }, (_, i) => place.say(i));
  server.socket.tell(joined({ room: "game-2.q", you: "p9", ticket: "q0", seq: 0 }));
  assert.equal(await many[64], 1);
  assert.deepEqual(server.socket.sent.at(-2), { t: "got", seq: 0, room: "game-2.q" });
  assert.deepEqual(server.socket.sent.at(-1), { t: "say", n: 1, d: 64 });
  server.socket.tell(msg(1, "of the new room"));
  const { value } = await place[Symbol.asyncIterator]().next();
  assert.deepEqual(value, { seq: 1, data: "of the new room" });
  assert.deepEqual([place.you, place.regroups, place.repeats, place.unacked], ["p9", 1, 0, 1]);
  assert.equal(heard[0].room, "game-2.q");
  server.socket.tell({ t: "ended", room: "game-1.r", reason: "cut" });
  assert.equal(place.state, "here");
});

test("an error that answers a resume is waited out, and the resume said again", async () => {
  const { place, server } = await seated();
  server.socket.end();
  await server.clock.advance(400);
  server.socket.hello();
  server.socket.tell({ t: "error", code: "too_many", message: "slowly", retry: true });
  await server.clock.advance(124);
  assert.deepEqual([server.sockets.length, place.state], [2, "away"]);
  await back(server, 1);
  assert.deepEqual([server.sockets.length, place.state], [3, "here"]);
});

// When to come back.

test("an unannounced loss is waited out for up to 0.8 s, a move not at all", async () => {
  for (const [lose, ms] of [
    [(socket) => socket.end(1006), 400],
    [(socket) => socket.end(1001), 400],
    [(socket) => socket.end(1012), 0],
    [(socket) => (socket.tell({ t: "move", after: 2 }), socket.end(1006)), 0],
    [(socket) => socket.end(1013), 125],
    [(socket) => socket.end(4100), 125],
    [(socket) => socket.end(4101), 125],
  ]) {
    const { server } = await seated();
    lose(server.socket);
    if (ms) {
      await server.clock.advance(ms - 1);
      assert.equal(server.sockets.length, 1);
      await server.clock.advance(1);
    }
    assert.equal(server.sockets.length, 2);
  }
});

test("failures back off with full jitter, doubling from 0.25 s to 10 s", async () => {
  const pacing = new internals.Pacing(1, () => 1);
  const delays = Array.from({ length: 8 }, () => pacing.delay({ code: 1006, hereMs: null }));
  assert.deepEqual(delays, [250, 500, 1000, 2000, 4000, 8000, 10_000, 10_000]);
  assert.equal(pacing.delay({ code: 1006, hereMs: 10 }), 800);
  assert.equal(pacing.delay({ code: 1013, hereMs: null }), 10_000);
  assert.equal(pacing.delay({ code: 4100, hereMs: 5_000 }), 250, "steady again");
});

test("a node that moves every client is tried three times at once, and then with back-off", () => {
  const pacing = new internals.Pacing(1, () => 1);
  const delays = Array.from({ length: 5 }, () => pacing.delay({ code: 1012, hereMs: null }));
  assert.deepEqual(delays, [0, 0, 0, 250, 500]);
});

test("a place that was here begins anew: with every URL, and with every hop", () => {
  const pacing = new internals.Pacing(2, () => 1);
  const fails = () => pacing.delay({ code: 1006, hereMs: null });
  const moves = () => pacing.delay({ code: 1012, hereMs: null });
  assert.deepEqual([fails(), pacing.delay({ code: 1006, hereMs: 1 }), fails()], [0, 800, 0]);
  assert.deepEqual([moves(), moves(), moves()], [0, 0, 0]);
  assert.equal(pacing.delay({ code: 1012, hereMs: 1 }), 0);
  assert.deepEqual([moves(), moves(), moves(), moves()], [0, 0, 0, 0]);
  assert.deepEqual([moves(), moves()], [250, 0], "two URLs to a wait");
});

test("a place that hears nothing for 25 s reconnects; a beat is something", async () => {
  const { place, server } = await seated();
  await server.clock.advance(24_000);
  server.socket.tell({ t: "beat" });
  await server.clock.advance(24_999);
  assert.equal(place.state, "here");
  await server.clock.advance(1);
  assert.deepEqual([place.state, server.socket.closed], ["away", 1000]);
  await back(server, 400);
  assert.equal(place.state, "here");
});

test("a frame that is not JSON, or a first frame that is not a hello of this version, loses the socket", async () => {
  const { place, server } = await seated();
  server.socket.onmessage({ data: "{" });
  assert.equal(place.state, "away");
  await server.clock.advance(400);
  server.socket.readyState = 1;
  server.socket.tell({ t: "hello", v: 2, node: "later", version: "9" });
  assert.deepEqual([server.socket.closed, server.socket.sent], [1000, []]);
});

test("frames of an unknown type and unknown keys are ignored", async () => {
  const { place, server } = await seated();
  server.socket.tell({ t: "later" }, { t: "__proto__" }, null, 7, { ...msg(1), more: true });
  assert.deepEqual(await read(place, 1), [1]);
});

// The end.

for (const code of [4001, 4002, 4003, 4004, 4005]) {
  test(`${code} is final: the place is lost, and iteration says so after the last message`, async () => {
    const { place, server } = await seated();
    server.socket.tell(msg(1));
    for (let i = 0; i < 65; i += 1) place.say(i).catch(() => {});
    const waiting = place.say("waits");
    waiting.catch(() => {});
    server.socket.end(code, "why");
    const lost = (error) => error instanceof PlaceLost && error.code === code;
    assert.deepEqual(await read(place, 1), [1]);
    await assert.rejects(read(place, 1), lost);
    await assert.rejects(place.closed, lost);
    await assert.rejects(place.say("more"), lost);
    await assert.rejects(waiting, lost);
    assert.ok(lost(place.error));
    await server.clock.advance(60_000);
    assert.deepEqual([server.sockets.length, place.state, place.ended], [1, "over", null]);
    assert.equal(server.clock.timers, 0);
  });
}

test("a final code while joining rejects the join", async () => {
  const server = new FakeServer();
  const opening = connect(URL_1, { kind: "x", ...server.parts });
  server.socket.hello();
  server.socket.end(4001);
  await assert.rejects(opening, (error) => error instanceof PlaceLost && error.code === 4001);
});

test("a reader who waits is woken by the end", async () => {
  const { place, server } = await seated();
  const reading = read(place, 1);
  await settled();
  server.socket.tell({ t: "ended", room: place.room, reason: "cut" });
  assert.deepEqual(await reading, []);
});

test("leaving says so, drops what is unread, and returns with the room's word", async () => {
  const { place, server } = await seated();
  server.socket.tell(msg(1));
  const leaving = place.leave();
  server.socket.tell(msg(2));
  assert.equal(await place.say("crosses"), 0);
  assert.equal(server.socket.of("leave").length, 1);
  server.socket.tell({ t: "ended", room: place.room, reason: "left" });
  await leaving;
  assert.deepEqual([await read(place, 1), place.ended.reason, server.clock.timers], [[], "left", 0]);
  await place.leave();
});

test("leaving while away resumes in order to leave, after what was said before", async () => {
  const { place, server } = await seated();
  place.say("bye");
  server.socket.end();
  const leaving = place.leave();
  await back(server, 400);
  assert.deepEqual(
    server.socket.sent.map(({ t }) => t),
    ["resume", "got", "say", "leave"],
  );
  server.socket.tell({ t: "ended", room: place.room, reason: "left" });
  await leaving;
});

test("who leaves a place that is gone already has left it", async () => {
  const { place, server } = await seated();
  const leaving = place.leave();
  server.socket.end(4004);
  await leaving;
  assert.deepEqual([place.ended.reason, place.error], ["left", null]);
});

test("a place is left though the answer was lost, and nobody knows it any more", async () => {
  const { place, server } = await seated();
  const leaving = place.leave();
  server.socket.end();
  await server.clock.advance(400);
  server.socket.hello("api-2");
  assert.deepEqual(server.socket.sent.map(({ t }) => t), ["resume"]);
  server.socket.end(4004);
  await leaving;
  assert.deepEqual([place.ended.reason, place.error], ["left", null]);
});

test("leaving takes 5 s at the most, with nobody there", async () => {
  const { place, server } = await seated();
  server.onSocket = (socket) => setImmediate(() => socket.end());
  server.socket.end();
  const leaving = place.leave();
  await server.clock.advance(5_000);
  await leaving;
  assert.deepEqual([place.ended.reason, server.clock.timers], ["left", 0]);
});

test("disposing of a place leaves it", async () => {
  const { place, server } = await seated();
  const disposing = place[Symbol.asyncDispose ?? Symbol.for("Symbol.asyncDispose")]();
  server.socket.tell({ t: "ended", room: place.room, reason: "left" });
  await disposing;
  assert.equal(place.state, "over");
});

test("a WebSocket that cannot be made, such as ws:// on an https:// page, fails the join", async () => {
  const server = new FakeServer();
  server.onSocket = () => {
    throw new Error("insecure");
  };
  await assert.rejects(connect(URL_1, { kind: "x", ...server.parts }), ConnectFailed);
  assert.equal(server.clock.timers, 0);
});

// Everything at once.

test("through 200 random losses each input arrives once, and each message is seen once, in order", async () => {
  const room = { had: [], log: [], tickets: 0 };
  let seed = 7;
  const dice = () => (seed = (seed * 48271) % 2147483647) / 2147483647;
  const { place, server } = await seated();
  const seen = [];
  place.onmessage = ({ seq, data }) => seen.push([seq, data]);

  // A room behind a socket that may die before or after any frame.
  function serve(socket) {
    const take = (frame) => {
      if (frame.t === "say" && frame.n === room.had.length + 1) {
        room.had.push(frame.d);
        room.log.push(frame.d);
        if (dice() < 0.8) socket.tell({ t: "ack", n: frame.n });
        if (dice() < 0.8) socket.tell(msg(room.log.length, frame.d));
        else socket.end();
      } else if (frame.t === "resume") {
        const more = { ticket: `t${++room.tickets}`, seq: frame.seen, n: room.had.length };
        socket.tell(resumed(more));
        room.log.slice(frame.seen).forEach((d, i) => socket.tell(msg(frame.seen + i + 1, d)));
      }
    };
    socket.send = (text) => {
      const frame = JSON.parse(text);
      if (dice() < 0.05) queueMicrotask(() => socket.end()); // lost on its way
      else queueMicrotask(() => socket.readyState === 1 && take(frame));
    };
  }

  server.onSocket = (socket) => {
    serve(socket);
    queueMicrotask(() => (dice() < 0.2 ? socket.end() : socket.hello()));
  };
  serve(server.socket);
  for (let i = 1; i <= 1_000; i += 1) {
    place.say(i);
    if (i % 7 === 0) await server.clock.advance(2_000);
  }
  await server.clock.advance(600_000);
  const all = Array.from({ length: 1_000 }, (_, i) => i + 1);
  assert.deepEqual(room.had, all);
  assert.deepEqual(seen, all.map((i) => [i, i]));
  assert.ok(place.resumes > 200, `${place.resumes} resumes`);
});
