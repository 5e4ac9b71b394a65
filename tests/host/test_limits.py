"""A game node's limits: rooms, rooms opened, and seats at once, counted by address."""

from __future__ import annotations

import pytest
import trio

from lastcall.identity import Identity
from lastcall.limits import Limit, Limits, Rate
from lastcall.policy import RoomPolicy
from lastcall.reasons import ErrorCode
from lastcall.wire import nodes
from tests.host.host_harness import echo, huge, open_host

MALLORY, ANN = "192.0.2.1", "192.0.2.2"


async def test_in_10_s_an_address_opens_at_most_5_rooms_and_one_a_second_however_often_it_leaves(
    autojump_clock,
) -> None:
    policy = RoomPolicy(limits=Limits(rooms_opened=Rate(5, 1)))
    async with open_host(echo, policy=policy) as harness:
        opened = 0
        for _ in range(1_000):
            seat = harness.join(echo, new=True, address=MALLORY)
            if isinstance(seat, nodes.Seated):
                opened += 1
                harness.host.handle(1, nodes.Leave(seat.room, seat.player, seat.session))
            else:
                assert seat.code == ErrorCode.TOO_MANY
                assert harness.join(echo, new=True, address=ANN) is not None
            await trio.sleep(0.01)
        assert opened == 5 + 9
        assert harness.host.running.limits.refused[Limit.ROOMS_OPENED] >= 1_000 - opened


async def test_a_join_that_finds_an_open_room_opens_none(autojump_clock) -> None:
    policy = RoomPolicy(limits=Limits(rooms_opened=Rate(1, 0.001)))
    async with open_host(huge, policy=policy) as harness:
        seats = [harness.join(huge, address=MALLORY) for _ in range(50)]
        assert {seat.room for seat in seats} == {seats[0].room}
        assert harness.join(huge, new=True, address=MALLORY).code == ErrorCode.TOO_MANY


async def test_an_address_has_3_seats_at_once_and_a_freed_one_may_be_taken_again(
    autojump_clock,
) -> None:
    policy = RoomPolicy(limits=Limits(seats_per_address=3))
    async with open_host(huge, policy=policy) as harness:
        seats = [harness.join(huge, address=MALLORY) for _ in range(3)]
        assert harness.join(huge, address=MALLORY).code == ErrorCode.TOO_MANY
        assert harness.join(room=seats[0].room, address=MALLORY).code == ErrorCode.TOO_MANY
        assert isinstance(harness.join(huge, address=ANN), nodes.Seated)
        harness.host.handle(1, nodes.Leave(seats[0].room, seats[0].player, seats[0].session))
        assert isinstance(harness.join(huge, address=MALLORY), nodes.Seated)
        assert harness.join(huge, address=MALLORY).code == ErrorCode.TOO_MANY


@pytest.mark.parametrize("ending", ["end", "crash", "kick", "away", "cut"])
async def test_however_a_seat_ends_it_does_not_count_any_more(autojump_clock, ending: str) -> None:
    async with open_host(echo, policy=RoomPolicy(resume_seconds=5)) as harness:
        seat = harness.join(echo, address=MALLORY)
        assert len(harness.host.running.limits.seats) == 1
        if ending == "away":
            harness.host.handle(1, nodes.Absent(seat.room, seat.player, seat.session))
        elif ending == "cut":
            harness.host.cut()
        else:
            harness.say(seat, 1, ending)
        await trio.sleep(70)
        assert len(harness.host.running.limits.seats) == 0


async def test_a_seat_of_a_player_who_is_away_still_counts(autojump_clock) -> None:
    policy = RoomPolicy(limits=Limits(seats_per_address=1), resume_seconds=30)
    async with open_host(huge, policy=policy) as harness:
        seat = harness.join(huge, address=MALLORY)
        harness.host.handle(1, nodes.Confirm(seat.room, seat.player, seat.session))
        harness.host.handle(1, nodes.Absent(seat.room, seat.player, seat.session))
        await trio.sleep(29)
        assert harness.join(huge, address=MALLORY).code == ErrorCode.TOO_MANY
        await trio.sleep(2)
        assert isinstance(harness.join(huge, address=MALLORY), nodes.Seated)


async def test_an_unknown_address_has_no_limit(autojump_clock) -> None:
    policy = RoomPolicy(limits=Limits(rooms_opened=Rate(1, 0.001), seats_per_address=1))
    async with open_host(echo, policy=policy) as harness:
        assert all(isinstance(harness.join(echo, new=True), nodes.Seated) for _ in range(20))


async def test_a_player_whose_room_was_regrouped_is_not_refused(autojump_clock) -> None:
    policy = RoomPolicy(limits=Limits(rooms_opened=Rate(1, 0.001), seats_per_address=1))
    async with open_host(echo, policy=policy) as harness:
        harness.join(echo, new=True, address=MALLORY)
        former = ("game-9.room.p1.secret",)
        again = harness.join(echo, new=True, address=MALLORY, former=former)
        assert isinstance(again, nodes.Seated)


async def test_an_identity_has_2_seats_at_once_from_wherever_it_comes(autojump_clock) -> None:
    policy = RoomPolicy(limits=Limits(seats_per_identity=2))
    async with open_host(huge, policy=policy) as harness:
        for address in (MALLORY, ANN):
            seat = harness.join(huge, address=address, identity=Identity("alice"))
            assert isinstance(seat, nodes.Seated)
        refused = harness.join(huge, address="192.0.2.3", identity=Identity("alice"))
        assert refused.code == ErrorCode.TOO_MANY
        bob = harness.join(huge, address=MALLORY, identity=Identity("bob"))
        assert isinstance(bob, nodes.Seated)
        assert harness.host.running.limits.refused[Limit.SEATS_PER_IDENTITY] == 1
