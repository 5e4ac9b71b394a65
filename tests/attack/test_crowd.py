"""200 addresses that drive each limit to its bound at once, and 50 clients who notice nothing."""

from __future__ import annotations

import contextlib
import json
import re
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
import trio

from lastcall.bench.nodes.proc import resident_bytes
from lastcall.limits import MIB, Limit
from tests.api.conftest import UPGRADE
from tests.api.paths import Peer, frame
from tests.api.world import hear, until
from tests.e2e.nodes import Node, Nodes

pytestmark = pytest.mark.e2e

STRANGERS, HONEST, PLAYERS = 200, 50, 2
AT_LEAST_SECONDS, AT_MOST_SECONDS = 4.0, 45.0
GROWTH_BYTES_MAX = 32 * MIB
LIMITS = """
[limits]
sockets-per-address = 4
handshakes-per-address = 3
handshakes = { burst = 8, per-second = 1 }
joins-per-client = { burst = 3, per-second = 0.2 }
joins = { burst = 6, per-second = 0.5 }
failed-resumes = { burst = 1, per-second = 0.1 }
inputs = { burst = 40, per-second = 40 }
input-bytes = { burst = 20000, per-second = 20000 }
rooms-opened = { burst = 2, per-second = 0.1 }
seats-per-address = 2
"""
DRIVEN = {
    Limit.SOCKETS_PER_ADDRESS,
    Limit.HANDSHAKES,
    Limit.HANDSHAKES_PER_ADDRESS,
    Limit.JOINS,
    Limit.FAILED_RESUMES,
    Limit.INPUTS,
    Limit.INPUT_BYTES,
    Limit.ROOMS_OPENED,
    Limit.SEATS_PER_ADDRESS,
}
JOIN = {"t": "join", "kind": "lounge", "new": True}


class Crowd:
    """Dials the api node for any address; ``full`` is the id of a room that is full."""

    def __init__(self, api: Node) -> None:
        self._where = api.listen
        self.full = ""
        self.heard: list[list[int]] = []
        """For each honest client, the numbers of the messages that it has had."""
        self.said = 0

    @asynccontextmanager
    async def dial(self, *first: bytes) -> AsyncIterator[Peer]:
        host, _, port = self._where.rpartition(":")
        stream = await trio.open_tcp_stream(host, int(port))
        end = socket.socket(fileno=stream.socket.detach())
        peer = Peer(end)
        try:
            for data in first:
                peer.send_nowait(data)
            yield peer
        finally:
            peer.socket.close()

    @asynccontextmanager
    async def client(self, address: str) -> AsyncIterator[Peer]:
        """A client; fails with ``AssertionError`` if it is refused."""
        async with self.dial(request(address)) as peer:
            assert b" 101 " in await peer.head()
            assert (await hear(peer))["t"] == "hello"
            yield peer


def tell(peer: Peer, *messages: object) -> None:
    """Sends frames at once, without a turn of anybody else: this process has 250 clients."""
    peer.send_nowait(b"".join(frame(json.dumps(one).encode()) for one in messages))


def request(address: str) -> bytes:
    return UPGRADE.replace(b"\r\n\r\n", f"\r\nX-Forwarded-For: {address}\r\n\r\n".encode())


# The strangers, who do not care what becomes of their sockets.


async def half_open(crowd: Crowd, address: str) -> None:
    line = f"PROXY TCP4 {address} 192.0.2.9 4711 8080\r\n".encode()
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(6):
            await stack.enter_async_context(crowd.dial(line + UPGRADE[:20]))
        await trio.sleep(1)


async def many_sockets(crowd: Crowd, address: str) -> None:
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(7):
            peer = await stack.enter_async_context(crowd.dial(request(address)))
            await peer.head()


async def many_handshakes(crowd: Crowd, address: str) -> None:
    for _ in range(12):
        async with crowd.dial(request(address)) as peer:
            await peer.head()


async def many_rooms(crowd: Crowd, address: str) -> None:
    async with crowd.client(address) as peer:
        for _ in range(10):
            tell(peer, JOIN)
            while (got := await hear(peer))["t"] not in {"joined", "error"}:
                pass
            if got["t"] == "joined":
                tell(peer, {"t": "leave"})
                await until(peer, "ended")


async def many_seats(crowd: Crowd, address: str) -> None:
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(3):
            peer = await stack.enter_async_context(crowd.client(address))
            tell(peer, JOIN | {"new": False})
        await trio.sleep(0.3)


async def guesses(crowd: Crowd, address: str) -> None:
    ticket = {"t": "resume", "ticket": "game-1.none.p1.5ec7e7", "seen": 0}
    for number in range(3):
        async with crowd.client(address) as peer:
            key = {"t": "join", "room": crowd.full, "key": f"guess {number}"}
            tell(peer, key)
            await until(peer, "error")
            tell(peer, ticket)
            await peer.rest()


async def many_inputs(crowd: Crowd, address: str) -> None:
    async with crowd.client(address) as peer:
        peer.send_nowait(frame(b'{"t":"got","seq":0}') * 60)
        await peer.rest()


async def many_bytes(crowd: Crowd, address: str) -> None:
    async with crowd.client(address) as peer:
        peer.send_nowait(frame(b'{"t":"got","seq":0}' + b" " * 7_000) * 4)
        await peer.rest()


DEEDS: tuple[Callable[[Crowd, str], Awaitable[None]], ...] = (
    half_open,
    many_sockets,
    many_handshakes,
    many_rooms,
    many_seats,
    guesses,
    many_inputs,
    many_bytes,
)


async def be_strange(crowd: Crowd, number: int) -> None:
    """Each stranger has a deed, and does it again and again: 25 addresses for each limit."""
    while True:
        with contextlib.suppress(OSError, AssertionError), trio.move_on_after(10):
            await DEEDS[number % len(DEEDS)](crowd, f"198.51.100.{number}")
        await trio.sleep(0.5)


# The honest.


async def play(crowd: Crowd, number: int, stop: trio.Event) -> None:
    """Two players talk in a room of their own until ``stop``; each hears each message in order."""
    addresses = [f"203.0.113.{PLAYERS * number + one}" for one in range(PLAYERS)]
    async with crowd.client(addresses[0]) as ann, crowd.client(addresses[1]) as bob:
        tell(ann, JOIN)
        room = (await until(ann, "joined"))["room"]
        tell(bob, {"t": "join", "room": room})
        await until(bob, "joined")
        seqs: list[list[int]] = [[], []]
        crowd.heard += seqs
        turn = 0
        while not stop.is_set():
            turn += 1
            crowd.said += 1
            tell(ann, {"t": "say", "n": turn, "d": turn})
            for peer, had in ((ann, seqs[0]), (bob, seqs[1])):
                got = await until(peer, "msg")
                assert got["d"]["said"] == turn
                had.append(got["seq"])
            await trio.sleep(0.1)
        assert seqs == [list(range(1, turn + 1))] * 2


async def fill_a_room(crowd: Crowd, stack: contextlib.AsyncExitStack) -> None:
    for number in range(2):
        peer = await stack.enter_async_context(crowd.client(f"192.0.2.{number}"))
        where = {"room": crowd.full} if crowd.full else {"kind": "duo", "new": True}
        tell(peer, {"t": "join"} | where)
        crowd.full = (await until(peer, "joined"))["room"]


async def limited(*nodes: Node) -> set[str]:
    """The limits that have refused anything."""
    found: set[str] = set()
    for node in nodes:
        text = (await node.get("/metrics")).body
        found |= set(re.findall(r'lastcall_limited_total\{limit="(\w+)"\} [1-9]', text))
    return found


@pytest.mark.timeout(90)
async def test_200_addresses_at_all_bounds_at_once_cost_50_players_nothing_and_each_node_32_mib(
    nodes: Nodes,
) -> None:
    config = nodes.folder / "limits.toml"
    config.write_text(LIMITS)
    options = ("--config", str(config))
    api, game = await nodes.start_pair(
        *options,
        *("--trusted-proxies", "127.0.0.0/8"),
        rooms="game.examples,tests.e2e.odd_rooms",
        game_options=options,
    )
    crowd, stop = Crowd(api), trio.Event()
    async with contextlib.AsyncExitStack() as stack, trio.open_nursery() as strangers:
        await fill_a_room(crowd, stack)
        async with trio.open_nursery() as honest:
            for number in range(HONEST // PLAYERS):
                honest.start_soon(play, crowd, number, stop)
            while len(crowd.heard) < HONEST or not all(crowd.heard):
                await trio.sleep(0.05)
            before = [resident_bytes(node.pid) for node in (api, game)]
            for number in range(STRANGERS):
                strangers.start_soon(be_strange, crowd, number)
            seen = await _until_all_limits_refuse(api, game)
            after = [resident_bytes(node.pid) for node in (api, game)]
            said = crowd.said
            while crowd.said < said + HONEST:  # the honest still play
                await trio.sleep(0.05)
            stop.set()
        strangers.cancel_scope.cancel()
    assert seen >= DRIVEN
    growth = [(now - then) / MIB for then, now in zip(before, after, strict=True)]
    assert max(growth) <= GROWTH_BYTES_MAX / MIB, growth
    assert not [event for node in (api, game) for event in node.events if event["level"] == "error"]


async def _until_all_limits_refuse(api: Node, game: Node) -> set[str]:
    began, seen = trio.current_time(), set[str]()
    with trio.move_on_after(AT_MOST_SECONDS):
        while trio.current_time() < began + AT_LEAST_SECONDS or not seen >= DRIVEN:
            seen = await limited(api, game)
            await trio.sleep(0.5)
    return seen
