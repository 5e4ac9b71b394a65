"""Strangers who want more than their share: each limit, from one beyond it to its end.

One node of each tier in virtual time; each client speaks for an address of its choice, through a
proxy that the node trusts.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio

from lastcall.api.auth.entry import Denial, Entry
from lastcall.core.edge.addresses import TrustedProxies, parse_networks
from lastcall.identity import Handshake, Identity
from lastcall.limits import Limit, Limits, Rate
from lastcall.policy import RoomPolicy, SocketPolicy
from tests.api.conftest import UPGRADE
from tests.api.paths import CLOSE, PING, Peer, closing, frame
from tests.api.world import World, close_code, hear, open_world, say

PROXY = parse_networks("127.0.0.1")
MALLORY, ANN = "192.0.2.1", "192.0.2.2"
NEVER = 1e-6
"""A rate that gives nothing back during a test."""
JOIN = {"t": "join", "kind": "den", "new": True}
NO_PLACE = {"t": "resume", "ticket": "game-1.none.p1.5ec7e7", "seen": 0}


class PathAuth:
    """A client's name is its path: ``/alice``. The name ``slow`` takes 3 s to find."""

    async def admit(self, handshake: Handshake) -> Entry | Denial:
        name = handshake.path.removeprefix("/")
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


WAYS = ["reset", "end", "close frame", "half a frame", "bad frames", "not a frame", "move"]


@pytest.mark.parametrize("way", WAYS)
async def test_a_third_socket_of_an_address_gets_503_until_one_of_the_two_has_ended(
    autojump_clock, way: str
) -> None:
    async with limited(sockets_per_address=2) as world:
        first, _ = await client(world, MALLORY), await client(world, MALLORY)
        for _ in range(5):
            assert is_busy(await answer(world, MALLORY))
        await client(world, ANN)
        assert refused(world) == {Limit.SOCKETS_PER_ADDRESS: 5}
        await leave(world, first, way)
        await client(world, MALLORY)


async def test_a_third_socket_of_an_identity_gets_503_wherever_it_comes_from(
    autojump_clock,
) -> None:
    async with limited(sockets_per_identity=2, auth=PathAuth()) as world:
        first = await client(world, MALLORY, "/alice")
        await client(world, "192.0.2.77", "/alice")
        assert is_busy(await answer(world, "192.0.2.78", "/alice"))
        await client(world, MALLORY, "/bob")
        assert refused(world) == {Limit.SOCKETS_PER_IDENTITY: 1}
        await leave(world, first, "reset")
        await client(world, "192.0.2.79", "/alice")


async def test_a_socket_beyond_those_of_the_node_gets_503(autojump_clock) -> None:
    async with limited(sockets=2) as world:
        first, _ = await client(world, MALLORY), await client(world, ANN)
        assert is_busy(await answer(world, ANN))
        assert refused(world) == {Limit.SOCKETS: 1}
        await leave(world, first, "reset")
        await client(world, ANN)


async def test_of_ever_new_sockets_of_an_address_5_come_in_and_one_a_second(
    autojump_clock,
) -> None:
    async with limited(handshakes=Rate(5, 1)) as world:
        came_in = 0
        for _ in range(100):
            head = await answer(world, MALLORY)
            came_in += b" 101 " in head
            assert b" 101 " in head or is_busy(head)
            world.close_peers()
            await trio.sleep(0.1)
        assert came_in in {5 + 9, 5 + 10}
        assert refused(world) == {Limit.HANDSHAKES: 100 - came_in}
        await client(world, ANN)


async def test_a_subscriber_with_2_to_the_64_addresses_has_one_count(autojump_clock) -> None:
    async with limited(handshakes=Rate(3, NEVER)) as world:
        heads = [await answer(world, f"2001:db8:1:2:{number:x}::1") for number in range(6)]
        assert [is_busy(head) for head in heads] == [False] * 3 + [True] * 3
        await client(world, "2001:db8:1:3::1")


async def test_a_connection_beyond_an_addresss_half_open_ones_is_closed_unheard(
    autojump_clock,
) -> None:
    async with limited(TrustedProxies(), handshakes_per_address=3) as world:
        half_open = [world.dial() for _ in range(3)]
        for peer in half_open:
            await peer.send(UPGRADE[:20])
        assert await world.dial().rest() == []
        assert refused(world) == {Limit.HANDSHAKES_PER_ADDRESS: 1}
        await half_open[0].send(UPGRADE[20:])
        assert b" 101 " in await half_open[0].head()
        assert b" 101 " in await answer(world, MALLORY)


async def test_half_open_connections_through_a_tcp_balancer_are_counted_by_the_clients_address(
    autojump_clock,
) -> None:
    async with limited(handshakes_per_address=3) as world:
        line = f"PROXY TCP4 {MALLORY} 192.0.2.9 4711 8080\r\n".encode()
        for _ in range(3):
            await world.dial().send(line + UPGRADE[:20])
        beyond = world.dial()
        await beyond.send(line)
        assert await beyond.rest() == []
        assert refused(world) == {Limit.HANDSHAKES_PER_ADDRESS: 1}
        assert b" 101 " in await answer(world, ANN)
        other = world.dial()
        await other.send(line.replace(MALLORY.encode(), ANN.encode()) + UPGRADE)
        assert b" 101 " in await other.head()


@pytest.mark.parametrize("proxies", [PROXY, TrustedProxies()], ids=["behind a proxy", "direct"])
async def test_handshakes_that_wait_for_an_identity_are_under_way(
    autojump_clock, proxies: TrustedProxies
) -> None:
    async with limited(proxies, handshakes_per_address=3, auth=PathAuth()) as world:
        waiting = [world.dial() for _ in range(3)]
        for peer in waiting:
            await peer.send(request(MALLORY, "/slow"))
        if proxies is PROXY:
            assert is_busy(await answer(world, MALLORY, "/bob"))
        else:
            assert await world.dial().rest() == []
        assert refused(world) == {Limit.HANDSHAKES_PER_ADDRESS: 1}
        for peer in waiting:
            assert b" 101 " in await peer.head()
        await client(world, MALLORY, "/bob")


async def test_joins_beyond_an_addresss_are_too_many_on_each_of_its_sockets(
    autojump_clock,
) -> None:
    async with limited(joins=Rate(3, NEVER)) as world:
        for _ in range(3):
            assert await ask(await client(world, MALLORY), JOIN) == "joined"
        for _ in range(3):
            assert await ask(await client(world, MALLORY), JOIN) == "too_many"
        assert await ask(await client(world, ANN), JOIN) == "joined"
        assert refused(world) == {Limit.JOINS: 3}


async def test_joins_beyond_an_identitys_are_too_many_from_each_address(autojump_clock) -> None:
    async with limited(joins=Rate(3, NEVER), auth=PathAuth()) as world:
        answers = [
            await ask(await client(world, f"192.0.2.{number}", "/alice"), JOIN)
            for number in range(5)
        ]
        assert answers == ["joined"] * 3 + ["too_many"] * 2
        assert await ask(await client(world, "192.0.2.1", "/bob"), JOIN) == "joined"
        assert refused(world) == {Limit.JOINS: 2}


async def test_a_client_joins_and_leaves_3_times_and_then_it_is_too_many(autojump_clock) -> None:
    async with limited(joins_per_client=Rate(3, NEVER)) as world:
        peer = await client(world, MALLORY)
        for _ in range(3):
            assert await ask(peer, JOIN) == "joined"
            assert await ask(peer, {"t": "leave"}) == "ended"
        assert await ask(peer, JOIN) == "too_many"
        assert await ask(peer, NO_PLACE) == "too_many"
        assert await ask(await client(world, MALLORY), JOIN) == "joined"
        assert refused(world) == {Limit.JOINS: 2}


@pytest.mark.parametrize("ticket", ["game-1.none.p1.5ec7e7", "", "x" * 200, "game-9.a.b.c"])
async def test_resumes_beyond_those_that_may_fail_are_told_1013_not_4004(
    autojump_clock, ticket: str
) -> None:
    async with limited(failed_resumes=Rate(3, NEVER)) as world:
        resume = NO_PLACE | {"ticket": ticket}
        answers = [await ask(await client(world, MALLORY), resume) for _ in range(5)]
        assert answers == ["4004"] * 3 + ["1013"] * 2
        assert refused(world) == {Limit.FAILED_RESUMES: 2}
        assert await ask(await client(world, ANN), resume) == "4004"


async def test_failed_resumes_of_an_identity_count_from_each_address(autojump_clock) -> None:
    async with limited(failed_resumes=Rate(3, NEVER), auth=PathAuth()) as world:
        answers = [
            await ask(await client(world, f"192.0.2.{number}", "/alice"), NO_PLACE)
            for number in range(5)
        ]
        assert answers == ["4004"] * 3 + ["1013"] * 2
        assert await ask(await client(world, "192.0.2.9", "/bob"), NO_PLACE) == "4004"


async def test_wrong_keys_against_a_full_room_are_counted_by_address(autojump_clock) -> None:
    async with limited(failed_resumes=Rate(3, NEVER)) as world:
        holder = await client(world, ANN)
        await say(holder, JOIN | {"key": "the right key of four"})
        room = (await hear(holder))["room"]
        for _ in range(3):
            assert await ask(await client(world, ANN), {"t": "join", "room": room}) == "joined"
        guesses = [
            await ask(await client(world, MALLORY), {"t": "join", "room": room, "key": f"no {n}"})
            for n in range(5)
        ]
        assert guesses == ["full"] * 3 + ["too_many"] * 2
        assert refused(world) == {Limit.FAILED_RESUMES: 2}
        assert await ask(await client(world, MALLORY), NO_PLACE) == "4004"


@pytest.mark.parametrize("by", ["address", "identity"])
async def test_joins_with_the_key_of_anothers_seat_are_failed_resumes(
    autojump_clock, by: str
) -> None:
    async with limited(failed_resumes=Rate(3, NEVER), auth=PathAuth()) as world:
        join = JOIN | {"key": "the key of Ann's seat"}
        assert await ask(await client(world, ANN, "/ann"), join) == "joined"
        answers = []
        for number in range(5):
            where = MALLORY if by == "address" else f"198.51.100.{number}"
            path = "/mallory" if by == "identity" else f"/mallory{number}"
            answers.append(await ask(await client(world, where, path), join))
        assert answers == ["4004"] * 3 + ["1013"] * 2
        assert refused(world) == {Limit.FAILED_RESUMES: 2}
        assert await ask(await client(world, "198.51.100.9", "/bob"), join) == "4004"


async def test_a_frame_beyond_the_rate_ends_its_socket_with_4101_and_no_other(
    autojump_clock,
) -> None:
    async with limited(inputs=Rate(5, NEVER)) as world:
        for _ in range(2):
            peer, other = await client(world, MALLORY), await client(world, MALLORY)
            await peer.send(frame(b'{"t":"got","seq":0}') * 6)
            assert await close_code(peer) == 4101
            assert await ask(other, JOIN) == "joined"
        assert refused(world) == {Limit.INPUTS: 2}


async def test_bytes_beyond_the_rate_end_their_socket_with_4101_and_no_other(
    autojump_clock,
) -> None:
    async with limited(input_bytes=Rate(1_000, NEVER)) as world:
        peer, other = await client(world, MALLORY), await client(world, MALLORY)
        await peer.send(frame(b'{"t":"got","seq":0}' + b" " * 481) * 3)
        assert await close_code(peer) == 4101
        assert await ask(other, JOIN) == "joined"
        assert refused(world) == {Limit.INPUT_BYTES: 1}


async def test_a_room_beyond_those_of_the_node_is_full(autojump_clock) -> None:
    async with limited(rooms=2) as world:
        first, second, third = [await client(world, MALLORY) for _ in range(3)]
        assert [await ask(peer, JOIN) for peer in (first, second, third)] == [
            "joined",
            "joined",
            "full",
        ]
        assert refused(world) == {Limit.ROOMS: 1}
        assert await ask(third, JOIN | {"new": False}) == "joined"


async def test_an_address_opens_5_rooms_and_one_a_second_however_often_it_reconnects(
    autojump_clock,
) -> None:
    async with limited(rooms_opened=Rate(5, 1)) as world:
        answers = []
        for _ in range(100):
            answers.append(await ask(await client(world, MALLORY), JOIN))
            world.close_peers()
            await trio.sleep(0.1)
        assert set(answers) == {"joined", "too_many"}
        assert answers.count("joined") in range(14, 17)
        assert refused(world) == {Limit.ROOMS_OPENED: answers.count("too_many")}
        assert await ask(await client(world, ANN), JOIN) == "joined"


async def test_seats_beyond_an_addresss_are_too_many_also_while_their_players_are_away(
    autojump_clock,
) -> None:
    async with limited(seats_per_address=2) as world:
        for _ in range(2):
            peer = await client(world, MALLORY)
            assert await ask(peer, JOIN) == "joined"
            await say(peer, {"t": "got", "seq": 0})
        world.close_peers()
        assert await ask(await client(world, MALLORY), JOIN) == "too_many"
        assert await ask(await client(world, ANN), JOIN) == "joined"
        assert refused(world) == {Limit.SEATS_PER_ADDRESS: 1}
        await trio.sleep(8)
        assert await ask(await client(world, MALLORY), JOIN) == "joined"


async def test_seats_beyond_an_identitys_are_too_many_from_each_address(autojump_clock) -> None:
    async with limited(seats_per_identity=2, auth=PathAuth()) as world:
        answers = [
            await ask(await client(world, f"192.0.2.{number}", "/alice"), JOIN)
            for number in range(3)
        ]
        assert answers == ["joined", "joined", "too_many"]
        assert await ask(await client(world, "192.0.2.1", "/bob"), JOIN) == "joined"
        assert refused(world) == {Limit.SEATS_PER_IDENTITY: 1}


async def test_with_the_default_limits_an_address_opens_at_most_1_160_rooms_in_8_s_by_reconnecting(
    autojump_clock,
) -> None:
    async with limited() as world:
        began, opened, refusals = trio.current_time(), 0, 0
        while trio.current_time() < began + 8:
            peers = [await client(world, MALLORY) for _ in range(20)]
            for peer in peers:
                answer = await ask(peer, JOIN)
                opened += answer == "joined"
                refusals += answer == "too_many"
            world.close_peers()
            await trio.sleep(0.1)
        assert 1_000 <= opened <= 1_000 + 8 * 20 + 20
        assert refusals > 0
