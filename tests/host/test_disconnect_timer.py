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
from tests.host.host_harness import NORTH, SOUTH, HostHarness, huge, opened, watched

pytestmark = pytest.mark.usefixtures("schedule")


def seated(harness: HostHarness, kind: Kind, **fields: Any) -> nodes.Seated:
    """One who has shown that he knows of his seat."""
    seat: nodes.Seated = harness.join(kind, **fields)
    harness.confirm(seat)
    return seat


def without_joins(seen: list[Event]) -> list[Event]:
    return [event for event in seen if not isinstance(event, Joined)]


async def test_an_absence_is_told_after_2_s_and_the_seat_is_free_after_30(
    autojump_clock: MockClock,
) -> None:
    kind, seen = watched()
    async with opened(kind) as harness:
        ann, bob = seated(harness, kind), seated(harness, kind)
        harness.lose(ann)
        await trio.sleep(1.99)
        assert without_joins(seen) == []
        await trio.sleep(0.02)
        assert without_joins(seen) == [Away(ann.player)]
        await trio.sleep(27.98)
        assert (harness.host.players, harness.host.running.open_rooms.seats()) == (
            2,
            {"watched": 6},
        )
        await trio.sleep(0.02)
        assert without_joins(seen) == [Away(ann.player), Left(ann.player)]
        assert (harness.host.players, harness.host.running.open_rooms.seats()) == (
            1,
            {"watched": 7},
        )
        assert harness.resume(ann).code == nodes.NO_SUCH_PLACE
        assert harness.all_of(nodes.Out) == []
        assert harness.resume(bob).session == 2


async def test_a_resume_that_lay_unread_while_the_process_stood_still_finds_its_seat(
    autojump_clock: MockClock,
) -> None:
    """Away for 29 s, stopped for 5: what has come meanwhile is read 0.3 s later."""
    kind, seen = watched()
    async with opened(kind) as harness:
        ann = seated(harness, kind)
        harness.lose(ann)
        await trio.sleep(29)
        autojump_clock.jump(5)
        await trio.sleep(0.3)
        assert harness.resume(ann).session == 2
        await trio.sleep(100)
        assert without_joins(seen) == [Away(ann.player), Back(ann.player)]


@pytest.mark.parametrize(("before", "told_at"), [(1.1, 7), (29, 2)])
async def test_the_5_s_in_which_the_process_stood_still_are_added_to_the_seats_30(
    autojump_clock: MockClock, before: float, told_at: float
) -> None:
    """To the 2 s of the notice too. The loop is looked at every 0.25 s: so exact is it known."""
    kind, seen = watched()
    async with opened(kind) as harness:
        ann = seated(harness, kind)
        start = trio.current_time()
        harness.lose(ann)
        await trio.sleep(before)
        autojump_clock.jump(5)
        await trio.sleep_until(start + max(told_at - 0.3, before + 5))
        assert without_joins(seen) == [Away(ann.player)][: before > told_at]
        await trio.sleep_until(start + max(told_at, before + 5) + 0.01)
        assert without_joins(seen) == [Away(ann.player)]
        await trio.sleep_until(start + 34.7)
        assert harness.host.players == 1
        await trio.sleep_until(start + 35.01)
        assert harness.host.players == 0


async def test_after_a_stall_a_seat_whose_time_was_over_is_free_half_a_second_later(
    autojump_clock: MockClock,
) -> None:
    """29.9 s of 30 had run: they are over within the half second in which the unread is read."""
    kind, _ = watched()
    async with opened(kind) as harness:
        harness.lose(seated(harness, kind))
        await trio.sleep(29.9)
        autojump_clock.jump(5)
        await trio.sleep(0.49)
        assert harness.host.players == 1
        await trio.sleep(0.02)
        assert harness.host.players == 0


async def test_of_10_000_who_are_away_at_once_none_is_taken_for_a_stall(
    autojump_clock: MockClock,
) -> None:
    """Their steps take many turns of the loop; no step is put off."""
    async with opened(huge) as harness:
        for seat in [seated(harness, huge) for _ in range(10_000)]:
            harness.lose(seat)
        await trio.sleep(30.01)
        assert harness.host.players == 0


async def test_a_kind_has_its_own_seconds(autojump_clock: MockClock) -> None:
    kind, seen = watched(resume_seconds=7)
    async with opened(kind) as harness:
        ann = seated(harness, kind)
        harness.lose(ann)
        await trio.sleep(6.99)
        assert without_joins(seen) == [Away(ann.player)]
        await trio.sleep(0.02)
        assert without_joins(seen) == [Away(ann.player), Left(ann.player)]


async def test_a_kind_that_keeps_no_seats_frees_them_at_once() -> None:
    kind, seen = watched(resume_seconds=0)
    async with opened(kind) as harness:
        ann = seated(harness, kind)
        harness.lose(ann)
        assert harness.host.players == 0
        await wait_all_tasks_blocked()
        assert without_joins(seen) == [Left(ann.player)]


async def test_who_is_back_within_2_s_costs_his_room_no_event(autojump_clock: MockClock) -> None:
    kind, seen = watched()
    async with opened(kind) as harness:
        ann = seated(harness, kind)
        for _ in range(5):
            harness.lose(ann)
            await trio.sleep(1.9)
            ann = harness.resume(ann)
        await trio.sleep(100)
        assert seen == [Joined(ann.player)]
        assert harness.host.players == 1


async def test_who_is_back_later_costs_it_away_and_back(autojump_clock: MockClock) -> None:
    kind, seen = watched()
    async with opened(kind) as harness:
        ann = seated(harness, kind, key="k")
        harness.lose(ann)
        await trio.sleep(29)
        ann = harness.resume(ann)
        harness.say(ann, 1, "here")
        await trio.sleep(29)
        harness.lose(ann)
        await trio.sleep(3)
        harness.join(kind, key="k")
        await trio.sleep(100)
        who = ann.player
        once = [Away(who), Back(who)]
        assert without_joins(seen) == [*once, Said(who, "here"), *once]


async def test_a_seat_that_nobody_has_confirmed_is_kept_for_5_s(autojump_clock: MockClock) -> None:
    kind, _ = watched()
    async with opened(kind) as harness:
        harness.lose(harness.join(kind))
        harness.lose(seated(harness, kind))
        said = harness.join(kind)
        harness.say(said, 1, "I know")
        harness.lose(said)
        await trio.sleep(4.99)
        assert harness.host.players == 3
        await trio.sleep(0.02)
        assert harness.host.players == 2


async def test_the_absence_of_an_older_session_is_nothing(autojump_clock: MockClock) -> None:
    kind, seen = watched()
    async with opened(kind) as harness:
        ann = seated(harness, kind)
        harness.resume(ann, link=SOUTH)
        harness.lose(ann)
        await trio.sleep(100)
        assert seen == [Joined(ann.player)]


async def test_an_absence_that_is_told_twice_counts_from_the_first(
    autojump_clock: MockClock,
) -> None:
    kind, _ = watched()
    async with opened(kind) as harness:
        ann = seated(harness, kind)
        harness.lose(ann)
        await trio.sleep(20)
        harness.lose(ann)
        harness.host.drop_link(NORTH)
        await trio.sleep(10.01)
        assert harness.host.players == 0


async def test_nothing_is_sent_to_a_player_who_is_away() -> None:
    kind, _ = watched()
    async with opened(kind) as harness:
        ann, bob = seated(harness, kind), seated(harness, kind, link=SOUTH)
        harness.say(ann, 1, "before")
        harness.lose(ann)
        harness.say(bob, 1, ["to", ann.player, "psst"])
        harness.say(bob, 2, "after")
        harness.say(ann, 2, "I am not here")
        await wait_all_tasks_blocked()
        harness.host.flush_acks()
        assert harness.said(SOUTH) == ["before", "after"]
        assert harness.said(NORTH) == []
        assert harness.all_of(nodes.Acks, NORTH) == []


async def test_a_lost_link_is_an_absence_of_all_its_players(autojump_clock: MockClock) -> None:
    kind, seen = watched()
    async with opened(kind) as harness:
        ann, bob = seated(harness, kind), seated(harness, kind)
        harness.join(kind, link=SOUTH)
        harness.host.drop_link(NORTH)
        await trio.sleep(2.01)
        assert without_joins(seen) == [Away(ann.player), Away(bob.player)]
        await trio.sleep(28)
        assert without_joins(seen)[2:] == [Left(ann.player), Left(bob.player)]
        assert harness.host.players == 1


async def test_a_lost_link_with_many_players_holds_the_loop_for_a_few_steps_at_a_time(
    autojump_clock: MockClock,
) -> None:
    """1 000 in one room: one of the last comes back before his loss was seen, and was not away."""
    async with opened(huge) as harness:
        seats = [harness.join(huge) for _ in range(1000)]
        for seat in seats:
            harness.confirm(seat)
        table = harness.host.find(seats[0].room)
        assert table is not None
        harness.host.drop_link(NORTH)
        assert 0 < len(harness.host.running.disconnects) < 100
        harness.resume(seats[-1], link=SOUTH)
        turns = 0
        while len(harness.host.running.disconnects) < 999:
            turns += 1
            before = len(harness.host.running.disconnects)
            await trio.lowlevel.checkpoint()
            assert (
                len(harness.host.running.disconnects) - before < 200
            )  # a turn of ours may be two of its
        assert turns < 50
        await trio.sleep(1)
        assert table.state.roster.links == {SOUTH: 1}


async def test_a_room_that_ends_while_its_players_are_being_lost_is_remembered_for_them(
    autojump_clock: MockClock,
) -> None:
    async with opened(huge) as harness:
        seats = [harness.join(huge) for _ in range(1000)]
        for seat in seats:
            harness.confirm(seat)
        harness.host.drop_link(NORTH)
        table = harness.host.find(seats[0].room)
        assert table is not None
        table.cancel(EndReason.CUT)
        await trio.sleep(1)
        assert harness.host.rooms == 0
        assert harness.host.why() == ["1000 player(s) between two sockets, whose rooms have ended"]


async def test_a_player_who_leaves_frees_his_seat_at_once_also_while_he_is_away() -> None:
    kind, seen = watched()
    async with opened(kind) as harness:
        ann, bob = seated(harness, kind), seated(harness, kind)
        harness.leave(ann)
        harness.lose(bob)
        harness.leave(bob)
        await wait_all_tasks_blocked()
        assert without_joins(seen) == [Left(ann.player), Left(bob.player)]
        assert harness.all_of(nodes.Out) == [nodes.Out(ann.room, ann.player, "left")]
        assert len(harness.host.running.disconnects) == 0


async def test_who_is_kicked_while_he_is_away_finds_no_place(autojump_clock: MockClock) -> None:
    @room("strict", seats=2)
    async def strict(table: Room) -> Any:
        async for event in table:
            if isinstance(event, Away):
                table.kick(event.player)

    async with opened(strict) as harness:
        ann = seated(harness, strict)
        harness.lose(ann)
        await trio.sleep(3)
        assert harness.host.players == 0
        assert harness.resume(ann).code == nodes.NO_SUCH_PLACE
        assert len(harness.host.running.disconnects) == 0


async def test_an_away_seat_is_a_taken_seat(autojump_clock: MockClock) -> None:
    kind, _ = watched(seats=2, starts=2)
    async with opened(kind) as harness:
        ann = seated(harness, kind)
        harness.lose(ann)
        await trio.sleep(10)
        bob = harness.join(kind)
        assert bob.room == ann.room
        assert [player.id for player in bob.players] == [ann.player, bob.player]
        assert harness.join(room=ann.room).code == ErrorCode.FULL
        harness.host.drain(trio.current_time() + 30)
        assert harness.all_of(nodes.Regroup) == []  # it has started


async def test_a_room_whose_players_are_all_away_goes_on(autojump_clock: MockClock) -> None:
    @room("ticking", seats=2)
    async def ticking(table: Room) -> Any:
        for tick in range(20):
            await trio.sleep(1)
            table.broadcast(tick)

    async with opened(ticking) as harness:
        ann = seated(harness, ticking)
        await trio.sleep(2.5)
        harness.lose(ann)
        await trio.sleep(10)
        assert harness.resume(ann, 2).complete
        assert harness.replayed() == [(n, n - 1) for n in range(3, 13)]


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

    async with opened(kind) as harness, trio.open_nursery() as nursery:
        seats = [seated(harness, kind) for _ in range(1_000)]
        await wait_all_tasks_blocked()
        nursery.start_soon(bystander)
        for seat in seats:
            harness.lose(seat)
        await trio.sleep(2.01)
        assert seen[1_000:] == [Away(seat.player) for seat in seats]
        assert max(steps) <= 2 * 64
        await trio.sleep(28)
        assert seen[2_000:] == [Left(seat.player) for seat in seats]


# The drain


async def test_in_a_drain_a_seat_is_kept_for_5_s(autojump_clock: MockClock) -> None:
    kind, seen = watched()
    async with opened(kind) as harness:
        ann, bob = seated(harness, kind), seated(harness, kind)
        harness.host.drain(trio.current_time() + 60)
        await trio.sleep(1)
        harness.lose(ann)
        await trio.sleep(4.99)
        assert harness.host.players == 2
        await trio.sleep(0.02)
        assert [type(e) for e in without_joins(seen)] == [Draining, Away, Left]
        assert harness.host.rooms == 1
        harness.leave(bob)


@pytest.mark.parametrize(("away_for", "left_at"), [(1, 5), (4, 5), (20, 20)])
async def test_a_drain_that_begins_while_he_is_away_leaves_him_5_s_from_when_he_was_lost(
    autojump_clock: MockClock, away_for: float, left_at: float
) -> None:
    kind, _ = watched()
    async with opened(kind) as harness:
        ann = seated(harness, kind)
        seated(harness, kind, link=SOUTH)
        start = trio.current_time()
        harness.lose(ann)
        await trio.sleep(away_for)
        harness.host.drain(trio.current_time() + 60)
        if left_at > away_for:
            await trio.sleep_until(start + left_at - 0.01)
            assert harness.host.players == 2
        await trio.sleep(0.02)
        assert harness.host.players == 1


async def test_a_drain_lengthens_no_absence(autojump_clock: MockClock) -> None:
    kind, _ = watched()
    async with opened(kind) as harness:
        ann = seated(harness, kind)
        seated(harness, kind, link=SOUTH)
        harness.lose(ann)
        await trio.sleep(29)
        harness.host.drain(trio.current_time() + 60)
        await trio.sleep(0.01)
        assert harness.host.players == 1
        short, _ = watched(resume_seconds=3)
    async with opened(short) as harness:
        ann = seated(harness, short)
        seated(harness, short, link=SOUTH)
        harness.lose(ann)
        harness.host.drain(trio.current_time() + 60)
        await trio.sleep(3.01)
        assert harness.host.players == 1


async def test_a_draining_room_with_nobody_connected_for_5_s_is_abandoned(
    autojump_clock: MockClock,
) -> None:
    kind, _ = watched()
    async with opened(kind) as harness:
        ann, bob = seated(harness, kind), seated(harness, kind)
        start = trio.current_time()
        harness.host.drain(start + 60)
        harness.lose(ann)
        await trio.sleep(3)
        harness.lose(bob)
        await harness.host.wait_empty()
        assert trio.current_time() - start == 8
        assert harness.host.running.ends[EndReason.ABANDONED] == 1
        assert harness.ends() == []


async def test_who_comes_back_to_a_draining_room_in_time_keeps_it(
    autojump_clock: MockClock,
) -> None:
    kind, _ = watched()
    async with opened(kind) as harness:
        ann = seated(harness, kind)
        harness.host.drain(trio.current_time() + 60)
        harness.lose(ann)
        await trio.sleep(4.9)
        harness.resume(ann, link=SOUTH)
        await trio.sleep(50)
        assert harness.host.rooms == 1


async def test_of_a_room_that_is_regrouped_those_away_are_regrouped_when_they_are_back(
    autojump_clock: MockClock,
) -> None:
    kind, _ = watched(starts=3)
    async with opened(kind) as harness:
        ann, bob = seated(harness, kind), seated(harness, kind, key="k")
        harness.lose(ann)
        start = trio.current_time()
        harness.host.matchmaker.doors_open = False
        harness.host.drain(start + 60)
        [regroup] = harness.all_of(nodes.Regroup)
        assert regroup.players == [(bob.player, "", "k")]
        again = harness.resume(ann)  # in the same instant: the room's function has not ended yet
        assert again.session == ann.session + 1
        mine = [(ann.player, "", "")]
        assert harness.told[-1] == (NORTH, nodes.Regroup(ann.room, 0, kind.name, mine, b"{}"))
        assert harness.join(kind, key="k").code == nodes.DRAINING
        assert harness.join(kind, key="k", seated_only=True).code == nodes.NO_SUCH_PLACE
        await harness.host.wait_empty()
        assert trio.current_time() == start
        assert (harness.host.running.regrouped, harness.ends()) == (1, [])


async def test_only_the_short_time_of_the_policy_is_short(autojump_clock: MockClock) -> None:
    kind, seen = watched()
    policy = RoomPolicy(resume_seconds=9, away_seconds=1, drain_grace_seconds=3)
    async with opened(kind, policy=policy) as harness:
        ann = seated(harness, kind)
        harness.lose(ann)
        await trio.sleep(1.01)
        assert without_joins(seen) == [Away(ann.player)]
        await trio.sleep(8)
        assert without_joins(seen) == [Away(ann.player), Left(ann.player)]
