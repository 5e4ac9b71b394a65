"""A stranger who reaches a game node's port knows every public id, and speaks for nobody."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs
from trio.testing import wait_all_tasks_blocked

from lastcall.host.seat_binding import SeatBinding
from lastcall.ids import LinkId
from lastcall.reasons import EndReason
from lastcall.wire import nodes
from tests.harness.counts import players_in
from tests.host.host_harness import NORTH, SOUTH, open_host, recording_kind

STRANGER = LinkId(666)


async def test_an_input_by_a_link_that_does_not_hold_the_seat_is_never_applied() -> None:
    kind, _ = recording_kind()
    async with open_host(kind) as harness:
        ann = harness.join(kind)
        with capture_logs() as logs:
            harness.say(ann, 1, "I am Ann", link=STRANGER)
            harness.say(ann, 1, "a later session", session=2, link=STRANGER)
        harness.say(ann, 1, "it is me")
        await wait_all_tasks_blocked()
        assert harness.messages() == ["it is me"]
        assert harness.acked() == [(ann.room, ann.player, 1)]
        assert harness.host.running.binding.foreign == 2
        assert [line["item"] for line in logs] == ["say", "say"]


@pytest.mark.parametrize("item", [nodes.Leave, nodes.Absent, nodes.Confirm])
async def test_a_leave_an_absence_and_a_confirmation_by_another_link_change_nothing(
    item: type[nodes.Leave | nodes.Absent | nodes.Confirm],
) -> None:
    kind, seen = recording_kind()
    async with open_host(kind) as harness:
        ann = harness.join(kind)
        harness.host.handle(STRANGER, item(ann.room, ann.player, ann.session))
        await wait_all_tasks_blocked()
        room = harness.host.find(ann.room)
        assert room is not None
        [seat] = room.state.roster
        assert (seat.link, seat.confirmed, len(seen)) == (NORTH, False, 1)
        assert harness.host.running.binding.foreign == 1


async def test_a_leave_of_an_absent_player_needs_the_secret() -> None:
    """After a reset a player may leave before the next link has the seat."""
    kind, _ = recording_kind()
    async with open_host(kind) as harness:
        ann = harness.join(kind)
        harness.host.drop_link(NORTH)
        for secret in ("", "a guess"):
            leave = nodes.Leave(ann.room, ann.player, ann.session, secret)
            harness.host.handle(STRANGER, leave)
            assert players_in(harness.host) == 1
        harness.leave(ann, link=SOUTH)
        assert players_in(harness.host) == 0


async def test_a_renewal_by_public_ids_and_the_session_gets_nothing() -> None:
    kind, _ = recording_kind()
    async with open_host(kind) as harness:
        ann = harness.join(kind)
        for secret in ("", "a guess"):
            answer = harness.resume(ann, link=STRANGER, session=ann.session, secret=secret)
            assert (answer.code, len(harness.resume_items)) == (nodes.NO_SUCH_PLACE, 1)
        harness.host.drop_link(NORTH)
        renewed = harness.resume(ann, link=SOUTH, session=ann.session)
        assert renewed.session == ann.session
        harness.say(ann, 1, "on the new link")
        await wait_all_tasks_blocked()
        assert harness.messages(SOUTH) == ["on the new link"]


async def test_a_late_batch_of_the_link_that_held_the_seat_is_dropped_in_silence() -> None:
    kind, _ = recording_kind()
    async with open_host(kind) as harness:
        ann = harness.join(kind)
        harness.resume(ann, link=SOUTH)
        with capture_logs() as logs:
            harness.say(ann, 1, "late", link=NORTH)
            harness.lose(ann, link=NORTH)
            harness.leave(ann, link=NORTH)
        assert (logs, players_in(harness.host)) == ([], 1)
        assert harness.host.running.binding.foreign == 0


async def test_in_an_ended_room_only_the_link_of_the_seat_says_that_the_end_arrived() -> None:
    kind, _ = recording_kind()
    async with open_host(kind) as harness:
        ann = harness.join(kind)
        harness.say(ann, 1, "end")
        await wait_all_tasks_blocked()
        assert [reason for _, reason in harness.ends()] == [EndReason.FINISHED]
        harness.lose(ann, link=STRANGER)
        assert harness.host.running.ended_rooms.awaiting_result == 0
        harness.lose(ann)
        assert harness.host.running.ended_rooms.awaiting_result == 1


async def test_a_flood_of_foreign_items_is_counted_and_logged_in_a_few_lines() -> None:
    kind, _ = recording_kind()
    async with open_host(kind) as harness:
        ann = harness.join(kind)
        with capture_logs() as logs:
            for n in range(1_000):
                harness.say(ann, n, "spam", link=STRANGER)
        assert harness.host.running.binding.foreign == 1_000
        assert len(logs) == 5


def test_the_table_has_each_item_of_a_request() -> None:
    module = __import__(SeatBinding.__module__, fromlist=["__doc__"])
    first_words = {line.split(" ")[0] for line in module.__doc__.splitlines()}
    of_rooms = {item for item in nodes.Up.__args__ if issubclass(item, nodes.OfRoom)}
    of_seats = set(nodes.Up.__args__) - of_rooms
    assert {item.__name__ for item in of_seats} | {"Renew", "OfRoom"} <= first_words
