"""A connection that has ended leaves nothing that only a full collection would find.

A node collects its oldest generation only once in hours: its objects are many and long-lived. So a
cycle of 36 objects for each connection is a leak of 0.6 MB a minute at 60 connections a second.
"""

from __future__ import annotations

import gc
import json
import socket
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import structlog
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from lastcall import Room, Said, room
from lastcall.api.socket.pump import pump_wanted
from lastcall.policy import SocketPolicy
from lastcall.runtime import logs
from tests.api.conftest import UPGRADE
from tests.api.paths import BINARY, CLOSE, PING, Peer, closing, frame
from tests.harness.cluster import ApiProcess, Cluster, GameProcess, cluster

CONNECTIONS = 5


@room("den", seats=4)
async def den(table: Room) -> None:
    """Does what its players say."""
    async for event in table:
        match event:
            case Said(_, "end"):
                return
            case Said(player, "kick me"):
                table.kick(player)
            case Said(_, "flood"):
                for _ in range(20):
                    table.broadcast("x" * 60_000)
                    await trio.sleep(0.01)
            case Said(_, "sleep"):
                await trio.sleep(20)
            case Said(_, said):
                table.broadcast(said)


class World:
    """One node of each tier; clients that speak bytes over real sockets."""

    def __init__(self, house: Cluster, api: ApiProcess, game: GameProcess) -> None:
        self.house = house
        self.api = api
        self.game = game
        self.killed: list[GameProcess] = []
        """Kept, since the end of a process frees everything."""
        self.peers: list[Peer] = []

    def dial(self, *, buffer_bytes: int = 0) -> Peer:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            ours = socket.socket()
            if buffer_bytes:
                ours.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_bytes)
            ours.connect(listener.getsockname())
            theirs, _ = listener.accept()
        if buffer_bytes:
            theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffer_bytes)
        theirs.setblocking(False)
        stream = trio.SocketStream(trio.socket.from_stdlib_socket(theirs))
        self.house.nursery.start_soon(self.api.node.gateway.serve_stream, stream)
        self.peers.append(Peer(ours))
        return self.peers[-1]

    def restart_game(self) -> None:
        self.game.kill()
        self.killed.append(self.game)
        self.house.seed += 1  # of the random incarnation
        self.game = self.house.game(kinds={"den": den})

    def close_peers(self) -> None:
        for peer in self.peers:
            peer.socket.close()
        self.peers.clear()

    async def client(self, *, buffer_bytes: int = 0) -> Peer:
        peer = self.dial(buffer_bytes=buffer_bytes)
        await peer.send(UPGRADE)
        assert b" 101 " in await peer.head()
        assert (await hear(peer))["t"] == "hello"
        return peer

    async def seated(self, *, buffer_bytes: int = 0, **request: Any) -> tuple[Peer, str]:
        peer = await self.client(buffer_bytes=buffer_bytes)
        await say(peer, {"t": "join", "kind": "den", "new": True} | request)
        return peer, (await until(peer, "joined"))["ticket"]


async def say(peer: Peer, *frames: object) -> None:
    for one in frames:
        await peer.send(frame(json.dumps(one).encode()))


async def hear(peer: Peer) -> dict[str, Any]:
    while True:
        got = await peer.next()
        assert got is not None
        assert got[0] != CLOSE, got
        if got[0] != PING:
            return json.loads(got[1])


async def until(peer: Peer, kind: str) -> dict[str, Any]:
    while (got := await hear(peer))["t"] != kind:
        pass
    return got


async def code(peer: Peer) -> int | None:
    """Reads to the end; the close code."""
    frames = await peer.rest()
    return next((code for first, code in frames if first == CLOSE), None)


Scene = Callable[[World], Awaitable[None]]
SCENES: dict[str, Scene] = {}


def scene(run: Scene) -> Scene:
    SCENES[run.__name__.replace("_", " ")] = run
    return run


def sends(*pieces: bytes, expected: int | None) -> Scene:
    async def run(world: World) -> None:
        peer = await world.client()
        await peer.send(*pieces)
        assert await code(peer) == expected

    return run


def opens_with(*pieces: bytes, then: Callable[[Peer], object] = Peer.finish) -> Scene:
    async def run(world: World) -> None:
        peer = world.dial()
        await peer.send(*pieces)
        then(peer)

    return run


def resets_after(*pieces: bytes) -> Scene:
    """The connection is reset before the node has read anything."""

    async def run(world: World) -> None:
        peer = world.dial()
        peer.send_nowait(b"".join(pieces))
        peer.reset()

    return run


SCENES |= {
    "closes": sends(closing(1000), expected=1000),
    "closes without a code": sends(frame(b"", CLOSE), expected=None),
    "pings": sends(frame(b"", PING), closing(1000), expected=1000),
    "sends binary": sends(frame(b"x", BINARY), expected=1003),
    "breaks the protocol": sends(frame(b"x", 0x85), expected=1002),
    "sends bad UTF-8": sends(frame(b"\xff"), expected=1007),
    "sends too much": sends(frame(b"x" * 70_000), expected=1009),
    "fragments": sends(frame(b"{", 0x01), frame(b"}", 0x80), closing(1000), expected=1000),
    "sends three bad frames": sends(frame(b"{}") * 3, expected=4002),
    "sends too many frames": sends(frame(b'{"t":"leave"}') * 400, expected=4101),
    "resumes nothing": sends(frame(b'{"t":"resume","ticket":"a.b/c/d","seen":0}'), expected=4004),
    "sends a malformed handshake": opens_with(b"\x00\x01\r\n\r\n"),
    "asks for no upgrade": opens_with(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n"),
    "asks for another version": opens_with(UPGRADE.replace(b"13", b"12")),
    "sends half a handshake": opens_with(UPGRADE[:40]),
    "sends half a handshake and is silent": opens_with(UPGRADE[:40], then=id),
    "sends half a handshake and resets": opens_with(UPGRADE[:40], then=Peer.reset),
    "sends a handshake and resets": opens_with(UPGRADE, then=Peer.reset),
    "sends frames with the handshake": opens_with(
        UPGRADE + frame(b'{"t":"leave"}') + closing(1000)
    ),
    "sends nothing": opens_with(),
    "sends a malformed handshake and resets": resets_after(b"\x00\x01\r\n\r\n"),
    "asks for no upgrade and resets": resets_after(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n"),
    "resets before the answer": resets_after(UPGRADE),
    "resets before the answer to a frame": resets_after(UPGRADE, frame(b"{}")),
    "closes and resets": resets_after(UPGRADE, closing(1000)),
    "breaks the protocol and resets": resets_after(UPGRADE, frame(b"x", 0x85)),
}


@scene
async def ends_without_a_close(world: World) -> None:
    (await world.client()).finish()


@scene
async def resets(world: World) -> None:
    (await world.client()).reset()


@scene
async def falls_silent(world: World) -> None:
    await world.client()


@scene
async def is_refused_a_handshake(world: World) -> None:
    world.api.node.gateway.handshakes.refuse = "cordoned"
    peer = world.dial()
    await peer.send(UPGRADE)
    assert b" 503 " in await peer.head()
    world.api.node.gateway.handshakes.refuse = None
    peer.finish()


@scene
async def is_refused_a_join(world: World) -> None:
    peer = await world.client()
    await say(peer, {"t": "join", "kind": "nowhere"})
    await until(peer, "error")
    peer.finish()


@scene
async def leaves(world: World) -> None:
    peer, _ = await world.seated()
    await say(peer, {"t": "say", "n": 1, "d": "hello"}, {"t": "leave"})
    await until(peer, "ended")
    peer.finish()


@scene
async def is_there_when_the_room_ends(world: World) -> None:
    peer, _ = await world.seated()
    await say(peer, {"t": "say", "n": 1, "d": "end"})
    await until(peer, "ended")
    peer.finish()


@scene
async def is_lost_in_a_room(world: World) -> None:
    peer, _ = await world.seated()
    peer.reset()


@scene
async def is_kicked(world: World) -> None:
    peer, _ = await world.seated()
    await say(peer, {"t": "say", "n": 1, "d": "kick me"})
    await until(peer, "ended")
    peer.finish()


@scene
async def resumes(world: World) -> None:
    peer, ticket = await world.seated(key="k")
    peer.finish()
    peer = await world.client()
    await say(peer, {"t": "resume", "ticket": ticket, "seen": 0})
    await until(peer, "resumed")
    await say(peer, {"t": "say", "n": 1, "d": "end"})
    await until(peer, "ended")
    peer.finish()


@scene
async def is_taken_over(world: World) -> None:
    older, ticket = await world.seated()
    await say(older, {"t": "got", "seq": 0})
    newer = await world.client()
    await say(newer, {"t": "resume", "ticket": ticket, "seen": 0})
    await until(newer, "resumed")
    assert await code(older) == 4005
    newer.finish()


@scene
async def is_moved(world: World) -> None:
    peer, _ = await world.seated()
    [session] = world.api.node.gateway._sessions
    session.connection.move_now()
    del session
    assert await code(peer) == 1012


@scene
async def reads_too_slowly(world: World) -> None:
    peer, _ = await world.seated(buffer_bytes=4096)
    await say(peer, {"t": "say", "n": 1, "d": "flood"})
    await trio.sleep(10)
    peer.reset()


@scene
async def says_more_than_the_room_takes(world: World) -> None:
    peer, _ = await world.seated()
    await say(peer, {"t": "say", "n": 1, "d": "sleep"})
    await say(peer, *({"t": "say", "n": n, "d": "x"} for n in range(2, 190)))
    await trio.sleep(30)
    peer.finish()


@scene
async def has_a_pending_join_cancelled(world: World) -> None:
    peer = await world.client()
    await say(peer, {"t": "join", "kind": "den", "room": "elsewhere.1"})
    peer.reset()


@scene
async def loses_a_link(world: World) -> None:
    peer, _ = await world.seated()
    world.game.drop_links()
    await trio.sleep(5)
    await say(peer, {"t": "say", "n": 1, "d": "end"})
    await until(peer, "ended")
    peer.finish()


@scene
async def loses_its_game_node(world: World) -> None:
    peer, _ = await world.seated()
    world.restart_game()
    await until(peer, "ended")
    await world.house.ready(world.game, world.api)
    peer.finish()


@scene
async def joins_while_there_is_no_link(world: World) -> None:
    world.game.drop_links()
    (await world.seated())[0].finish()


@scene
async def is_gone_while_it_joins(world: World) -> None:
    peer = await world.client()
    peer.send_nowait(frame(b'{"t":"join","kind":"den"}'))
    peer.reset()


@scene
async def is_gone_while_it_resumes(world: World) -> None:
    peer, ticket = await world.seated()
    peer.reset()
    peer = await world.client()
    peer.send_nowait(frame(json.dumps({"t": "resume", "ticket": ticket, "seen": 0}).encode()))
    peer.reset()


@pytest.fixture(params=["pump", "plain"])
def no_collections(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    monkeypatch.setenv("LASTCALL_PUMP", "on" if request.param == "pump" else "off")
    if request.param == "pump" and not pump_wanted():
        pytest.skip("no epoll here")
    lines: list[bytes] = []
    logs.configure("json", write=lines.append)
    gc.disable()
    yield
    assert not [line for line in lines if b'"level":"error"' in line]
    gc.set_debug(0)
    gc.garbage.clear()
    gc.enable()
    structlog.reset_defaults()


def unreachable() -> Counter[str]:
    """The types of all objects that only the collector finds, with their numbers."""
    gc.set_debug(gc.DEBUG_SAVEALL)
    gc.collect()
    gc.set_debug(0)
    found = Counter(type(one).__qualname__ for one in gc.garbage)
    gc.garbage.clear()
    return found


@asynccontextmanager
async def one_world() -> AsyncIterator[World]:
    async with cluster() as house:
        game = house.game(kinds={"den": den})
        api = house.api(sockets=SocketPolicy(backlog_bytes=256 * 1024, burst_frames=300))
        await house.ready(game, api)
        world = World(house, api, game)
        try:
            yield world
        finally:
            world.close_peers()


@pytest.mark.usefixtures("no_collections")
@pytest.mark.parametrize("run", SCENES.values(), ids=SCENES)
async def test_connections_that_have_ended_leave_no_garbage(
    run: Scene, autojump_clock: MockClock
) -> None:
    async with one_world() as world:
        for connections in (1, CONNECTIONS):
            gc.collect()
            for _ in range(connections):
                await run(world)
                await wait_all_tasks_blocked()
            await world.api.node.gateway.wait_empty()
            await trio.sleep(1)
            world.close_peers()
        assert not unreachable()
