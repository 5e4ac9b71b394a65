"""Each way in which a client's connection begins and ends, over real sockets, in virtual time."""

from __future__ import annotations

import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import trio

from lastcall import Room, Said, room
from lastcall.policy import SocketPolicy
from lastcall.reasons import ClientEnd
from tests.api.conftest import UPGRADE
from tests.api.paths import BINARY, CLOSE, PING, Peer, closing, frame
from tests.harness.cluster import ApiProcess, Cluster, GameProcess, cluster

CLIENT, NETWORK, PROTOCOL = ClientEnd.CLIENT, ClientEnd.NETWORK, ClientEnd.PROTOCOL
HANDSHAKE, REFUSED = ClientEnd.HANDSHAKE, ClientEnd.REFUSED


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

    def __init__(
        self, house: Cluster, connections: trio.Nursery, api: ApiProcess, game: GameProcess
    ) -> None:
        self.house = house
        self.connections = connections
        """The node's tasks for its clients."""
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
        self.connections.start_soon(self.api.node.gateway.serve_stream, stream)
        self.peers.append(Peer(ours))
        return self.peers[-1]

    def kill_game(self) -> None:
        self.game.kill()
        self.killed.append(self.game)

    def start_game(self) -> None:
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


async def close_code(peer: Peer) -> int | None:
    """Reads to the end; the close code."""
    frames = await peer.rest()
    return next((code for first, code in frames if first == CLOSE), None)


@dataclass(frozen=True)
class Ending:
    """A scene with clients, and the causes that their connections end for."""

    run: Callable[[World], Awaitable[None]]
    causes: tuple[ClientEnd, ...]


ENDINGS: dict[str, Ending] = {}


def ending(*causes: ClientEnd) -> Callable[[Callable[[World], Awaitable[None]]], None]:
    def add(run: Callable[[World], Awaitable[None]]) -> None:
        ENDINGS[run.__name__.replace("_", " ")] = Ending(run, causes)

    return add


def sends(*pieces: bytes, code: int | None, cause: ClientEnd) -> Ending:
    async def run(world: World) -> None:
        peer = await world.client()
        await peer.send(*pieces)
        assert await close_code(peer) == code

    return Ending(run, (cause,))


def opens_with(
    *pieces: bytes, cause: ClientEnd = HANDSHAKE, then: Callable[[Peer], object] = Peer.finish
) -> Ending:
    async def run(world: World) -> None:
        peer = world.dial()
        await peer.send(*pieces)
        then(peer)

    return Ending(run, (cause,))


def resets_after(data: bytes, cause: ClientEnd = HANDSHAKE) -> Ending:
    """The connection is reset before the node has read ``data``."""

    async def run(world: World) -> None:
        peer = world.dial() if cause is HANDSHAKE else await world.client()
        peer.send_nowait(data)
        peer.reset()

    return Ending(run, (cause,))


ENDINGS |= {
    "closes": sends(closing(1000), code=1000, cause=CLIENT),
    "closes without a code": sends(frame(b"", CLOSE), code=None, cause=CLIENT),
    "pings": sends(frame(b"", PING), closing(1000), code=1000, cause=CLIENT),
    "sends binary": sends(frame(b"x", BINARY), code=1003, cause=PROTOCOL),
    "breaks the protocol": sends(frame(b"x", 0x85), code=1002, cause=PROTOCOL),
    "sends bad UTF-8": sends(frame(b"\xff"), code=1007, cause=PROTOCOL),
    "sends too much": sends(frame(b"x" * 70_000), code=1009, cause=PROTOCOL),
    "fragments": sends(
        frame(b"{", 0x01), frame(b"}", 0x80), closing(1000), code=1000, cause=CLIENT
    ),
    "sends three bad frames": sends(frame(b"{}") * 3, code=4002, cause=PROTOCOL),
    "sends too many frames": sends(
        frame(b'{"t":"leave"}') * 400, code=4101, cause=ClientEnd.TOO_MANY
    ),
    "resumes nothing": sends(
        frame(b'{"t":"resume","ticket":"a.b/c/d","seen":0}'), code=4004, cause=ClientEnd.NO_PLACE
    ),
    "sends a malformed handshake": opens_with(b"\x00\x01\r\n\r\n"),
    "asks for no upgrade": opens_with(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n"),
    "asks for another version": opens_with(UPGRADE.replace(b"13", b"12")),
    "sends half a handshake": opens_with(UPGRADE[:40]),
    "sends half a handshake and is silent": opens_with(UPGRADE[:40], then=id),
    "sends half a handshake and resets": opens_with(UPGRADE[:40], then=Peer.reset),
    "sends a handshake and resets": opens_with(UPGRADE, cause=NETWORK, then=Peer.reset),
    "sends frames with the handshake": opens_with(
        UPGRADE + frame(b'{"t":"leave"}') + closing(1000), cause=CLIENT
    ),
    "sends nothing": opens_with(),
    "sends a malformed handshake and resets": resets_after(b"\x00\x01\r\n\r\n"),
    "asks for no upgrade and resets": resets_after(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n"),
    "resets before the answer": resets_after(UPGRADE),
    "resets before the answer to a frame": resets_after(frame(b"{}"), NETWORK),
    "closes and resets": resets_after(closing(1000), CLIENT),
    "breaks the protocol and resets": resets_after(frame(b"x", 0x85), PROTOCOL),
}


@ending(NETWORK)
async def ends_without_a_close(world: World) -> None:
    (await world.client()).finish()


@ending(NETWORK)
async def resets(world: World) -> None:
    (await world.client()).reset()


@ending(ClientEnd.PING)
async def falls_silent(world: World) -> None:
    await world.client()


@ending(REFUSED)
async def is_refused_a_handshake(world: World) -> None:
    world.api.node.gateway.handshakes.refuse = "cordoned"
    peer = world.dial()
    await peer.send(UPGRADE)
    assert b" 503 " in await peer.head()
    world.api.node.gateway.handshakes.refuse = None
    peer.finish()


@ending(NETWORK)
async def is_refused_a_join(world: World) -> None:
    peer = await world.client()
    await say(peer, {"t": "join", "kind": "nowhere"})
    await until(peer, "error")
    peer.finish()


@ending(NETWORK)
async def leaves(world: World) -> None:
    peer, _ = await world.seated()
    await say(peer, {"t": "say", "n": 1, "d": "hello"}, {"t": "leave"})
    await until(peer, "ended")
    peer.finish()


@ending(NETWORK)
async def is_there_when_the_room_ends(world: World) -> None:
    peer, _ = await world.seated()
    await say(peer, {"t": "say", "n": 1, "d": "end"})
    await until(peer, "ended")
    peer.finish()


@ending(NETWORK)
async def is_lost_in_a_room(world: World) -> None:
    peer, _ = await world.seated()
    peer.reset()


@ending(NETWORK)
async def is_kicked(world: World) -> None:
    peer, _ = await world.seated()
    await say(peer, {"t": "say", "n": 1, "d": "kick me"})
    await until(peer, "ended")
    peer.finish()


@ending(NETWORK, NETWORK)
async def resumes(world: World) -> None:
    peer, ticket = await world.seated(key="k")
    peer.finish()
    peer = await world.client()
    await say(peer, {"t": "resume", "ticket": ticket, "seen": 0})
    await until(peer, "resumed")
    await say(peer, {"t": "say", "n": 1, "d": "end"})
    await until(peer, "ended")
    peer.finish()


@ending(ClientEnd.REPLACED, NETWORK)
async def is_taken_over(world: World) -> None:
    older, ticket = await world.seated()
    await say(older, {"t": "got", "seq": 0})
    newer = await world.client()
    await say(newer, {"t": "resume", "ticket": ticket, "seen": 0})
    await until(newer, "resumed")
    assert await close_code(older) == 4005
    newer.finish()


@ending(ClientEnd.MOVED)
async def is_moved(world: World) -> None:
    peer, _ = await world.seated()
    [session] = world.api.node.gateway._sessions
    session.connection.move_now()
    del session
    assert await close_code(peer) == 1012


@ending(ClientEnd.SLOW_READER)
async def reads_too_slowly(world: World) -> None:
    peer, _ = await world.seated(buffer_bytes=4096)
    await say(peer, {"t": "say", "n": 1, "d": "flood"})
    await trio.sleep(10)
    peer.reset()


@ending(ClientEnd.TOO_MANY)
async def says_more_than_the_room_takes(world: World) -> None:
    peer, _ = await world.seated()
    await say(peer, {"t": "say", "n": 1, "d": "sleep"})
    await say(peer, *({"t": "say", "n": n, "d": "x"} for n in range(2, 190)))
    await trio.sleep(30)
    peer.finish()


@ending(NETWORK)
async def has_a_pending_join_cancelled(world: World) -> None:
    peer = await world.client()
    await say(peer, {"t": "join", "kind": "den", "room": "elsewhere.1"})
    peer.reset()


@ending(NETWORK)
async def loses_a_link(world: World) -> None:
    peer, _ = await world.seated()
    world.game.drop_links()
    await trio.sleep(5)
    await say(peer, {"t": "say", "n": 1, "d": "end"})
    await until(peer, "ended")
    peer.finish()


@ending(NETWORK)
async def loses_its_game_node(world: World) -> None:
    peer, _ = await world.seated()
    world.kill_game()
    world.start_game()
    await until(peer, "ended")
    await world.house.ready(world.game, world.api)
    peer.finish()


@ending(NETWORK, ClientEnd.UNAVAILABLE)
async def asks_while_there_is_no_game_node(world: World) -> None:
    world.kill_game()
    peer = await world.client()
    await say(peer, {"t": "join", "kind": "den"})
    assert (await until(peer, "error"))["code"] == "no_game_node"
    peer.finish()
    peer = await world.client()
    await say(peer, {"t": "resume", "ticket": "game-1.a/b/c", "seen": 0})
    assert await close_code(peer) == 1013
    world.start_game()
    await world.house.ready(world.game, world.api)


@ending(NETWORK, NETWORK)
async def gives_up_while_there_is_no_game_node(world: World) -> None:
    world.kill_game()
    joining, resuming = await world.client(), await world.client()
    await say(joining, {"t": "join", "kind": "den"})
    await say(resuming, {"t": "resume", "ticket": "game-1.a/b/c", "seen": 0})
    joining.reset()
    resuming.reset()
    await trio.sleep(4)
    world.start_game()
    await world.house.ready(world.game, world.api)


@ending(ClientEnd.MOVED)
async def is_moved_since_its_game_node_is_silent(world: World) -> None:
    peer, _ = await world.seated()
    world.house.bus.freeze("game-1")
    await until(peer, "move")
    assert await close_code(peer) == 1012
    world.house.bus.heal("game-1")
    await world.house.ready(world.api)


@ending(NETWORK)
async def joins_while_there_is_no_link(world: World) -> None:
    world.game.drop_links()
    (await world.seated())[0].finish()


@ending(NETWORK)
async def is_gone_while_it_joins(world: World) -> None:
    peer = await world.client()
    peer.send_nowait(frame(b'{"t":"join","kind":"den"}'))
    peer.reset()


@ending(NETWORK, NETWORK)
async def is_gone_while_it_resumes(world: World) -> None:
    peer, ticket = await world.seated()
    peer.reset()
    peer = await world.client()
    peer.send_nowait(frame(json.dumps({"t": "resume", "ticket": ticket, "seen": 0}).encode()))
    peer.reset()


@asynccontextmanager
async def open_world(sockets: SocketPolicy | None = None) -> AsyncIterator[World]:
    async with cluster() as house, trio.open_nursery() as connections:
        game = house.game(kinds={"den": den})
        few = SocketPolicy(backlog_bytes=256 * 1024, burst_frames=300)
        api = house.api(sockets=sockets or few)
        await house.ready(game, api)
        world = World(house, connections, api, game)
        try:
            yield world
        finally:
            world.close_peers()
            connections.cancel_scope.cancel()
