import assert from "node:assert/strict";
import { test } from "node:test";

import { connect } from "../../../api/static/lastcall.js";
import { ACCEPTED, REFUSED, differences, sayAll } from "../../e2e/values.mjs";
import { FakeServer, joined } from "./fakes.mjs";

test("say refuses what could not arrive as it is, and uses no number for it", async () => {
  const server = new FakeServer();
  const opening = connect("ws://one/", { kind: "lounge", ...server.fakes });
  server.socket.hello();
  server.socket.deliver(joined());
  assert.deepEqual(await sayAll(await opening), [ACCEPTED.length, []]);
  assert.deepEqual(differences(server.socket.sentOfType("say").map(({ d }) => d)), []);
});

test("options of a room are refused alike, and open no socket", async () => {
  const server = new FakeServer();
  for (const [name, make, expected] of REFUSED) {
    if (name === "nothing") continue; // options are optional
    const opening = connect("ws://one/", { kind: "x", options: make(), ...server.fakes });
    assert.match(await opening.then(() => "accepted", String), expected, name);
  }
  assert.equal(server.sockets.length, 0);
});

test("a name with half of an emoji is refused; null is as good as nothing", async () => {
  const server = new FakeServer();
  const name = "Ada \u{1f600}".slice(0, 5);
  await assert.rejects(connect("ws://one/", { kind: "x", name, ...server.fakes }), /"name" .*half/);
  const nothing = { name: null, room: null, options: null, new: null, key: null };
  connect("ws://one/", { kind: "x", ...nothing, ...server.fakes });
  server.socket.hello();
  assert.deepEqual(Object.keys(server.socket.sent[0]), ["t", "kind", "key"]);
});
