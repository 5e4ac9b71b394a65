import assert from "node:assert/strict";
import { test } from "node:test";

import * as lastcall from "../../../api/static/lastcall.js";
import { FakeServer, joined, msg, resumed, settled } from "./fakes.mjs";

const { connect, internals, JoinRefused, ConnectFailed, PlaceLost } = lastcall;
const URL_1 = "ws://one/";
const URL_2 = "ws://two/";

/** Returns a place that is here, and its server. */
async function seated({ urls = URL_1, frame = {}, ...options } = {}) {
  const server = new FakeServer();
  const opening = connect(urls, { kind: "lounge", key: "k", ...server.fakes, ...options });
  server.socket.hello();
  server.socket.deliver(joined(frame));
  const place = await opening;
  await server.clock.advance(0);
  return { place, server };
}

/** Resumes the place on the next socket, after `ms`. */
async function resume(server, ms, more = {}) {
  await server.clock.advance(ms);
  server.socket.hello("api-2");
  server.socket.deliver(resumed(more));
  await settled();
}

async function read(place, count) {
  const messages = [];
  for await (const message of place) if (messages.push(message) === count) break;
  return messages.map(({ seq }) => seq);
}

function recordEvents(place, ...types) {
  const heard = [];
  for (const type of types) {
    place.addEventListener(type, (event) => heard.push({ ...event, type, isTrusted: undefined }));
  }
  return heard;
}

// Joining.

test("connect offers the subprotocol, waits for hello, and sends a join with a key of 128 bits", async () => {
  const server = new FakeServer();
  const opening = connect(URL_1, { kind: "lounge", name: "Ada", options: { a: 1 }, ...server.fakes });
  assert.deepEqual(server.socket.protocols, ["lastcall.v1", "lastcall.refuse-by-close"]);
  assert.deepEqual(server.socket.sent, []);
  server.socket.hello();
  const [{ key, ...join }] = server.socket.sent;
  assert.deepEqual(join, { t: "join", kind: "lounge", name: "Ada", options: { a: 1 } });
  assert.match(key, /^[0-9a-f]{32}$/);
  server.socket.deliver(joined({ seq: 4 }));
  const place = await opening;
  assert.deepEqual(server.socket.sentOfType("got"), [{ t: "got", seq: 4, room: "game-1.r" }]);
  assert.deepEqual(
    [place.state, place.room, place.kind, place.you, place.seq, place.node, place.players],
    ["here", "game-1.r", "lounge", "p1", 4, "api-1", [{ id: "p1", name: "Ada" }]],
  );
});

test("a join asks for a new room, or for a room by its id", async () => {
  for (const [options, asked] of [
    [{ kind: "x", new: true }, { kind: "x", new: true }],
    [{ kind: "x", isNew: true }, { kind: "x", new: true }],
    [{ kind: "x", private: true }, { kind: "x", new: true, private: true }],
    [{ kind: "x", isPrivate: true }, { kind: "x", new: true, private: true }],
    [{ room: "game-1.r" }, { room: "game-1.r" }],
  ]) {
    const server = new FakeServer();
    connect(URL_1, { key: "k", ...options, ...server.fakes });
    server.socket.hello();
    assert.deepEqual(server.socket.sent, [{ t: "join", key: "k", ...asked }]);
  }
});

test("invalid arguments are refused at once, and open no socket", async () => {
  const server = new FakeServer();
  for (const [urls, options] of [
    [[], { kind: "x" }],
    ["https://example.org/", { kind: "x" }],
    ["nonsense", { kind: "x" }],
    [URL_1, {}],
  ]) {
    await assert.rejects(connect(urls, { ...server.fakes, ...options }), TypeError);
  }
  assert.equal(server.sockets.length, 0);
});

test("the next URL is tried when one does not answer within connectTimeout", async () => {
  const server = new FakeServer();
  connect([URL_1, URL_2], { kind: "x", connectTimeout: 700, ...server.fakes });
  await server.clock.advance(699);
  assert.deepEqual(server.urls, [URL_1]);
  await server.clock.advance(1);
  assert.deepEqual(server.urls, [URL_1, URL_2]);
  assert.equal(server.sockets[0].closed, 1000);
});

test("the next URL is tried when a handshake fails with an `error` event only", async () => {
  const server = new FakeServer();
  connect([URL_1, URL_2], { kind: "x", ...server.fakes });
  server.socket.onerror({});
  await server.clock.advance(0);
  assert.deepEqual(server.urls, [URL_1, URL_2]);
});

test("a join without an answer is sent again with the same key after a reconnect", async () => {
  const server = new FakeServer();
  connect([URL_1, URL_2], { kind: "x", ...server.fakes });
  server.socket.hello();
  server.socket.drop();
  await server.clock.advance(0);
  server.socket.hello();
  const [one, two] = server.sockets.map((socket) => socket.sentOfType("join")[0]);
  assert.deepEqual(one, two);
});

test("the next URL is tried when a join gets no answer for 8 s, although beats arrive", async () => {
  const server = new FakeServer();
  connect([URL_1, URL_2], { kind: "x", ...server.fakes });
  server.socket.hello();
  await server.clock.advance(7_999);
  server.socket.deliver({ t: "beat" });
  assert.equal(server.sockets.length, 1);
  await server.clock.advance(1);
  assert.equal(server.sockets.length, 2);
});

test("a refused join rejects with its code", async () => {
  const server = new FakeServer();
  const opening = connect(URL_1, { kind: "x", ...server.fakes });
  server.socket.hello();
  server.socket.deliver({ t: "error", code: "no_such_kind", message: "no x", retry: false });
  await assert.rejects(opening, (error) => {
    assert.ok(error instanceof JoinRefused && error instanceof lastcall.LastcallError);
    assert.deepEqual([error.code, error.retry, error.name], ["no_such_kind", false, "JoinRefused"]);
    return true;
  });
  assert.equal(server.socket.closed, 1000);
  assert.equal(server.clock.timers, 0);
});

test("a join refused with retry is sent again on the same socket until joinTimeout", async () => {
  const server = new FakeServer();
  const opening = connect(URL_1, { kind: "x", joinTimeout: 2_000, ...server.fakes });
  opening.catch(() => {});
  const refuse = () =>
    server.socket.deliver({ t: "error", code: "no_game_node", message: "none", retry: true });
  server.socket.hello();
  refuse();
  for (const [ms, joins] of [[124, 1], [1, 2]]) {
    await server.clock.advance(ms);
    assert.equal(server.socket.sentOfType("join").length, joins); // half of 250 ms
  }
  refuse();
  for (const [ms, joins] of [[249, 2], [1, 3]]) {
    await server.clock.advance(ms);
    assert.equal(server.socket.sentOfType("join").length, joins); // half of 500 ms
  }
  refuse();
  await server.clock.advance(2_000 - 375);
  await assert.rejects(opening, (error) => error.code === "no_game_node" && error.retry);
  assert.equal(server.sockets.length, 1);
});

test("when no server answers, connect tries all URLs, backs off, and fails at joinTimeout", async () => {
  const server = new FakeServer();
  server.onSocket = (socket) => setImmediate(() => socket.drop());
  const opening = connect([URL_1, URL_2], { kind: "x", joinTimeout: 1_000, ...server.fakes });
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

test("a signal that is aborted during the join gives the seat up, and rejects with its reason", async () => {
  const server = new FakeServer();
  const abort = new AbortController();
  const opening = connect(URL_1, { kind: "x", signal: abort.signal, ...server.fakes });
  server.socket.hello();
  abort.abort(new Error("enough"));
  await assert.rejects(opening, /enough/);
  assert.deepEqual(server.socket.sent.map(({ t }) => t), ["join", "leave"]);
  assert.equal(server.socket.closed, 1000);
  assert.equal(server.clock.timers, 0);
});

test("a signal that is aborted after the join leaves the place", async () => {
  const abort = new AbortController();
  const { place, server } = await seated({ signal: abort.signal });
  abort.abort();
  assert.equal(server.socket.sentOfType("leave").length, 1);
  server.socket.deliver({ t: "ended", room: place.room, reason: "left" });
  assert.deepEqual(await place.closed, { reason: "left", result: undefined });
});

// Messages: each is read once.

test("messages are read in order; repeats are dropped and counted, holes are counted", async () => {
  const { place, server } = await seated();
  server.socket.deliver(msg(1), msg(2), msg(2), msg(1), msg(5));
  assert.deepEqual(await read(place, 3), [1, 2, 5]);
  assert.deepEqual([place.seq, place.repeats, place.holes], [5, 2, 2]);
});

test("messages that arrive together with joined wait until the program listens", async () => {
  const server = new FakeServer();
  const opening = connect(URL_1, { kind: "x", ...server.fakes });
  server.socket.hello();
  const ended = { t: "ended", room: "game-1.r", reason: "finished", result: 7 };
  server.socket.deliver(joined(), msg(1), { t: "draining", tier: "game", seconds: 9 }, msg(2), ended);
  const place = await opening;
  const heard = recordEvents(place, "message", "draining", "ended", "state");
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

test("messages go to a listener, and iterating then raises a TypeError", async () => {
  const { place, server } = await seated();
  server.socket.deliver(msg(1));
  const heard = [];
  place.onmessage = ({ seq, data }) => heard.push([seq, data]);
  await settled();
  server.socket.deliver(msg(2, "two"));
  assert.deepEqual(heard, [[1, 1], [2, "two"]]);
  await assert.rejects(read(place, 1), TypeError);
  assert.equal(typeof place.onmessage, "function");
  assert.equal(place.onended, null);
});

test("`got` is sent after joined, after 32 messages, and 1 s after the last messages", async () => {
  const { place, server } = await seated();
  const gots = () => server.socket.sentOfType("got").map(({ seq }) => seq);
  for (let seq = 1; seq <= 31; seq += 1) server.socket.deliver(msg(seq));
  assert.deepEqual(gots(), [0]);
  server.socket.deliver(msg(32));
  assert.deepEqual(gots(), [0, 32]);
  server.socket.deliver(msg(33));
  await server.clock.advance(999);
  assert.deepEqual(gots(), [0, 32]);
  await server.clock.advance(1);
  assert.deepEqual(gots(), [0, 32, 33]);
  await server.clock.advance(20_000);
  assert.deepEqual(gots(), [0, 32, 33]);
  assert.equal(place.seq, 33);
});

test("with 1 024 unread messages the socket is closed, and the place resumes at 512", async () => {
  const { place, server } = await seated();
  for (let seq = 1; seq <= 1_030; seq += 1) server.socket.deliver(msg(seq));
  assert.deepEqual([place.seq, place.state, server.socket.closed], [1_024, "away", 1000]);
  await server.clock.advance(60_000);
  await read(place, 511);
  assert.equal(server.sockets.length, 1);
  await read(place, 1);
  assert.equal(server.sockets.length, 2);
  server.socket.hello();
  assert.deepEqual(server.socket.sent, [{ t: "resume", ticket: "t0", seen: 1_024 }]);
  server.socket.deliver(resumed({ seq: 1_024 }), msg(1_025));
  assert.deepEqual((await read(place, 513)).at(-1), 1_025);
});

// Inputs: each is sent once.

test("inputs are numbered, and at most 64 of them are unacknowledged", async () => {
  const { place, server } = await seated();
  const accepted = [];
  for (let i = 1; i <= 66; i += 1) place.say({ i }).then((n) => accepted.push(n));
  await settled();
  assert.deepEqual([accepted.length, place.unacked], [64, 64]);
  assert.deepEqual(server.socket.sentOfType("say").at(-1), { t: "say", n: 64, d: { i: 64 } });
  server.socket.deliver({ t: "ack", n: 1 });
  await settled();
  assert.deepEqual([accepted.at(-1), place.unacked], [65, 64]);
  server.socket.deliver({ t: "ack", n: 65 });
  await settled();
  assert.deepEqual([accepted.at(-1), place.unacked], [66, 1]);
  assert.deepEqual(
    server.socket.sentOfType("say").map(({ n }) => n),
    Array.from({ length: 66 }, (_, i) => i + 1),
  );
});

test("an input is a copy: a later change of the value is not sent", async () => {
  const { place, server } = await seated();
  const value = { cell: 1 };
  place.say(value);
  value.cell = 2;
  server.socket.drop();
  await resume(server, 400);
  assert.deepEqual(server.socket.sentOfType("say"), [{ t: "say", n: 1, d: { cell: 1 } }]);
});

test("a value that JSON cannot express or that is too big is refused, and uses no number", async () => {
  const { place, server } = await seated();
  await assert.rejects(place.say(undefined), TypeError);
  await assert.rejects(place.say("ä".repeat(32 * 1024)), lastcall.MessageTooBig);
  assert.equal(await place.say("ok"), 1);
  assert.equal(await place.say("x".repeat(64 * 1024 - 66)), 2);
  assert.equal(server.socket.sentOfType("say").length, 2);
});

test("at most 1 024 calls of say may wait for acknowledgements", async () => {
  const { place } = await seated();
  const all = Array.from({ length: 64 + 1_024 + 1 }, () => place.say(1));
  await assert.rejects(all.at(-1), lastcall.TooManyWaiting);
});

test("a refused input is counted and reported by an event", async () => {
  const { place, server } = await seated();
  const heard = recordEvents(place, "error");
  server.socket.deliver({ t: "error", code: "bad_input", message: "no cell", retry: false, n: 3 });
  assert.equal(place.refused, 1);
  assert.deepEqual([heard[0].n, heard[0].code, heard[0].message], [3, "bad_input", "no cell"]);
});

// Resumes.

test("after a loss the place resumes, sends missing inputs again, and gets missed messages", async () => {
  const { place, server } = await seated({ urls: [URL_1, URL_2] });
  for (const word of "abc") place.say(word);
  server.socket.deliver(msg(1), msg(2), { t: "ack", n: 1 });
  server.socket.drop();
  assert.equal(place.state, "away");
  place.say("d"); // while away
  await resume(server, 400, { seq: 2, n: 2 });
  assert.equal(server.socket.url, URL_2);
  assert.deepEqual(server.socket.sent, [
    { t: "resume", ticket: "t0", seen: 2 },
    { t: "got", seq: 2, room: "game-1.r" },
    { t: "say", n: 3, d: "c" },
    { t: "say", n: 4, d: "d" },
  ]);
  server.socket.deliver(msg(2), msg(3));
  assert.deepEqual(await read(place, 3), [1, 2, 3]);
  assert.deepEqual(
    [place.state, place.node, place.resumes, place.repeats, place.unacked],
    ["here", "api-2", 1, 1, 2],
  );
  server.socket.drop();
  await server.clock.advance(400);
  server.socket.hello();
  assert.deepEqual(server.socket.sent[0], { t: "resume", ticket: "t1", seen: 3 });
});

test("a resume whose answer is lost is sent again with the same ticket", async () => {
  const { server } = await seated();
  server.socket.drop();
  await server.clock.advance(400);
  server.socket.hello();
  server.socket.drop();
  await server.clock.advance(125);
  server.socket.hello();
  assert.deepEqual(server.socket.sent, [{ t: "resume", ticket: "t0", seen: 0 }]);
});

test("when the history is too short, the place gets a picture, and goes on from its number", async () => {
  const { place, server } = await seated();
  const heard = recordEvents(place, "picture");
  server.socket.deliver(msg(1));
  server.socket.drop();
  await resume(server, 400, { seq: 40, complete: false, state: { board: "X" } });
  server.socket.deliver(msg(40), msg(41));
  assert.deepEqual(await read(place, 2), [1, 41]);
  assert.equal(place.incomplete, 1);
  assert.deepEqual([heard[0].seq, heard[0].state], [40, { board: "X" }]);
});

test("a seat that the key had already comes with a picture when messages are forgotten", async () => {
  const server = new FakeServer();
  const opening = connect(URL_1, { kind: "lounge", key: "k", ...server.fakes });
  server.socket.hello();
  server.socket.deliver(joined({ seq: 40, complete: false, state: { board: "X" } }), msg(41));
  const place = await opening;
  const heard = recordEvents(place, "picture");
  await server.clock.advance(0);
  assert.deepEqual([heard[0].seq, heard[0].state, place.incomplete], [40, { board: "X" }, 1]);
  assert.deepEqual(await read(place, 1), [41]);
});

test("a place learns after a resume that its room has ended, after the last messages", async () => {
  const { place, server } = await seated();
  server.socket.drop();
  await resume(server, 400);
  const result = { winner: "p1" };
  server.socket.deliver(msg(1), { t: "ended", room: place.room, reason: "finished", result });
  assert.deepEqual(await read(place, 9), [1]);
  assert.deepEqual(place.ended, { reason: "finished", result });
  assert.deepEqual(await place.closed, place.ended);
  assert.deepEqual([place.state, server.socket.closed, server.clock.timers], ["over", 1000, 0]);
  assert.equal(await place.say("too late"), 0);
});

test("a second joined starts anew: inputs count from 1, and those of the old room are dropped", async () => {
  const { place, server } = await seated();
  const heard = recordEvents(place, "regrouped");
  server.socket.deliver(msg(1), msg(2));
  const many = Array.from({ length: 65 }, (_, i) => place.say(i));
  server.socket.deliver(joined({ room: "game-2.q", you: "p9", ticket: "q0", seq: 0 }));
  assert.equal(await many[64], 1);
  assert.deepEqual(server.socket.sent.at(-2), { t: "got", seq: 0, room: "game-2.q" });
  assert.deepEqual(server.socket.sent.at(-1), { t: "say", n: 1, d: 64 });
  server.socket.deliver(msg(1, "of the new room"));
  const { value } = await place[Symbol.asyncIterator]().next();
  assert.deepEqual(value, { seq: 1, data: "of the new room" });
  assert.deepEqual([place.you, place.regroups, place.repeats, place.unacked], ["p9", 1, 0, 1]);
  assert.equal(heard[0].room, "game-2.q");
  server.socket.deliver({ t: "ended", room: "game-1.r", reason: "cut" });
  assert.equal(place.state, "here");
});

test("a joined in answer to a resume starts anew, as a second joined does", async () => {
  const { place, server } = await seated();
  const heard = recordEvents(place, "regrouped");
  server.socket.deliver(msg(1));
  await place.say("to the old room");
  server.socket.drop();
  await server.clock.advance(400);
  server.socket.hello("api-2");
  assert.deepEqual(server.socket.sent, [{ t: "resume", ticket: "t0", seen: 1 }]);
  server.socket.deliver(joined({ room: "game-2.q", you: "p9", ticket: "q0", seq: 4 }));
  assert.equal(await place.say("to the new room"), 1);
  assert.deepEqual(server.socket.sent.slice(1), [
    { t: "got", seq: 4, room: "game-2.q" },
    { t: "say", n: 1, d: "to the new room" },
  ]);
  server.socket.deliver(msg(5, "of the new room"));
  const { value } = await place[Symbol.asyncIterator]().next();
  assert.deepEqual(value, { seq: 5, data: "of the new room" });
  assert.deepEqual([place.state, place.you, place.regroups], ["here", "p9", 1]);
  assert.equal(heard[0].room, "game-2.q");
  await server.clock.advance(3_000);
  server.socket.drop();
  await server.clock.advance(400);
  server.socket.hello("api-2");
  assert.deepEqual(server.socket.sent, [{ t: "resume", ticket: "q0", seen: 5 }]);
});

test("after an error in answer to a resume, the resume is sent again with back-off", async () => {
  const { place, server } = await seated();
  server.socket.drop();
  await server.clock.advance(400);
  server.socket.hello();
  server.socket.deliver({ t: "error", code: "too_many", message: "slowly", retry: true });
  await server.clock.advance(124);
  assert.deepEqual([server.sockets.length, place.state], [2, "away"]);
  await resume(server, 1);
  assert.deepEqual([server.sockets.length, place.state], [3, "here"]);
});

// When the client reconnects.

test("the client waits up to 0.8 s after an unannounced loss, and not at all after a move", async () => {
  for (const [lose, ms] of [
    [(socket) => socket.drop(1006), 400],
    [(socket) => socket.drop(1001), 400],
    [(socket) => socket.drop(1012), 0],
    [(socket) => (socket.deliver({ t: "move", after: 2 }), socket.drop(1006)), 0],
    [(socket) => socket.drop(1013), 125],
    [(socket) => socket.drop(4100), 125],
    [(socket) => socket.drop(4101), 125],
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
  assert.equal(pacing.delay({ code: 4100, hereMs: 5_000 }), 250, "the back-off starts again after 5 s here");
});

test("a client that is always moved reconnects at once three times, and then backs off", () => {
  const pacing = new internals.Pacing(1, () => 1);
  const delays = Array.from({ length: 5 }, () => pacing.delay({ code: 1012, hereMs: null }));
  assert.deepEqual(delays, [0, 0, 0, 250, 500]);
});

test("once a place was here, the back-off starts again, for URLs and for moves", () => {
  const pacing = new internals.Pacing(2, () => 1);
  const fails = () => pacing.delay({ code: 1006, hereMs: null });
  const moves = () => pacing.delay({ code: 1012, hereMs: null });
  assert.deepEqual([fails(), pacing.delay({ code: 1006, hereMs: 1 }), fails()], [0, 800, 0]);
  assert.deepEqual([moves(), moves(), moves()], [0, 0, 0]);
  assert.equal(pacing.delay({ code: 1012, hereMs: 1 }), 0);
  assert.deepEqual([moves(), moves(), moves(), moves()], [0, 0, 0, 0]);
  assert.deepEqual([moves(), moves()], [250, 0], "one wait for each round of two URLs");
});

test("a place reconnects after 25 s without a frame; a beat is a frame", async () => {
  const { place, server } = await seated();
  await server.clock.advance(24_000);
  server.socket.deliver({ t: "beat" });
  await server.clock.advance(24_999);
  assert.equal(place.state, "here");
  await server.clock.advance(1);
  assert.deepEqual([place.state, server.socket.closed], ["away", 1000]);
  await resume(server, 400);
  assert.equal(place.state, "here");
});

test("a frame that is not JSON, or a hello with another version, closes the socket", async () => {
  const { place, server } = await seated();
  server.socket.onmessage({ data: "{" });
  assert.equal(place.state, "away");
  await server.clock.advance(400);
  server.socket.readyState = 1;
  server.socket.deliver({ t: "hello", v: 2, node: "later", version: "9" });
  assert.deepEqual([server.socket.closed, server.socket.sent], [1000, []]);
});

test("frames of an unknown type and unknown keys are ignored", async () => {
  const { place, server } = await seated();
  server.socket.deliver({ t: "later" }, { t: "__proto__" }, null, 7, { ...msg(1), more: true });
  assert.deepEqual(await read(place, 1), [1]);
});

// How a place ends.

for (const code of [4001, 4002, 4003, 4004, 4005]) {
  test(`close code ${code} is final: iterating raises PlaceLost after the last message`, async () => {
    const { place, server } = await seated();
    server.socket.deliver(msg(1));
    for (let i = 0; i < 65; i += 1) place.say(i).catch(() => {});
    const waiting = place.say("waits");
    waiting.catch(() => {});
    server.socket.drop(code, "why");
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

test("a final close code during the join rejects it", async () => {
  const server = new FakeServer();
  const opening = connect(URL_1, { kind: "x", ...server.fakes });
  server.socket.hello();
  server.socket.drop(4001);
  await assert.rejects(opening, (error) => error instanceof PlaceLost && error.code === 4001);
});

test("a waiting reader is woken by the end", async () => {
  const { place, server } = await seated();
  const reading = read(place, 1);
  await settled();
  server.socket.deliver({ t: "ended", room: place.room, reason: "cut" });
  assert.deepEqual(await reading, []);
});

test("leave sends a frame, drops unread messages, and returns when the place has ended", async () => {
  const { place, server } = await seated();
  server.socket.deliver(msg(1));
  const leaving = place.leave();
  server.socket.deliver(msg(2));
  assert.equal(await place.say("crosses"), 0);
  assert.equal(server.socket.sentOfType("leave").length, 1);
  server.socket.deliver({ t: "ended", room: place.room, reason: "left" });
  await leaving;
  assert.deepEqual([await read(place, 1), place.ended.reason, server.clock.timers], [[], "left", 0]);
  await place.leave();
});

test("a leave while away resumes, sends the pending inputs, and then leaves", async () => {
  const { place, server } = await seated();
  place.say("bye");
  server.socket.drop();
  const leaving = place.leave();
  await resume(server, 400);
  assert.deepEqual(
    server.socket.sent.map(({ t }) => t),
    ["resume", "got", "say", "leave"],
  );
  server.socket.deliver({ t: "ended", room: place.room, reason: "left" });
  await leaving;
});

test("a leave succeeds when the place no longer exists", async () => {
  const { place, server } = await seated();
  const leaving = place.leave();
  server.socket.drop(4004);
  await leaving;
  assert.deepEqual([place.ended.reason, place.error], ["left", null]);
});

test("a leave succeeds when its answer was lost and the place no longer exists", async () => {
  const { place, server } = await seated();
  const leaving = place.leave();
  server.socket.drop();
  await server.clock.advance(400);
  server.socket.hello("api-2");
  assert.deepEqual(server.socket.sent.map(({ t }) => t), ["resume"]);
  server.socket.drop(4004);
  await leaving;
  assert.deepEqual([place.ended.reason, place.error], ["left", null]);
});

test("a leave takes at most 5 s when no server answers", async () => {
  const { place, server } = await seated();
  server.onSocket = (socket) => setImmediate(() => socket.drop());
  server.socket.drop();
  const leaving = place.leave();
  await server.clock.advance(5_000);
  await leaving;
  assert.deepEqual([place.ended.reason, server.clock.timers], ["left", 0]);
});

test("disposing of a place leaves it", async () => {
  const { place, server } = await seated();
  const disposing = place[Symbol.asyncDispose ?? Symbol.for("Symbol.asyncDispose")]();
  server.socket.deliver({ t: "ended", room: place.room, reason: "left" });
  await disposing;
  assert.equal(place.state, "over");
});

test("a WebSocket whose constructor throws, such as ws:// on an https:// page, fails the join", async () => {
  const server = new FakeServer();
  server.onSocket = () => {
    throw new Error("insecure");
  };
  await assert.rejects(connect(URL_1, { kind: "x", ...server.fakes }), ConnectFailed);
  assert.equal(server.clock.timers, 0);
});

// All of it, with random losses.

test("over 200 random losses each input and each message arrives exactly once, in order", async () => {
  const room = { accepted: [], history: [], tickets: 0 };
  let seed = 7;
  const random = () => (seed = (seed * 48271) % 2147483647) / 2147483647;
  const { place, server } = await seated();
  const seen = [];
  place.onmessage = ({ seq, data }) => seen.push([seq, data]);

  // Serves a room on a socket that may be lost before or after any frame.
  function serve(socket) {
    const handle = (frame) => {
      if (frame.t === "say" && frame.n === room.accepted.length + 1) {
        room.accepted.push(frame.d);
        room.history.push(frame.d);
        if (random() < 0.8) socket.deliver({ t: "ack", n: frame.n });
        if (random() < 0.8) socket.deliver(msg(room.history.length, frame.d));
        else socket.drop();
      } else if (frame.t === "resume") {
        const more = { ticket: `t${++room.tickets}`, seq: frame.seen, n: room.accepted.length };
        socket.deliver(resumed(more));
        room.history.slice(frame.seen).forEach((d, i) => socket.deliver(msg(frame.seen + i + 1, d)));
      }
    };
    socket.send = (text) => {
      const frame = JSON.parse(text);
      if (random() < 0.05) queueMicrotask(() => socket.drop()); // the frame is lost
      else queueMicrotask(() => socket.readyState === 1 && handle(frame));
    };
  }

  server.onSocket = (socket) => {
    serve(socket);
    queueMicrotask(() => (random() < 0.2 ? socket.drop() : socket.hello()));
  };
  serve(server.socket);
  for (let i = 1; i <= 1_000; i += 1) {
    place.say(i);
    if (i % 7 === 0) await server.clock.advance(2_000);
  }
  await server.clock.advance(600_000);
  const all = Array.from({ length: 1_000 }, (_, i) => i + 1);
  assert.deepEqual(room.accepted, all);
  assert.deepEqual(seen, all.map((i) => [i, i]));
  assert.ok(place.resumes > 200, `${place.resumes} resumes`);
});
