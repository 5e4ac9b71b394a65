"""One node of each tier in virtual time, and clients that speak bytes over real sockets."""

from __future__ import annotations

import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import trio

from lastcall import Room, Said, room
from lastcall.limits import Limits, Rate
from lastcall.policy import RoomPolicy, SocketPolicy
from tests.api.conftest import UPGRADE
from tests.api.paths import CLOSE, PING, Peer, frame
from tests.harness.cluster import ApiProcess, Cluster, GameProcess, cluster


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


@asynccontextmanager
async def open_world(
    sockets: SocketPolicy | None = None,
    *,
    rooms: RoomPolicy | None = None,
    **api: Any,
) -> AsyncIterator[World]:
    """``api`` goes to :meth:`Cluster.api`."""
    async with cluster() as house, trio.open_nursery() as connections:
        game = house.game(kinds={"den": den}, rooms=rooms)
        few = SocketPolicy(backlog_bytes=256 * 1024, limits=Limits(inputs=Rate(300, 2_000)))
        node = house.api(sockets=sockets or few, **api)
        await house.ready(game, node)
        world = World(house, connections, node, game)
        try:
            yield world
        finally:
            world.close_peers()
            connections.cancel_scope.cancel()
