"""A player's socket is lost: what becomes of his seat, and when his room hears of it."""

from __future__ import annotations

from typing import Any

import pytest
import trio
import trio.lowlevel
from trio.testing import MockClock, wait_all_tasks_blocked

from lastcall import Away, Back, Draining, Joined, Kind, Left, Room, Said, room
from lastcall.author import Event
from lastcall.policy import RoomPolicy
from lastcall.reasons import EndReason, ErrorCode
from lastcall.wire import nodes
from tests.host.house import NORTH, SOUTH, House, hall, opened, watched

pytestmark = pytest.mark.usefixtures("schedule")


def seated(house: House, kind: Kind, **fields: Any) -> nodes.Seated:
    """One who has shown that he knows of his seat."""
    seat: nodes.Seated = house.join(kind, **fields)
    house.confirm(seat)
    return seat


def without_joins(seen: list[Event]) -> list[Event]:
    return [event for event in seen if not isinstance(event, Joined)]


async def test_an_absence_is_told_after_2_s_and_the_seat_is_free_after_30(
    autojump_clock: MockClock,
) -> None:
    kind, seen = watched()
    async with opened(kind) as house:
        ann, bob = seated(house, kind), seated(house, kind)
        house.lose(ann)
        await trio.sleep(1.99)
        assert without_joins(seen) == []
        await trio.sleep(0.02)
        assert without_joins(seen) == [Away(ann.player)]
        await trio.sleep(27.98)
        assert (house.host.players, house.host.seats()) == (2, {"watched": 6})
        await trio.sleep(0.02)
        assert without_joins(seen) == [Away(ann.player), Left(ann.player)]
        assert (house.host.players, house.host.seats()) == (1, {"watched": 7})
        assert house.resume(ann).code == nodes.NO_SUCH_PLACE
        assert house.all_of(nodes.Out) == []
        assert house.resume(bob).session == 2


async def test_a_resume_that_lay_unread_while_the_process_stood_still_finds_its_seat(
    autojump_clock: MockClock,
) -> None:
    """Away for 29 s, stopped for 5: what has come meanwhile is read 0.3 s later."""
    kind, seen = watched()
    async with opened(kind) as house:
        ann = seated(house, kind)
        house.lose(ann)
        await trio.sleep(29)
        autojump_clock.jump(5)
        await trio.sleep(0.3)
        assert house.resume(ann).session == 2
        await trio.sleep(100)
        assert without_joins(seen) == [Away(ann.player), Back(ann.player)]


@pytest.mark.parametrize(("before", "told_at"), [(1.1, 7), (29, 2)])
async def test_the_5_s_in_which_the_process_stood_still_are_added_to_the_seats_30(
    autojump_clock: MockClock, before: float, told_at: float
) -> None:
    """To the 2 s of the notice too. The loop is looked at every 0.25 s: so exact is it known."""
    kind, seen = watched()
    async with opened(kind) as house:
        ann = seated(house, kind)
        start = trio.current_time()
        house.lose(ann)
        await trio.sleep(before)
        autojump_clock.jump(5)
        await trio.sleep_until(start + max(told_at - 0.3, before + 5))
        assert without_joins(seen) == [Away(ann.player)][: before > told_at]
        await trio.sleep_until(start + max(told_at, before + 5) + 0.01)
        assert without_joins(seen) == [Away(ann.player)]
        await trio.sleep_until(start + 34.7)
        assert house.host.players == 1
        await trio.sleep_until(start + 35.01)
        assert house.host.players == 0


async def test_after_a_stall_a_seat_whose_time_was_over_is_free_half_a_second_later(
    autojump_clock: MockClock,
) -> None:
    """29.9 s of 30 had run: they are over within the half second in which the unread is read."""
    kind, _ = watched()
    async with opened(kind) as house:
        house.lose(seated(house, kind))
        await trio.sleep(29.9)
        autojump_clock.jump(5)
        await trio.sleep(0.49)
        assert house.host.players == 1
        await trio.sleep(0.02)
        assert house.host.players == 0


async def test_of_10_000_who_are_away_at_once_none_is_taken_for_a_stall(
    autojump_clock: MockClock,
) -> None:
    """Their steps take many turns of the loop; no step is put off."""
    async with opened(hall) as house:
        for seat in [seated(house, hall) for _ in range(10_000)]:
            house.lose(seat)
        await trio.sleep(30.01)
        assert house.host.players == 0


async def test_a_kind_has_its_own_seconds(autojump_clock: MockClock) -> None:
    kind, seen = watched(resume_seconds=7)
    async with opened(kind) as house:
        ann = seated(house, kind)
        house.lose(ann)
        await trio.sleep(6.99)
        assert without_joins(seen) == [Away(ann.player)]
        await trio.sleep(0.02)
        assert without_joins(seen) == [Away(ann.player), Left(ann.player)]


async def test_a_kind_that_keeps_no_seats_frees_them_at_once() -> None:
    kind, seen = watched(resume_seconds=0)
    async with opened(kind) as house:
        ann = seated(house, kind)
        house.lose(ann)
        assert house.host.players == 0
        await wait_all_tasks_blocked()
        assert without_joins(seen) == [Left(ann.player)]


async def test_who_is_back_within_2_s_costs_his_room_no_event(autojump_clock: MockClock) -> None:
    kind, seen = watched()
    async with opened(kind) as house:
        ann = seated(house, kind)
        for _ in range(5):
            house.lose(ann)
            await trio.sleep(1.9)
            ann = house.resume(ann)
        await trio.sleep(100)
        assert seen == [Joined(ann.player)]
        assert house.host.players == 1


async def test_who_is_back_later_costs_it_away_and_back(autojump_clock: MockClock) -> None:
    kind, seen = watched()
    async with opened(kind) as house:
        ann = seated(house, kind, key="k")
        house.lose(ann)
        await trio.sleep(29)
        ann = house.resume(ann)
        house.say(ann, 1, "here")
        await trio.sleep(29)
        house.lose(ann)
        await trio.sleep(3)
        house.join(kind, key="k")
        await trio.sleep(100)
        who = ann.player
        once = [Away(who), Back(who)]
        assert without_joins(seen) == [*once, Said(who, "here"), *once]


async def test_a_seat_that_nobody_has_confirmed_is_kept_for_5_s(autojump_clock: MockClock) -> None:
    kind, _ = watched()
    async with opened(kind) as house:
        house.lose(house.join(kind))
        house.lose(seated(house, kind))
        said = house.join(kind)
        house.say(said, 1, "I know")
        house.lose(said)
        await trio.sleep(4.99)
        assert house.host.players == 3
        await trio.sleep(0.02)
        assert house.host.players == 2


async def test_the_absence_of_an_older_session_is_nothing(autojump_clock: MockClock) -> None:
    kind, seen = watched()
    async with opened(kind) as house:
        ann = seated(house, kind)
        house.resume(ann, link=SOUTH)
        house.lose(ann)
        await trio.sleep(100)
        assert seen == [Joined(ann.player)]


async def test_an_absence_that_is_told_twice_counts_from_the_first(
    autojump_clock: MockClock,
) -> None:
    kind, _ = watched()
    async with opened(kind) as house:
        ann = seated(house, kind)
        house.lose(ann)
        await trio.sleep(20)
        house.lose(ann)
        house.host.drop_link(NORTH)
        await trio.sleep(10.01)
        assert house.host.players == 0


async def test_nothing_is_sent_to_a_player_who_is_away() -> None:
    kind, _ = watched()
    async with opened(kind) as house:
        ann, bob = seated(house, kind), seated(house, kind, link=SOUTH)
        house.say(ann, 1, "before")
        house.lose(ann)
        house.say(bob, 1, ["to", ann.player, "psst"])
        house.say(bob, 2, "after")
        house.say(ann, 2, "I am not here")
        await wait_all_tasks_blocked()
        house.host.flush_acks()
        assert house.said(SOUTH) == ["before", "after"]
        assert house.said(NORTH) == []
        assert house.all_of(nodes.Acks, NORTH) == []


async def test_a_lost_link_is_an_absence_of_all_its_players(autojump_clock: MockClock) -> None:
    kind, seen = watched()
    async with opened(kind) as house:
        ann, bob = seated(house, kind), seated(house, kind)
        house.join(kind, link=SOUTH)
        house.host.drop_link(NORTH)
        await trio.sleep(2.01)
        assert without_joins(seen) == [Away(ann.player), Away(bob.player)]
        await trio.sleep(28)
        assert without_joins(seen)[2:] == [Left(ann.player), Left(bob.player)]
        assert house.host.players == 1


async def test_a_lost_link_with_many_players_holds_the_loop_for_a_few_steps_at_a_time(
    autojump_clock: MockClock,
) -> None:
    """1 000 in one room: one of the last comes back before his loss was seen, and was not away."""
    async with opened(hall) as house:
        seats = [house.join(hall) for _ in range(1000)]
        for seat in seats:
            house.confirm(seat)
        table = house.host.find(seats[0].room)
        assert table is not None
        house.host.drop_link(NORTH)
        assert 0 < len(house.host.disconnects) < 100
        house.resume(seats[-1], link=SOUTH)
        turns = 0
        while len(house.host.disconnects) < 999:
            turns += 1
            before = len(house.host.disconnects)
            await trio.lowlevel.checkpoint()
            assert len(house.host.disconnects) - before < 200  # a turn of ours may be two of its
        assert turns < 50
        await trio.sleep(1)
        assert table.roster.links == {SOUTH: 1}


async def test_a_room_that_ends_while_its_players_are_being_lost_is_remembered_for_them(
    autojump_clock: MockClock,
) -> None:
    async with opened(hall) as house:
        seats = [house.join(hall) for _ in range(1000)]
        for seat in seats:
            house.confirm(seat)
        house.host.drop_link(NORTH)
        table = house.host.find(seats[0].room)
        assert table is not None
        table.cancel(EndReason.CUT)
        await trio.sleep(1)
        assert house.host.rooms == 0
        assert house.host.why() == ["1000 player(s) between two sockets, whose rooms have ended"]


async def test_a_player_who_leaves_frees_his_seat_at_once_also_while_he_is_away() -> None:
    kind, seen = watched()
    async with opened(kind) as house:
        ann, bob = seated(house, kind), seated(house, kind)
        house.leave(ann)
        house.lose(bob)
        house.leave(bob)
        await wait_all_tasks_blocked()
        assert without_joins(seen) == [Left(ann.player), Left(bob.player)]
        assert house.all_of(nodes.Out) == [nodes.Out(ann.room, ann.player, "left")]
        assert len(house.host.disconnects) == 0


async def test_who_is_kicked_while_he_is_away_finds_no_place(autojump_clock: MockClock) -> None:
    @room("strict", seats=2)
    async def strict(table: Room) -> Any:
        async for event in table:
            if isinstance(event, Away):
                table.kick(event.player)

    async with opened(strict) as house:
        ann = seated(house, strict)
        house.lose(ann)
        await trio.sleep(3)
        assert house.host.players == 0
        assert house.resume(ann).code == nodes.NO_SUCH_PLACE
        assert len(house.host.disconnects) == 0


async def test_an_away_seat_is_a_taken_seat(autojump_clock: MockClock) -> None:
    kind, _ = watched(seats=2, starts=2)
    async with opened(kind) as house:
        ann = seated(house, kind)
        house.lose(ann)
        await trio.sleep(10)
        bob = house.join(kind)
        assert bob.room == ann.room
        assert [player.id for player in bob.players] == [ann.player, bob.player]
        assert house.join(room=ann.room).code == ErrorCode.FULL
        house.host.drain(trio.current_time() + 30)
        assert house.all_of(nodes.Regroup) == []  # it has started


async def test_a_room_whose_players_are_all_away_goes_on(autojump_clock: MockClock) -> None:
    @room("ticking", seats=2)
    async def ticking(table: Room) -> Any:
        for tick in range(20):
            await trio.sleep(1)
            table.broadcast(tick)

    async with opened(ticking) as house:
        ann = seated(house, ticking)
        await trio.sleep(2.5)
        house.lose(ann)
        await trio.sleep(10)
        assert house.resume(ann, 2).complete
        assert house.replayed() == [(n, n - 1) for n in range(3, 13)]


async def test_a_crowd_that_is_lost_at_once_is_told_of_in_order_and_in_small_steps(
    autojump_clock: MockClock,
) -> None:
    kind, seen = watched(seats=1_000)
    steps: list[int] = []

    async def bystander() -> None:
        await trio.sleep(2)
        while len(seen) < 2_000:
            before = len(seen)
            await trio.lowlevel.checkpoint()
            steps.append(len(seen) - before)

    async with opened(kind) as house, trio.open_nursery() as nursery:
        seats = [seated(house, kind) for _ in range(1_000)]
        await wait_all_tasks_blocked()
        nursery.start_soon(bystander)
        for seat in seats:
            house.lose(seat)
        await trio.sleep(2.01)
        assert seen[1_000:] == [Away(seat.player) for seat in seats]
        assert max(steps) <= 2 * 64
        await trio.sleep(28)
        assert seen[2_000:] == [Left(seat.player) for seat in seats]


# The drain


async def test_in_a_drain_a_seat_is_kept_for_5_s(autojump_clock: MockClock) -> None:
    kind, seen = watched()
    async with opened(kind) as house:
        ann, bob = seated(house, kind), seated(house, kind)
        house.host.drain(trio.current_time() + 60)
        await trio.sleep(1)
        house.lose(ann)
        await trio.sleep(4.99)
        assert house.host.players == 2
        await trio.sleep(0.02)
        assert [type(e) for e in without_joins(seen)] == [Draining, Away, Left]
        assert house.host.rooms == 1
        house.leave(bob)


@pytest.mark.parametrize(("away_for", "left_at"), [(1, 5), (4, 5), (20, 20)])
async def test_a_drain_that_begins_while_he_is_away_leaves_him_5_s_from_when_he_was_lost(
    autojump_clock: MockClock, away_for: float, left_at: float
) -> None:
    kind, _ = watched()
    async with opened(kind) as house:
        ann = seated(house, kind)
        seated(house, kind, link=SOUTH)
        start = trio.current_time()
        house.lose(ann)
        await trio.sleep(away_for)
        house.host.drain(trio.current_time() + 60)
        if left_at > away_for:
            await trio.sleep_until(start + left_at - 0.01)
            assert house.host.players == 2
        await trio.sleep(0.02)
        assert house.host.players == 1


async def test_a_drain_lengthens_no_absence(autojump_clock: MockClock) -> None:
    kind, _ = watched()
    async with opened(kind) as house:
        ann = seated(house, kind)
        seated(house, kind, link=SOUTH)
        house.lose(ann)
        await trio.sleep(29)
        house.host.drain(trio.current_time() + 60)
        await trio.sleep(0.01)
        assert house.host.players == 1
        short, _ = watched(resume_seconds=3)
    async with opened(short) as house:
        ann = seated(house, short)
        seated(house, short, link=SOUTH)
        house.lose(ann)
        house.host.drain(trio.current_time() + 60)
        await trio.sleep(3.01)
        assert house.host.players == 1


async def test_a_draining_room_with_nobody_connected_for_5_s_is_abandoned(
    autojump_clock: MockClock,
) -> None:
    kind, _ = watched()
    async with opened(kind) as house:
        ann, bob = seated(house, kind), seated(house, kind)
        start = trio.current_time()
        house.host.drain(start + 60)
        house.lose(ann)
        await trio.sleep(3)
        house.lose(bob)
        await house.host.wait_empty()
        assert trio.current_time() - start == 8
        assert house.host.ends[EndReason.ABANDONED] == 1
        assert house.ends() == []


async def test_who_comes_back_to_a_draining_room_in_time_keeps_it(
    autojump_clock: MockClock,
) -> None:
    kind, _ = watched()
    async with opened(kind) as house:
        ann = seated(house, kind)
        house.host.drain(trio.current_time() + 60)
        house.lose(ann)
        await trio.sleep(4.9)
        house.resume(ann, link=SOUTH)
        await trio.sleep(50)
        assert house.host.rooms == 1


async def test_of_a_room_that_is_regrouped_those_away_are_regrouped_when_they_are_back(
    autojump_clock: MockClock,
) -> None:
    kind, _ = watched(starts=3)
    async with opened(kind) as house:
        ann, bob = seated(house, kind), seated(house, kind, key="k")
        house.lose(ann)
        start = trio.current_time()
        house.host.close_doors()
        house.host.drain(start + 60)
        [regroup] = house.all_of(nodes.Regroup)
        assert regroup.players == [(bob.player, "", "k")]
        again = house.resume(ann)  # in the same instant: the room's function has not ended yet
        assert again.session == ann.session + 1
        mine = [(ann.player, "", "")]
        assert house.told[-1] == (NORTH, nodes.Regroup(ann.room, 0, kind.name, mine, b"{}"))
        assert house.join(kind, key="k").code == nodes.DRAINING
        assert house.join(kind, key="k", seated_only=True).code == nodes.NO_SUCH_PLACE
        await house.host.wait_empty()
        assert trio.current_time() == start
        assert (house.host.regrouped, house.ends()) == (1, [])


async def test_only_the_short_time_of_the_policy_is_short(autojump_clock: MockClock) -> None:
    kind, seen = watched()
    policy = RoomPolicy(resume_seconds=9, away_seconds=1, drain_grace_seconds=3)
    async with opened(kind, policy=policy) as house:
        ann = seated(house, kind)
        house.lose(ann)
        await trio.sleep(1.01)
        assert without_joins(seen) == [Away(ann.player)]
        await trio.sleep(8)
        assert without_joins(seen) == [Away(ann.player), Left(ann.player)]
