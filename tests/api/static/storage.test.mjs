import assert from "node:assert/strict";
import { test } from "node:test";

import { AuthRefused, connect } from "../../../api/static/lastcall.js";
import { FakeServer, joined, msg, resumed } from "./fakes.mjs";
import { FakePage } from "./page.mjs";

/** Outlives the page, like sessionStorage in a tab. */
class FakeStorage {
  items = new Map();
  getItem = (key) => this.items.get(key) ?? null;
  setItem = (key, text) => this.items.set(key, text);
  removeItem = (key) => this.items.delete(key);
}

class FullStorage extends FakeStorage {
  setItem = (key) => {
    throw new DOMException(`Setting the value of '${key}' exceeded the quota.`, "QuotaExceededError");
  };
}

/** Loads a page, which connects; `answer` is the server's first frame. */
async function load(storage, answer, { page = new FakePage(), ...options } = {}) {
  const server = new FakeServer();
  const opening = connect("ws://one/", { kind: "lounge", storage, page, ...server.fakes, ...options });
  server.socket.hello();
  server.socket.deliver(answer);
  const place = await opening;
  await server.clock.advance(0);
  return { place, server, page };
}

const firstFrame = (server) => server.sockets[0].sent[0];

test("a place survives a reload: its messages come again, and its inputs are sent once", async () => {
  const storage = new FakeStorage();
  const before = await load(storage, joined({ seq: 4 }));
  for (const word of "abc") before.place.say(word);
  before.server.socket.deliver(msg(5), { t: "ack", n: 1 });
  before.page.leave();
  const { place, server } = await load(storage, resumed({ seq: 4, n: 2 }));
  assert.deepEqual(firstFrame(server), { t: "resume", ticket: "t0", seen: 0 });
  assert.deepEqual(server.socket.sentOfType("say"), [{ t: "say", n: 3, d: "c" }]);
  assert.equal(await place.say("d"), 4);
  server.socket.deliver(msg(5), msg(7));
  const { value } = await place[Symbol.asyncIterator]().next();
  assert.deepEqual(
    [value.seq, place.seq, place.holes, place.resumes, place.state],
    [5, 7, 1, 1, "here"],
  );
  for (const property of ["room", "kind", "you", "players"]) {
    assert.deepEqual(place[property], before.place[property], property);
  }
});

test("a page that is reloaded again and again resumes with the newest ticket", async () => {
  const storage = new FakeStorage();
  await load(storage, joined());
  for (let times = 0; times < 3; times += 1) {
    const { server } = await load(storage, resumed({ ticket: `t${times + 1}` }));
    assert.equal(firstFrame(server).ticket, `t${times}`);
  }
});

test("after a reload, a program that listens late gets the picture before the messages", async () => {
  const storage = new FakeStorage();
  await load(storage, joined());
  const server = new FakeServer();
  const opening = connect("ws://one/", { kind: "lounge", storage, ...server.fakes });
  server.socket.hello();
  server.socket.deliver(resumed({ seq: 2_000, complete: false, state: "board" }), msg(2_001));
  const place = await opening;
  const heard = [];
  place.onpicture = ({ state }) => heard.push(state);
  place.onmessage = ({ seq }) => heard.push(seq);
  await server.clock.advance(0);
  assert.deepEqual(heard, ["board", 2_001]);
});

test("a page that crashed sends no input again, and goes on after the last one of the room", async () => {
  const storage = new FakeStorage();
  const { place: before } = await load(storage, joined());
  for (const word of "abc") before.say(word);
  const { place, server } = await load(storage, resumed({ n: 2 }));
  assert.deepEqual(server.socket.sentOfType("say"), []);
  assert.equal(await place.say("d"), 3);
});

test("a page that is hidden is stored with its inputs, since it may be discarded", async () => {
  const storage = new FakeStorage();
  const { place, page } = await load(storage, joined());
  place.say("a");
  page.hide();
  const { server } = await load(storage, resumed());
  assert.deepEqual(server.socket.sentOfType("say"), [{ t: "say", n: 1, d: "a" }]);
});

test("what is said on the way out of a page is stored", async () => {
  const storage = new FakeStorage();
  const { place, page } = await load(storage, joined());
  page.leave();
  place.say("bye");
  const { server } = await load(storage, resumed());
  assert.deepEqual(server.socket.sentOfType("say"), [{ t: "say", n: 1, d: "bye" }]);
});

for (const [name, refuse] of [
  ["its place no longer exists", (socket) => socket.drop(4004)],
  ["its resume is refused", (socket) =>
    socket.deliver({ t: "error", code: "bad_frame", message: "no", retry: false })],
]) {
  test(`a page takes a new seat after a reload if ${name}`, async () => {
    const storage = new FakeStorage();
    await load(storage, joined());
    const server = new FakeServer();
    const opening = connect("ws://one/", { kind: "lounge", storage, ...server.fakes });
    server.socket.hello();
    refuse(server.socket);
    server.socket.hello();
    assert.equal(server.socket.sent[0].t, "join");
    server.socket.deliver(joined({ room: "game-2.q", ticket: "q0" }));
    const place = await opening;
    assert.deepEqual([place.room, place.regroups, place.resumes], ["game-2.q", 0, 0]);
    const { server: next } = await load(storage, resumed({ room: "game-2.q" }));
    assert.equal(firstFrame(next).ticket, "q0");
  });
}

test("a place that is lost after the reload was answered is lost", async () => {
  const storage = new FakeStorage();
  await load(storage, joined());
  const { place, server } = await load(storage, resumed());
  server.socket.drop(4004);
  assert.deepEqual([place.state, place.error.code, server.sockets.length], ["over", 4004, 1]);
});

const ended = { t: "ended", room: "game-1.r", reason: "finished" };
for (const [name, end] of [
  ["it ended", ({ server }) => server.socket.deliver(ended)],
  ["it was lost", ({ server }) => server.socket.drop(4005)],
  ["the player left", ({ place }) => void place.leave()],
]) {
  test(`a page joins after a reload if its place is over: ${name}`, async () => {
    const storage = new FakeStorage();
    const before = await load(storage, joined());
    end(before);
    before.page.leave();
    assert.equal(storage.items.size, 0);
    assert.equal(firstFrame((await load(storage, joined())).server).t, "join");
  });
}

test("a signal that is aborted while a reloaded page resumes gives the seat up for good", async () => {
  const storage = new FakeStorage();
  await load(storage, joined());
  const server = new FakeServer();
  const abort = new AbortController();
  const { signal } = abort;
  const opening = connect("ws://one/", { kind: "lounge", storage, signal, ...server.fakes });
  server.socket.hello();
  abort.abort(new Error("enough"));
  await assert.rejects(opening, /enough/);
  assert.equal(storage.items.size, 0);
});

test("a place is kept while no server can be reached, for the next reload", async () => {
  const storage = new FakeStorage();
  await load(storage, joined());
  const server = new FakeServer();
  const opening = connect("ws://one/", { kind: "lounge", storage, ...server.fakes });
  opening.catch(() => {});
  await server.clock.advance(10_000);
  await assert.rejects(opening, { name: "ConnectFailed" });
  assert.equal(firstFrame((await load(storage, resumed())).server).t, "resume");
});

test("each kind, room and key has its own place in a storage", async () => {
  const storage = new FakeStorage();
  await load(storage, joined());
  for (const other of [{ kind: "arena" }, { room: "game-1.r" }, { key: "mine" }]) {
    assert.equal(firstFrame((await load(storage, joined(), other)).server).t, "join");
  }
  assert.equal(storage.items.size, 4);
});

test("a storage that holds something else is as good as empty", async () => {
  for (const text of ["", "{", "7", "null", "[]", '{"ticket":"t0"}']) {
    const storage = new FakeStorage();
    storage.getItem = () => text;
    assert.equal(firstFrame((await load(storage, joined())).server).t, "join", text);
  }
});

test("a user whose token was refused, after a reload or on the way back, logs in and resumes", async () => {
  const storage = new FakeStorage();
  const { place, server } = await load(storage, joined());
  server.socket.drop();
  await server.clock.advance(400);
  server.socket.drop(4001);
  await assert.rejects(place.closed, AuthRefused);
  const again = new FakeServer();
  const opening = connect("ws://one/", { kind: "lounge", storage, ...again.fakes });
  again.socket.drop(4001);
  await assert.rejects(opening, AuthRefused);
  const after = await load(storage, resumed());
  assert.equal(firstFrame(after.server).ticket, "t0");
  assert.equal(after.place.state, "here");
});

test("a storage that is full costs a warning, which does not quote the key, and not the place", async (test) => {
  const warnings = [];
  const { warn } = console;
  console.warn = (...words) => warnings.push(words.join(" "));
  test.after(() => (console.warn = warn));
  const { place } = await load(new FullStorage(), joined(), { key: "SECRET" });
  assert.equal(await place.say("hello"), 1);
  assert.match(warnings[0], /would not survive a reload: QuotaExceededError$/);
});

test("a tab whose place was taken over does not remove the place of the other tab", async () => {
  const shared = new FakeStorage();
  const one = await load(shared, joined());
  await load(shared, resumed());
  one.server.socket.drop(4005);
  assert.equal(shared.items.size, 1);
});

test("a page that the user comes back to resumes with the ticket of the page after it", async () => {
  const storage = new FakeStorage();
  const one = await load(storage, joined());
  one.place.say("of page one");
  one.server.socket.deliver(msg(1));
  one.page.leave();
  const two = await load(storage, resumed({ ticket: "t1" }));
  two.place.say("of page two");
  two.page.leave();
  one.page.return();
  one.server.socket.hello();
  assert.deepEqual(one.server.socket.sent, [{ t: "resume", ticket: "t1", seen: 1 }]);
  one.server.socket.deliver(resumed({ ticket: "t2", seq: 1, n: 2 }));
  assert.deepEqual(one.server.socket.sentOfType("say"), []);
  assert.equal(await one.place.say("more"), 3);
});

test("the ticket of another room in the storage is not taken", async () => {
  const storage = new FakeStorage();
  const one = await load(storage, joined());
  one.page.leave();
  await load(storage, resumed({ room: "game-2.q", ticket: "q0" }));
  one.page.return();
  one.server.socket.hello();
  assert.equal(one.server.socket.sent[0].ticket, "t0");
});
