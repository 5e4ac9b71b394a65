"""The world for tests of limits: two nodes with small ones.

One node of each tier in virtual time; each client speaks for an address of its choice, through a
proxy that the node trusts.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import trio

from lastcall.api.auth.entry import Denial, Entry, Question
from lastcall.core.edge.addresses import TrustedProxies, parse_networks
from lastcall.core.edge.opening_request import OpeningRequest
from lastcall.identity import Identity
from lastcall.limits import Limit, Limits
from lastcall.policy import RoomPolicy, SocketPolicy
from tests.api.conftest import UPGRADE
from tests.api.paths import CLOSE, PING, Peer, closing, frame
from tests.api.world import World, hear, open_world, say

PROXY = parse_networks("127.0.0.1")
MALLORY, ANN = "192.0.2.1", "192.0.2.2"
NEVER = 1e-6
"""A rate that gives nothing back during a test."""
JOIN = {"t": "join", "kind": "den", "new": True}
NO_PLACE = {"t": "resume", "ticket": "game-1.none.p1.5ec7e7", "seen": 0}


class PathAuth:
    """A client's name is its path: ``/alice``. The name ``slow`` takes 3 s to find."""

    def admit(self, request: OpeningRequest, _address: str) -> Question:
        return partial(self._find, request.path.removeprefix("/"))

    async def _find(self, name: str) -> Entry | Denial:
        if name.startswith("slow"):
            await trio.sleep(3)
        return Entry(Identity(name)) if name else Denial(401, "say who you are")

    async def run(self) -> None:
        await trio.sleep_forever()


@asynccontextmanager
async def limited(
    proxies: TrustedProxies = PROXY, *, auth: PathAuth | None = None, **limits: Any
) -> AsyncIterator[World]:
    """Two nodes with ``limits``; at the end, nothing that has ended is counted any more."""
    table = Limits(**limits)
    sockets = SocketPolicy(limits=table, close_seconds=2)
    rooms = RoomPolicy(limits=table, resume_seconds=5)
    async with open_world(sockets, rooms=rooms, auth=auth, proxies=proxies) as world:
        yield world
        world.close_peers()
        await trio.sleep(12)
        counts = world.api.node.gateway._limits
        for tally in (counts.half_open, counts._of_addresses, counts._of_identities):
            assert len(tally) == 0
        assert len(world.game.node.host.running.limits.seats) == 0
        assert len(world.game.node.host.running.limits._of_identities) == 0


def refused(world: World) -> dict[Limit, int]:
    """The values of ``lastcall_limited_total`` of both nodes, summed."""
    of_nodes = [node.figures().limited for node in (world.api.node, world.game.node)]
    found = {limit: sum(one.get(limit, 0) for one in of_nodes) for limit in Limit}
    return {limit: count for limit, count in found.items() if count}


def request(address: str, path: str = "/") -> bytes:
    data = UPGRADE.replace(b"GET / ", f"GET {path} ".encode())
    return data.replace(b"\r\n\r\n", f"\r\nX-Forwarded-For: {address}\r\n\r\n".encode())


async def answer(world: World, address: str, path: str = "/") -> bytes:
    peer = world.dial()
    await peer.send(request(address, path))
    return await peer.head()


async def client(world: World, address: str, path: str = "/") -> Peer:
    peer = world.dial()
    await peer.send(request(address, path))
    assert b" 101 " in await peer.head()
    assert (await hear(peer))["t"] == "hello"
    return peer


async def ask(peer: Peer, message: dict[str, Any]) -> str:
    """The answer: a type of frame, or the code of an error or of the close."""
    await say(peer, message)
    while (got := await peer.next()) is not None:
        if got[0] == CLOSE:
            return str(got[1])
        answer = json.loads(got[1]) if got[0] != PING else {"t": "ping"}
        if answer["t"] not in {"ping", "beat", "msg", "ack"}:
            return answer["code"] if answer["t"] == "error" else answer["t"]
    return "end"


def is_busy(head: bytes) -> bool:
    return head.startswith(b"HTTP/1.1 503 ") and b"\r\nretry-after: 1" in head.lower()


async def leave(world: World, peer: Peer, way: str) -> None:
    """Ends the socket of ``peer`` in this way, and waits until the node has noticed."""
    match way:
        case "reset":
            peer.reset()
        case "end":
            peer.finish()
        case "close frame":
            await peer.send(closing(1000))
        case "half a frame":
            await peer.send(frame(b"x" * 100)[:40])
            peer.reset()
        case "bad frames":
            await peer.send(frame(b"{") * 3)
        case "not a frame":
            await peer.send(b"\xff" * 20)
        case "move":
            for session in list(world.api.node.gateway._sessions):
                session.connection.move_now()
    await trio.sleep(6)
