"""A player's socket is lost: how long the seat is kept, and when the room gets ``Away``."""

from __future__ import annotations

from typing import Any

import pytest
import trio
import trio.lowlevel
from trio.testing import MockClock, wait_all_tasks_blocked

from lastcall import Away, Back, Draining, Joined, Kind, Left, Room, Said, room
from lastcall.events import Event
from lastcall.host.occupancy import why_not_empty
from lastcall.ids import Ticket
from lastcall.policy import RoomPolicy
from lastcall.reasons import EndReason, ErrorCode
from lastcall.wire import nodes
from tests.harness import orders
from tests.harness.counts import players_in
from tests.host.host_harness import NORTH, SOUTH, HostHarness, huge, open_host, recording_kind

pytestmark = pytest.mark.usefixtures("schedule")


def join_confirmed(harness: HostHarness, kind: Kind, **fields: Any) -> nodes.Seated:
    """Joins and confirms the seat."""
    seat: nodes.Seated = harness.join(kind, **fields)
    harness.confirm(seat)
    return seat


def without_joined(seen: list[Event]) -> list[Event]:
    return [event for event in seen if not isinstance(event, Joined)]


async def test_a_room_gets_away_after_2_s_and_the_seat_is_free_after_30_s(
    autojump_clock: MockClock,
) -> None:
    kind, seen = recording_kind()
    async with open_host(kind) as harness:
        ann, bob = join_confirmed(harness, kind), join_confirmed(harness, kind)
        harness.lose(ann)
        await trio.sleep(1.99)
        assert without_joined(seen) == []
        await trio.sleep(0.02)
        assert without_joined(seen) == [Away(ann.player)]
        await trio.sleep(27.98)
        assert (players_in(harness.host), harness.host.running.open_rooms.seats()) == (
            2,
            {"watched": 6},
        )
        await trio.sleep(0.02)
        assert without_joined(seen) == [Away(ann.player), Left(ann.player)]
        assert (players_in(harness.host), harness.host.running.open_rooms.seats()) == (
            1,
            {"watched": 7},
        )
        assert harness.resume(ann).code == nodes.NO_SUCH_PLACE
        assert harness.all_of(nodes.Out) == []
        assert harness.resume(bob).session == 2


async def test_after_a_stall_an_unread_resume_still_finds_its_seat(
    autojump_clock: MockClock,
) -> None:
    """The player is away for 29 s, the process stalls for 5 s and reads the resume 0.3 s later."""
    kind, seen = recording_kind()
    async with open_host(kind) as harness:
        ann = join_confirmed(harness, kind)
        harness.lose(ann)
        await trio.sleep(29)
        autojump_clock.jump(5)
        await trio.sleep(0.3)
        assert harness.resume(ann).session == 2
        await trio.sleep(100)
        assert without_joined(seen) == [Away(ann.player), Back(ann.player)]


@pytest.mark.parametrize(("stalls_at", "away_at"), [(1.1, 7), (29, 2)])
async def test_a_stall_of_5_s_is_added_to_the_seats_30_s(
    autojump_clock: MockClock, stalls_at: float, away_at: float
) -> None:
    """The stall is also added to the 2 s before ``Away``. It is measured to within 0.25 s."""
    kind, seen = recording_kind()
    async with open_host(kind) as harness:
        ann = join_confirmed(harness, kind)
        start = trio.current_time()
        harness.lose(ann)
        await trio.sleep(stalls_at)
        autojump_clock.jump(5)
        await trio.sleep_until(start + max(away_at - 0.3, stalls_at + 5))
        assert without_joined(seen) == [Away(ann.player)][: stalls_at > away_at]
        await trio.sleep_until(start + max(away_at, stalls_at + 5) + 0.01)
        assert without_joined(seen) == [Away(ann.player)]
        await trio.sleep_until(start + 34.7)
        assert players_in(harness.host) == 1
        await trio.sleep_until(start + 35.01)
        assert players_in(harness.host) == 0


async def test_a_seat_that_expired_during_a_stall_is_free_half_a_second_after_it(
    autojump_clock: MockClock,
) -> None:
    """29.9 of the 30 s had passed. The half second leaves time to read what came meanwhile."""
    kind, _ = recording_kind()
    async with open_host(kind) as harness:
        harness.lose(join_confirmed(harness, kind))
        await trio.sleep(29.9)
        autojump_clock.jump(5)
        await trio.sleep(0.49)
        assert players_in(harness.host) == 1
        await trio.sleep(0.02)
        assert players_in(harness.host) == 0


@orders(1)
async def test_10_000_losses_at_once_are_not_mistaken_for_a_stall(
    autojump_clock: MockClock,
) -> None:
    """Their steps take many turns of the loop, and no step is delayed."""
    async with open_host(huge) as harness:
        for seat in [join_confirmed(harness, huge) for _ in range(10_000)]:
            harness.lose(seat)
        await trio.sleep(30.01)
        assert players_in(harness.host) == 0


async def test_a_kind_can_set_its_own_resume_seconds(autojump_clock: MockClock) -> None:
    kind, seen = recording_kind(resume_seconds=7)
    async with open_host(kind) as harness:
        ann = join_confirmed(harness, kind)
        harness.lose(ann)
        await trio.sleep(6.99)
        assert without_joined(seen) == [Away(ann.player)]
        await trio.sleep(0.02)
        assert without_joined(seen) == [Away(ann.player), Left(ann.player)]


async def test_a_kind_that_keeps_no_seats_frees_them_at_once() -> None:
    kind, seen = recording_kind(resume_seconds=0)
    async with open_host(kind) as harness:
        ann = join_confirmed(harness, kind)
        harness.lose(ann)
        assert players_in(harness.host) == 0
        await wait_all_tasks_blocked()
        assert without_joined(seen) == [Left(ann.player)]


async def test_a_resume_within_2_s_causes_no_event_in_the_room(autojump_clock: MockClock) -> None:
    kind, seen = recording_kind()
    async with open_host(kind) as harness:
        ann = join_confirmed(harness, kind)
        for _ in range(5):
            harness.lose(ann)
            await trio.sleep(1.9)
            ann = harness.resume(ann)
        await trio.sleep(100)
        assert seen == [Joined(ann.player)]
        assert players_in(harness.host) == 1


async def test_a_resume_after_2_s_causes_away_and_back(autojump_clock: MockClock) -> None:
    kind, seen = recording_kind()
    async with open_host(kind) as harness:
        ann = join_confirmed(harness, kind, key="k")
        harness.lose(ann)
        await trio.sleep(29)
        ann = harness.resume(ann)
        harness.say(ann, 1, "here")
        await trio.sleep(29)
        harness.lose(ann)
        await trio.sleep(3)
        harness.join(kind, key="k")
        await trio.sleep(100)
        absence = [Away(ann.player), Back(ann.player)]
        assert without_joined(seen) == [*absence, Said(ann.player, "here"), *absence]


async def test_a_seat_that_nobody_has_confirmed_is_kept_for_5_s(autojump_clock: MockClock) -> None:
    kind, _ = recording_kind()
    async with open_host(kind) as harness:
        harness.lose(harness.join(kind))
        harness.lose(join_confirmed(harness, kind))
        confirmed_by_input = harness.join(kind)
        harness.say(confirmed_by_input, 1, "hi")
        harness.lose(confirmed_by_input)
        await trio.sleep(4.99)
        assert players_in(harness.host) == 3
        await trio.sleep(0.02)
        assert players_in(harness.host) == 2


async def test_the_loss_of_an_older_session_has_no_effect(autojump_clock: MockClock) -> None:
    kind, seen = recording_kind()
    async with open_host(kind) as harness:
        ann = join_confirmed(harness, kind)
        harness.resume(ann, link=SOUTH)
        harness.lose(ann)
        await trio.sleep(100)
        assert seen == [Joined(ann.player)]


async def test_a_loss_that_is_reported_twice_counts_from_the_first_report(
    autojump_clock: MockClock,
) -> None:
    kind, _ = recording_kind()
    async with open_host(kind) as harness:
        ann = join_confirmed(harness, kind)
        harness.lose(ann)
        await trio.sleep(20)
        harness.lose(ann)
        harness.host.drop_link(NORTH)
        await trio.sleep(10.01)
        assert players_in(harness.host) == 0


async def test_nothing_is_sent_to_a_player_who_is_away() -> None:
    kind, _ = recording_kind()
    async with open_host(kind) as harness:
        ann, bob = join_confirmed(harness, kind), join_confirmed(harness, kind, link=SOUTH)
        harness.say(ann, 1, "before")
        harness.lose(ann)
        harness.say(bob, 1, ["to", ann.player, "psst"])
        harness.say(bob, 2, "after")
        harness.say(ann, 2, "I am not here")
        await wait_all_tasks_blocked()
        harness.host.flush_acks()
        assert harness.messages(SOUTH) == ["before", "after"]
        assert harness.messages(NORTH) == []
        assert harness.all_of(nodes.Acks, NORTH) == []


async def test_a_lost_link_is_the_loss_of_all_its_players(autojump_clock: MockClock) -> None:
    kind, seen = recording_kind()
    async with open_host(kind) as harness:
        ann, bob = join_confirmed(harness, kind), join_confirmed(harness, kind)
        harness.join(kind, link=SOUTH)
        harness.host.drop_link(NORTH)
        await trio.sleep(2.01)
        assert without_joined(seen) == [Away(ann.player), Away(bob.player)]
        await trio.sleep(28)
        assert without_joined(seen)[2:] == [Left(ann.player), Left(bob.player)]
        assert players_in(harness.host) == 1


async def test_the_players_of_a_lost_link_are_handled_in_small_batches(
    autojump_clock: MockClock,
) -> None:
    """Of 1 000 players in one room, the last resumes before their loss is handled: never away."""
    async with open_host(huge) as harness:
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
            # The host may run twice in one turn of this task.
            assert len(harness.host.running.disconnects) - before < 200
        assert turns < 50
        await trio.sleep(1)
        assert table.state.roster.links == {SOUTH: 1}


async def test_a_room_that_ends_while_its_lost_players_are_handled_is_kept_for_them(
    autojump_clock: MockClock,
) -> None:
    async with open_host(huge) as harness:
        seats = [harness.join(huge) for _ in range(1000)]
        for seat in seats:
            harness.confirm(seat)
        harness.host.drop_link(NORTH)
        table = harness.host.find(seats[0].room)
        assert table is not None
        table.cancel(EndReason.CUT)
        await trio.sleep(1)
        assert harness.host.rooms == 0
        assert why_not_empty(harness.host.running) == [
            "1000 player(s) between two sockets, whose rooms have ended"
        ]


async def test_a_player_who_leaves_frees_the_seat_at_once_even_while_away() -> None:
    kind, seen = recording_kind()
    async with open_host(kind) as harness:
        ann, bob = join_confirmed(harness, kind), join_confirmed(harness, kind)
        harness.leave(ann)
        harness.lose(bob)
        harness.leave(bob)
        await wait_all_tasks_blocked()
        assert without_joined(seen) == [Left(ann.player), Left(bob.player)]
        assert harness.all_of(nodes.Out) == [nodes.Out(ann.room, ann.player, "left")]
        assert len(harness.host.running.disconnects) == 0


async def test_a_player_kicked_while_away_is_told_so_when_they_resume(
    autojump_clock: MockClock,
) -> None:
    @room("strict", seats=2)
    async def strict(table: Room) -> Any:
        async for event in table:
            if isinstance(event, Away):
                table.kick(event.player)

    async with open_host(strict) as harness:
        ann = join_confirmed(harness, strict)
        harness.lose(ann)
        await trio.sleep(3)
        assert players_in(harness.host) == 0
        again = harness.resume(ann)
        out = nodes.Out(ann.room, ann.player, "kicked", again.session)
        assert harness.resume_items[-1] == (NORTH, out)
        assert len(harness.host.running.disconnects) == 0


async def test_the_seat_of_an_away_player_is_not_free(autojump_clock: MockClock) -> None:
    kind, _ = recording_kind(seats=2, starts=2)
    async with open_host(kind) as harness:
        ann = join_confirmed(harness, kind)
        harness.lose(ann)
        await trio.sleep(10)
        bob = harness.join(kind)
        assert bob.room == ann.room
        assert [player.id for player in bob.players] == [ann.player, bob.player]
        assert harness.join(room=ann.room).code == ErrorCode.FULL
        harness.host.drain(trio.current_time() + 30)
        assert harness.all_of(nodes.Regroup) == []  # the room has started


async def test_a_room_runs_on_while_all_its_players_are_away(autojump_clock: MockClock) -> None:
    @room("ticking", seats=2)
    async def ticking(table: Room) -> Any:
        for tick in range(20):
            await trio.sleep(1)
            table.broadcast(tick)

    async with open_host(ticking) as harness:
        ann = join_confirmed(harness, ticking)
        await trio.sleep(2.5)
        harness.lose(ann)
        await trio.sleep(10)
        assert harness.resume(ann, 2).complete
        assert harness.replayed() == [(n, n - 1) for n in range(3, 13)]


async def test_1_000_losses_at_once_cause_away_and_left_in_order_and_in_small_batches(
    autojump_clock: MockClock,
) -> None:
    kind, seen = recording_kind(seats=1_000)
    steps: list[int] = []

    async def bystander() -> None:
        await trio.sleep(2)
        while len(seen) < 2_000:
            before = len(seen)
            await trio.lowlevel.checkpoint()
            steps.append(len(seen) - before)

    async with open_host(kind) as harness, trio.open_nursery() as nursery:
        seats = [join_confirmed(harness, kind) for _ in range(1_000)]
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


async def test_a_draining_node_keeps_a_seat_for_5_s(autojump_clock: MockClock) -> None:
    kind, seen = recording_kind()
    async with open_host(kind) as harness:
        ann, bob = join_confirmed(harness, kind), join_confirmed(harness, kind)
        harness.host.drain(trio.current_time() + 60)
        await trio.sleep(1)
        harness.lose(ann)
        await trio.sleep(4.99)
        assert players_in(harness.host) == 2
        await trio.sleep(0.02)
        assert [type(e) for e in without_joined(seen)] == [Draining, Away, Left]
        assert harness.host.rooms == 1
        harness.leave(bob)


@pytest.mark.parametrize(("away_for", "left_at"), [(1, 5), (4, 5), (20, 20)])
async def test_a_drain_that_begins_while_a_player_is_away_keeps_the_seat_5_s_from_the_loss(
    autojump_clock: MockClock, away_for: float, left_at: float
) -> None:
    kind, _ = recording_kind()
    async with open_host(kind) as harness:
        ann = join_confirmed(harness, kind)
        join_confirmed(harness, kind, link=SOUTH)
        start = trio.current_time()
        harness.lose(ann)
        await trio.sleep(away_for)
        harness.host.drain(trio.current_time() + 60)
        if left_at > away_for:
            await trio.sleep_until(start + left_at - 0.01)
            assert players_in(harness.host) == 2
        await trio.sleep(0.02)
        assert players_in(harness.host) == 1


async def test_a_drain_never_keeps_a_seat_longer_than_before(autojump_clock: MockClock) -> None:
    kind, _ = recording_kind()
    async with open_host(kind) as harness:
        ann = join_confirmed(harness, kind)
        join_confirmed(harness, kind, link=SOUTH)
        harness.lose(ann)
        await trio.sleep(29)
        harness.host.drain(trio.current_time() + 60)
        await trio.sleep(0.01)
        assert players_in(harness.host) == 1
        short, _ = recording_kind(resume_seconds=3)
    async with open_host(short) as harness:
        ann = join_confirmed(harness, short)
        join_confirmed(harness, short, link=SOUTH)
        harness.lose(ann)
        harness.host.drain(trio.current_time() + 60)
        await trio.sleep(3.01)
        assert players_in(harness.host) == 1


async def test_a_draining_room_without_connected_players_for_5_s_is_abandoned(
    autojump_clock: MockClock,
) -> None:
    kind, _ = recording_kind()
    async with open_host(kind) as harness:
        ann, bob = join_confirmed(harness, kind), join_confirmed(harness, kind)
        start = trio.current_time()
        harness.host.drain(start + 60)
        harness.lose(ann)
        await trio.sleep(3)
        harness.lose(bob)
        await harness.host.wait_empty()
        assert trio.current_time() - start == 8
        assert harness.host.running.ends[EndReason.ABANDONED] == 1
        assert harness.ends() == []


async def test_a_resume_within_5_s_keeps_a_draining_room(
    autojump_clock: MockClock,
) -> None:
    kind, _ = recording_kind()
    async with open_host(kind) as harness:
        ann = join_confirmed(harness, kind)
        harness.host.drain(trio.current_time() + 60)
        harness.lose(ann)
        await trio.sleep(4.9)
        harness.resume(ann, link=SOUTH)
        await trio.sleep(50)
        assert harness.host.rooms == 1


def ticket_of(seat: nodes.Seated, secret: str) -> str:
    return str(Ticket(seat.room, seat.player, secret))


async def test_players_who_are_away_when_their_room_is_regrouped_are_regrouped_on_resume(
    autojump_clock: MockClock,
) -> None:
    kind, _ = recording_kind(starts=3)
    async with open_host(kind) as harness:
        ann, bob = join_confirmed(harness, kind), join_confirmed(harness, kind, key="k")
        harness.lose(ann)
        start = trio.current_time()
        harness.host.matchmaker.doors_open = False
        harness.host.drain(start + 60)
        [regroup] = harness.all_of(nodes.Regroup)
        assert regroup.players == [(bob.player, "", "k")]
        again = harness.resume(ann)  # at the same time: the room's function has not ended yet
        assert again.session == ann.session + 1
        players = [(ann.player, "", "")]
        tickets = (ticket_of(ann, again.secret), ticket_of(ann, ann.secret))
        assert harness.resume_items[-1] == (
            NORTH,
            nodes.Regroup(ann.room, 0, kind.name, players, b"{}", {ann.player: tickets}),
        )
        assert harness.join(kind, key="k").code == nodes.DRAINING
        assert harness.join(kind, key="k", seated_only=True).code == nodes.NO_SUCH_PLACE
        await harness.host.wait_empty()
        assert trio.current_time() == start
        assert (harness.host.running.regrouped, harness.ends()) == (1, [])


async def test_the_drain_grace_seconds_do_not_apply_outside_a_drain(
    autojump_clock: MockClock,
) -> None:
    kind, seen = recording_kind()
    policy = RoomPolicy(resume_seconds=9, away_seconds=1, drain_grace_seconds=3)
    async with open_host(kind, policy=policy) as harness:
        ann = join_confirmed(harness, kind)
        harness.lose(ann)
        await trio.sleep(1.01)
        assert without_joined(seen) == [Away(ann.player)]
        await trio.sleep(8)
        assert without_joined(seen) == [Away(ann.player), Left(ann.player)]
