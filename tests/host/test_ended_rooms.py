"""Rooms that have ended, and players who had no socket when their room ended."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from structlog.testing import capture_logs
from trio.testing import MockClock, wait_all_tasks_blocked

from lastcall import Room, room
from lastcall.host.occupancy import why_not_empty
from lastcall.ids import PlayerId
from lastcall.policy import RoomPolicy
from lastcall.reasons import ErrorCode
from lastcall.wire import nodes
from tests.host.host_harness import NORTH, SOUTH, open_host, recording_kind

pytestmark = pytest.mark.usefixtures("schedule")


async def test_a_player_who_was_away_gets_the_missed_messages_and_the_end(
    autojump_clock: MockClock,
) -> None:
    kind, _ = recording_kind()
    async with open_host(kind) as harness:
        ann, bob = harness.join(kind), harness.join(kind)
        harness.say(ann, 1, "one")
        await wait_all_tasks_blocked()
        harness.lose(ann)
        harness.say(bob, 1, "two")
        harness.say(bob, 2, "end")
        await trio.sleep(20)
        again = harness.resume(ann, 1, link=SOUTH)
        assert (again.seq, again.n, again.session, again.complete) == (1, 1, 2, True)
        assert harness.replayed() == [(2, "two")]
        out = nodes.Out(ann.room, ann.player, "finished", session=2, result=b'"the end"')
        assert harness.resume_items[-1] == (SOUTH, out)
        assert [type(item) for _, item in harness.resume_items] == [
            nodes.Resumed,
            nodes.Replay,
            nodes.Out,
        ]


async def test_a_player_who_was_present_can_resume_too() -> None:
    kind, _ = recording_kind()
    async with open_host(kind) as harness:
        ann = harness.join(kind)  # the socket may be dead without a report
        harness.say(ann, 1, "one")
        harness.say(ann, 2, "crash")
        with capture_logs():
            await wait_all_tasks_blocked()
        again = harness.resume(ann)
        out = nodes.Out(ann.room, ann.player, "crashed", session=again.session)
        assert harness.resume_items[-1] == (NORTH, out)
        assert harness.all_of(nodes.Out) == [out]  # and no `Out` with taken_over


async def test_an_ended_room_is_kept_for_the_kinds_resume_seconds(
    autojump_clock: MockClock,
) -> None:
    kind, _ = recording_kind(resume_seconds=10)
    async with open_host(kind) as harness:
        ann = harness.join(kind)
        harness.say(ann, 1, "end")
        await trio.sleep(9.99)
        again = harness.resume(ann)
        assert isinstance(again, nodes.Resumed)
        await trio.sleep(0.02)
        assert harness.resume(again).code == nodes.NO_SUCH_PLACE
        await trio.sleep(1)
        assert len(harness.host.running.ended_rooms) == 0


async def test_an_ended_room_checks_tickets_like_a_running_one() -> None:
    kind, _ = recording_kind()
    async with open_host(kind) as harness:
        ann, bob = harness.join(kind), harness.join(kind)
        harness.say(ann, 1, "end")
        await wait_all_tasks_blocked()
        assert harness.resume(ann, secret=bob.secret).code == nodes.NO_SUCH_PLACE
        assert harness.resume(ann, 1).code == ErrorCode.BAD_FRAME
        assert harness.resume(ann, session=2).code == nodes.TAKEN_OVER
        assert harness.resume(ann, session=1).secret == ann.secret
        lost = harness.resume(ann)
        again = harness.resume(ann)
        assert harness.resume(lost).code == nodes.NO_SUCH_PLACE
        harness.confirm(again)
        assert harness.resume(ann).code == nodes.NO_SUCH_PLACE
        assert harness.resume(again).session == 4


async def test_an_ended_room_sends_no_state_on_a_resume() -> None:
    @room("drawn", seats=2, history_messages=1)
    async def drawn(table: Room) -> Any:
        table.state_for = lambda _: "the state of an ended room"
        table.broadcast("one")
        table.broadcast("two")

    async with open_host(drawn) as harness:
        ann = harness.join(drawn)
        await wait_all_tasks_blocked()
        again = harness.resume(ann)
        assert (again.complete, again.seq, again.state) == (False, 1, b"")
        assert harness.replayed() == [(2, "two")]


async def test_a_player_who_left_before_the_end_cannot_resume_an_ended_room() -> None:
    kind, _ = recording_kind()
    async with open_host(kind) as harness:
        ann, bob = harness.join(kind), harness.join(kind)
        harness.leave(ann)
        harness.say(bob, 1, "end")
        await wait_all_tasks_blocked()
        assert harness.resume(ann).code == nodes.NO_SUCH_PLACE


async def test_an_ended_room_without_players_is_not_kept() -> None:
    kind, _ = recording_kind()
    async with open_host(kind) as harness:
        harness.leave(harness.join(kind))
        harness.host.cut()
        await wait_all_tasks_blocked()
        assert (harness.host.rooms, len(harness.host.running.ended_rooms)) == (0, 0)


async def test_over_the_limit_the_oldest_ended_room_is_forgotten() -> None:
    kind, _ = recording_kind()
    async with open_host(kind, policy=RoomPolicy(ended_rooms_max=2)) as harness:
        seats = [harness.join(kind, new=True) for _ in range(3)]
        for seat in seats:
            harness.say(seat, 1, "end")
            await wait_all_tasks_blocked()
        kinds = [type(harness.resume(seat)) for seat in seats]
        assert kinds == [nodes.Refused, nodes.Resumed, nodes.Resumed]


async def test_after_the_end_a_joins_key_gets_a_new_place() -> None:
    kind, _ = recording_kind()
    async with open_host(kind) as harness:
        ann = harness.join(kind, key="k")
        harness.say(ann, 1, "end")
        await wait_all_tasks_blocked()
        assert harness.join(kind, key="k", seated_only=True).code == nodes.NO_SUCH_PLACE
        assert harness.join(kind, key="k").room != ann.room


async def test_messages_and_kicks_through_an_ended_room_have_no_effect() -> None:
    kept: list[Room] = []

    @room("leaky", seats=2)
    async def leaky(table: Room) -> Any:
        kept.append(table)

    async with open_host(leaky) as harness:
        ann = harness.join(leaky)
        await wait_all_tasks_blocked()
        before = list(harness.sent)
        kept[0].broadcast("boo")
        kept[0].send(ann.player, "boo")
        kept[0].kick(ann.player)
        assert harness.sent == before
        assert kept[0].players == ()
        harness.resume(ann)
        assert harness.replayed() == []


# The drain


async def test_a_drain_waits_5_s_for_a_player_whose_socket_was_lost_before_the_end(
    autojump_clock: MockClock,
) -> None:
    kind, _ = recording_kind()
    async with open_host(kind) as harness:
        ann, bob = harness.join(kind), harness.join(kind)
        start = trio.current_time()
        harness.lose(ann)
        await trio.sleep(1)
        harness.host.drain(start + 60)
        harness.say(bob, 1, "end")
        await trio.sleep(1)
        assert harness.host.rooms == 0
        assert why_not_empty(harness.host.running) == [
            "1 player(s) between two sockets, whose rooms have ended"
        ]
        await harness.host.wait_empty()
        assert trio.current_time() - start == 5
        assert why_not_empty(harness.host.running) == []


async def test_a_drain_ends_as_soon_as_the_last_lost_player_has_resumed(
    autojump_clock: MockClock,
) -> None:
    kind, _ = recording_kind()
    async with open_host(kind) as harness, trio.open_nursery() as nursery:
        ann, bob, cid = (harness.join(kind) for _ in range(3))
        start = trio.current_time()
        harness.host.drain(start + 60)
        harness.lose(ann)
        harness.lose(bob)
        harness.say(cid, 1, "end")

        async def resume_both() -> None:
            await trio.sleep(2)
            harness.resume(ann)
            await trio.sleep(1)
            harness.resume(bob)

        nursery.start_soon(resume_both)
        await harness.host.wait_empty()
        assert trio.current_time() - start == 3


async def test_a_drain_also_waits_for_a_player_whose_loss_is_reported_after_the_end(
    autojump_clock: MockClock,
) -> None:
    kind, _ = recording_kind()
    async with open_host(kind) as harness:
        ann, bob = harness.join(kind), harness.join(kind)
        start = trio.current_time()
        harness.host.drain(start + 60)
        harness.say(bob, 1, "end")
        await wait_all_tasks_blocked()
        harness.lose(ann, link=NORTH)
        unknown_session = 7
        harness.host.handle(NORTH, nodes.Absent(bob.room, bob.player, unknown_session))
        await harness.host.wait_empty()
        assert trio.current_time() - start == 5


@pytest.mark.parametrize("away_for", [5, 20])
async def test_a_drain_does_not_wait_for_a_player_who_was_lost_5_s_ago_or_earlier(
    autojump_clock: MockClock, away_for: float
) -> None:
    kind, _ = recording_kind()
    async with open_host(kind) as harness:
        ann, bob = harness.join(kind), harness.join(kind)
        harness.confirm(ann)
        harness.lose(ann)
        await trio.sleep(away_for - 0.5)
        harness.say(bob, 1, "end")
        await trio.sleep(0.5)
        start = trio.current_time()
        harness.host.drain(start + 60)
        await harness.host.wait_empty()
        assert trio.current_time() == start


async def test_a_drain_ends_with_the_last_room_if_nobody_is_away(autojump_clock: MockClock) -> None:
    kind, _ = recording_kind()
    async with open_host(kind) as harness:
        ann = harness.join(kind)
        harness.host.drain(trio.current_time() + 60)
        await trio.sleep(7)
        harness.say(ann, 1, "end")
        start = trio.current_time()
        await harness.host.wait_empty()
        assert trio.current_time() == start


async def test_a_drain_waits_for_nobody_after_the_cut(autojump_clock: MockClock) -> None:
    kind, _ = recording_kind()
    async with open_host(kind) as harness:
        harness.lose(harness.join(kind))
        harness.confirm(harness.join(kind))
        harness.host.drain(trio.current_time() + 1)
        await trio.sleep(1)
        harness.host.cut()
        start = trio.current_time()
        await harness.host.wait_empty()
        assert trio.current_time() == start


async def test_the_ticket_of_an_ended_place_is_refused_as_ended_and_a_wrong_one_is_not(
    autojump_clock: MockClock,
) -> None:
    """The place that was left, the one whose time ran out, and those of a room that has ended."""
    kind, _ = recording_kind(resume_seconds=10)
    async with open_host(kind) as harness:
        ann, bob, eve = (harness.join(kind) for _ in range(3))
        assert not harness.resume(ann, secret=bob.secret).ended
        harness.leave(ann)
        assert harness.resume(ann).ended
        harness.lose(bob)
        await trio.sleep(11)
        assert harness.resume(bob).ended
        harness.say(eve, 1, "end")
        await trio.sleep(11)
        assert harness.resume(eve).ended
        unknown = nodes.Resume(99, eve.room, PlayerId("p-unknown"), "secret", 0)
        harness.host.handle(NORTH, unknown)
        await trio.sleep(1)
        assert harness.all_of(nodes.Refused)[-1] == nodes.Refused(
            99, nodes.NO_SUCH_PLACE, "no such place here"
        )
