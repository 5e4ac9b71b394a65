"""Clients who want more than their share of rooms, seats, guesses, bytes: one beyond each limit."""

from __future__ import annotations

import pytest
import trio

from lastcall.api.sessions.client_connection import LOTS
from lastcall.limits import Limit, Rate
from tests.api.paths import PING, PONG, frame
from tests.api.world import close_code, hear, say
from tests.attack.limited_world import (
    ANN,
    JOIN,
    MALLORY,
    NEVER,
    NO_PLACE,
    PathAuth,
    ask,
    client,
    limited,
    refused,
)


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


@pytest.mark.parametrize(
    "odd",
    [frame(b"", PING), frame(b"x" * 125, PONG), frame(b"", 0x01) + frame(b"", 0x00) * 9],
    ids=["pings", "pongs", "parts"],
)
async def test_frames_that_no_session_sees_count_against_the_rate_too(
    autojump_clock, odd: bytes
) -> None:
    async with limited(inputs=Rate(50, NEVER)) as world:
        peer, other = await client(world, MALLORY), await client(world, MALLORY)
        await peer.send(frame(b'{"t":"got","seq":0}'), odd * 60)
        assert await close_code(peer) == 4101
        assert await ask(other, JOIN) == "joined"
        assert refused(world) == {Limit.INPUTS: 1}


@pytest.mark.parametrize("burst", [63, 64, 640, 1_000])
async def test_a_client_may_send_the_burst_and_one_lot_more_but_no_second_one(
    autojump_clock, burst: int
) -> None:
    lot = max(1, burst // LOTS)
    async with limited(inputs=Rate(burst, NEVER)) as world:
        peer = await client(world, MALLORY)
        await peer.send(frame(b'{"t":"got","seq":0}') * (burst - 1))
        assert await ask(peer, JOIN) == "joined", "the last of the burst"
        await peer.send(frame(b'{"t":"got","seq":0}') * lot)
        assert await close_code(peer) == 4101
        assert refused(world) == {Limit.INPUTS: 1}


@pytest.mark.parametrize(("burst", "size"), [(1_100, 500), (64_000, 99), (64_000, 1_001)])
async def test_bytes_beyond_the_rate_end_their_socket_with_4101_and_no_other(
    autojump_clock, burst: int, size: int
) -> None:
    frames = burst // size
    async with limited(input_bytes=Rate(burst, NEVER)) as world:
        peer, other = await client(world, MALLORY), await client(world, MALLORY)
        whole = frame(b'{"t":"got","seq":0}'.ljust(size))
        await peer.send(whole * frames)
        assert await ask(peer, JOIN) == "joined"
        await peer.send(whole * (burst // LOTS // size + 2))
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
