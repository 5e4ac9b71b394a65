import assert from "node:assert/strict";
import { test } from "node:test";
import { inspect } from "node:util";

import { AuthRefused, connect, PlaceLost } from "../../../api/static/lastcall.js";
import { FakeServer, joined, resumed, settled } from "./fakes.mjs";

const URLS = ["ws://one/", "ws://two/"];
const KIND = { kind: "lounge", key: "k" };

/** A token function that returns one answer after the other; an Error is thrown. */
function issuer(...answers) {
  const ask = () => {
    ask.asked += 1;
    const answer = answers.length ? answers.shift() : `T${ask.asked}`;
    if (answer instanceof Error) throw answer;
    return answer;
  };
  ask.asked = 0;
  return ask;
}

const tokens = (server) =>
  server.sockets.map(({ protocols }) => protocols.find((one) => one.startsWith("bearer."))?.slice(7));

/** Returns a place that is here, and its server. */
async function seated(options) {
  const server = new FakeServer();
  const opening = connect(URLS, { ...KIND, ...server.fakes, ...options });
  await settled();
  answer(server, joined());
  const place = await opening;
  await server.clock.advance(0);
  return { place, server, clock: server.clock };
}

function answer(server, frame) {
  server.socket.hello();
  server.socket.deliver(frame);
}

/** Replaces console.warn until the test ends; returns what was written. */
function warnings(test) {
  const written = [];
  const { warn } = console;
  console.warn = (...parts) => written.push(parts);
  test.after(() => (console.warn = warn));
  return written;
}

// The token of each connect.

test("a token goes between the protocols of each socket", async () => {
  const { server, clock } = await seated({ token: "eyJh.eyJz.c2ln-_" });
  server.socket.drop();
  await clock.advance(400);
  const protocols = ["lastcall.v1", "bearer.eyJh.eyJz.c2ln-_", "lastcall.refuse-by-close"];
  assert.deepEqual(server.sockets.map((socket) => socket.protocols), [protocols, protocols]);
});

test("without a token, or with null, the client is anonymous", async () => {
  for (const token of [undefined, null]) {
    const { server } = await seated({ token });
    assert.deepEqual(server.socket.protocols, ["lastcall.v1", "lastcall.refuse-by-close"]);
  }
});

for (const [name, promise] of [["a text", (text) => text], ["a promise", (text) => Promise.resolve(text)]]) {
  test(`a function that returns ${name} is asked anew for each socket`, async () => {
    const { server, clock } = await seated({ token: issuer(promise("a"), promise("b"), promise("c")) });
    server.socket.drop();
    await clock.advance(400);
    server.socket.drop();
    await clock.advance(0);
    assert.deepEqual([tokens(server), server.urls], [["a", "b", "c"], ["ws://one/", "ws://two/", "ws://one/"]]);
  });
}

test("at a move the client asks for a new token and resumes at once", async () => {
  const { place, server, clock } = await seated({ token: issuer() });
  place.say("hello");
  server.socket.deliver({ t: "move", after: 1 });
  await clock.advance(1_000);
  server.socket.drop(1012);
  await clock.advance(0);
  answer(server, resumed());
  assert.deepEqual([tokens(server), place.state, clock.ms], [["T1", "T2"], "here", 1_000]);
  const [resume, , say] = server.socket.sent;
  assert.deepEqual(resume, { t: "resume", ticket: "t0", seen: 0 });
  assert.deepEqual(say, { t: "say", n: 1, d: "hello" });
});

test("a text that no list of subprotocols can have is refused, and not shown", async () => {
  const server = new FakeServer();
  for (const token of ["", "a b", "a,b", "a/b=", "schlüssel", "a\r\nb", 7, {}]) {
    for (const source of [token, () => token]) {
      const opening = connect(URLS, { ...KIND, ...server.fakes, token: source });
      await assert.rejects(opening, {
        name: "TypeError",
        message: "a token is a text of letters, digits and !#$%&'*+-.^_`|~, as in base64url",
      });
    }
  }
  await assert.rejects(connect(URLS, { ...KIND, ...server.fakes, token: () => null }), TypeError);
  assert.deepEqual([server.sockets.length, server.clock.timers], [0, 0]);
});

// Refusals, which are final.

test("a first connect that is closed with 4001 is refused at once, and the function not asked again", async () => {
  for (const greets of [false, true]) {
    const server = new FakeServer();
    const token = issuer();
    const opening = connect(URLS, { ...KIND, ...server.fakes, token });
    await settled();
    if (greets) server.socket.hello();
    server.socket.drop(4001, "expired");
    await assert.rejects(opening, (error) => {
      assert.ok(error instanceof AuthRefused && error instanceof PlaceLost);
      assert.equal(`${error}`, "AuthRefused: the server refuses this client (4001, expired)");
      return error.code === 4001;
    });
    assert.deepEqual([server.sockets.length, token.asked, server.clock.timers], [1, 1, 0]);
  }
});

test("a place whose socket is closed with 4001 is lost", async () => {
  const { place, server } = await seated({ token: issuer() });
  server.socket.drop(4001, "banned");
  await assert.rejects(place.closed, AuthRefused);
  assert.deepEqual([place.state, server.sockets.length], ["over", 1]);
});

test("a text that is refused on the way back is final", async () => {
  const { place, server, clock } = await seated({ token: "T" });
  server.socket.drop();
  await clock.advance(400);
  server.socket.drop(4001);
  await assert.rejects(place.closed, AuthRefused);
  assert.deepEqual(tokens(server), ["T", "T"]);
});

test("a function is asked once more on the way back, and another token may pass", async () => {
  const { place, server, clock } = await seated({ token: issuer() });
  for (let absence = 0; absence < 2; absence += 1) {
    server.socket.drop();
    await clock.advance(400);
    server.socket.drop(4001);
    await settled();
    answer(server, resumed());
    assert.equal(place.state, "here");
    await clock.advance(10_000);
  }
  assert.deepEqual(tokens(server), ["T1", "T2", "T3", "T4", "T5"]);
});

test("a token that was refused is not sent again, nor is a third one in the same absence", async () => {
  for (const [answers, sent] of [[["T1", "old", "old", "new"], ["T1", "old"]], [[], ["T1", "T2", "T3"]]]) {
    const { place, server, clock } = await seated({ token: issuer(...answers) });
    server.socket.drop();
    await clock.advance(400);
    for (let attempt = 1; attempt < sent.length; attempt += 1) {
      server.socket.drop(4001);
      await settled();
    }
    await assert.rejects(place.closed, AuthRefused);
    assert.deepEqual([tokens(server), clock.timers], [sent, 0]);
  }
});

test("a token that was never refused is sent again after a failure", async () => {
  const { place, server, clock } = await seated({ token: issuer("T1", "old", "new", "new") });
  server.socket.drop();
  await clock.advance(400);
  for (const code of [4001, 1006]) {
    server.socket.drop(code);
    await clock.advance(0);
  }
  answer(server, resumed());
  assert.deepEqual([place.state, tokens(server)], ["here", ["T1", "old", "new", "new"]]);
});

test("a busy server (1013, or 503) refuses nobody: the next URL is tried", async () => {
  const server = new FakeServer();
  connect(URLS, { ...KIND, ...server.fakes, token: issuer() });
  await settled();
  server.socket.drop(1013, "full");
  await server.clock.advance(125);
  server.socket.drop(1006); // a 503, of which a browser tells nothing
  await server.clock.advance(0);
  assert.deepEqual([server.urls, tokens(server)], [["ws://one/", "ws://two/", "ws://one/"], ["T1", "T2", "T3"]]);
});

// Functions that fail.

test("an error of the function ends the first connect, and keeps what is stored", async () => {
  const error = new RangeError("nobody is logged in");
  for (const token of [issuer(error), () => Promise.reject(error)]) {
    const server = new FakeServer();
    const stored = JSON.stringify({ ticket: "t", unacked: [] });
    const storage = { getItem: () => stored, setItem: assert.fail, removeItem: assert.fail };
    const opening = connect(URLS, { ...KIND, ...server.fakes, token, storage });
    await assert.rejects(opening, (found) => found === error);
    assert.deepEqual([server.sockets.length, server.clock.timers], [0, 0]);
  }
});

test("an error of the function on the way back is a failed attempt, with a warning and back-off", async (test) => {
  const written = warnings(test);
  const error = new Error("the issuer is down");
  const { place, server, clock } = await seated({ token: issuer("T1", error, error) });
  server.socket.drop();
  await clock.advance(400); // fails at 400; waits for half of 250 and of 500 ms
  await clock.advance(374);
  assert.deepEqual([place.state, server.sockets.length], ["away", 1]);
  await clock.advance(1);
  answer(server, resumed());
  assert.deepEqual([place.state, tokens(server)], ["here", ["T1", "T4"]]);
  assert.deepEqual(written, Array(2).fill(["lastcall: no token:", error]));
});

test("a function that hangs is left after connectTimeout, and what it returns later is not used", async () => {
  let late;
  const hangs = new Promise((resolve) => (late = resolve));
  const { place, server, clock } = await seated({ token: issuer("T1", hangs, "T3") });
  server.socket.drop();
  await clock.advance(400 + 2_999);
  assert.equal(server.sockets.length, 1);
  await clock.advance(1);
  answer(server, resumed());
  late("T2");
  await settled();
  assert.deepEqual([place.state, tokens(server)], ["here", ["T1", "T3"]]);
});

test("a function that always hangs fails the connect after joinTimeout, and says so", async () => {
  const server = new FakeServer();
  const opening = connect(URLS, { ...KIND, ...server.fakes, token: () => new Promise(() => {}) });
  const failed = assert.rejects(opening, /^ConnectFailed: ws:\/\/one\/: 1006 no token within 3 s; /);
  await server.clock.advance(10_000);
  await failed;
  assert.deepEqual([server.sockets.length, server.clock.timers], [0, 0]);
});

test("events of the page do not ask while the function works", async () => {
  const page = Object.assign(new EventTarget(), { document: { hidden: false } });
  const token = issuer("T1", new Promise(() => {}));
  const { server, clock } = await seated({ token, page });
  server.socket.drop();
  await clock.advance(400);
  for (const type of ["online", "pageshow", "visibilitychange"]) page.dispatchEvent(new Event(type));
  assert.equal(token.asked, 2);
  page.dispatchEvent(new Event("pagehide"));
  assert.equal(clock.timers, 0);
});

test("a connect that is aborted while the function works opens no socket", async () => {
  const server = new FakeServer();
  const abort = new AbortController();
  let late;
  const token = () => new Promise((resolve) => (late = resolve));
  const opening = connect(URLS, { ...KIND, ...server.fakes, token, signal: abort.signal });
  abort.abort(new Error("enough"));
  await assert.rejects(opening, /enough/);
  late("T");
  await settled();
  assert.deepEqual([server.sockets.length, server.clock.timers], [0, 0]);
});

// Secrets.

test("no error, no warning and no inspected object shows a token, a key, a ticket or a URL with one", async (test) => {
  const written = warnings(test);
  const seen = [];
  const url = "ws://ann:SECRET@one/play?token=SECRET";
  const options = { kind: "lounge", key: "SECRET", token: "SECRET", joinTimeout: 1_000 };
  const server = new FakeServer();
  const failing = connect(url, { ...options, ...server.fakes }).catch((error) => seen.push(error));
  for (const code of [1006, 1013, 1006]) {
    server.socket.drop(code);
    await server.clock.advance(400);
  }
  await failing;
  const blocked = class {
    constructor() {
      throw new SyntaxError("mixed content");
    }
  };
  await connect(url, { ...options, ...server.fakes, WebSocket: blocked }).catch((error) => seen.push(error));
  await connect("https://ann:SECRET@one/?SECRET", options).catch((error) => seen.push(error));
  const { place, server: other } = await seated({ ...options, token: issuer("SECRET", new Error("down")) });
  other.socket.deliver(joined({ ticket: "SECRET" }));
  seen.push(place);
  other.socket.drop();
  await other.clock.advance(400 + 125);
  other.socket.drop(4004, "no such place");
  await place.closed.catch((error) => seen.push(error));
  assert.equal(seen.length, 5);
  assert.equal(written.length, 1);
  assert.doesNotMatch(inspect([seen, written], { depth: null, showHidden: true }), /SECRET/);
});
