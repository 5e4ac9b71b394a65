"""A private room is for those who have its id: no join by kind finds it, wherever it runs."""

from __future__ import annotations

import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from lastcall.wire import nodes
from tests.host.host_harness import echo, open_host
from tests.host.moving import logging_kind, move, two_hosts


async def test_a_join_by_kind_does_not_find_a_private_room_and_a_join_by_its_id_does() -> None:
    async with open_host(echo) as harness:
        ann = harness.join(echo, new=True, private=True)
        assert harness.host.running.open_rooms.seats() == {"echo": 0}
        stranger = harness.join(echo)
        assert stranger.room != ann.room
        assert harness.host.running.open_rooms.seats() == {"echo": 3}
        friend = harness.join(room=ann.room)
        assert friend.room == ann.room
        harness.leave(friend)
        await wait_all_tasks_blocked()
        assert harness.join(echo).room == stranger.room


async def test_a_private_room_that_waits_for_its_second_player_is_kept_through_a_drain(
    autojump_clock: MockClock,
) -> None:
    async with open_host(echo) as harness:
        ann, other = harness.join(echo, new=True, private=True), harness.join(echo)
        await wait_all_tasks_blocked()
        harness.host.drain(trio.current_time() + 20)
        await wait_all_tasks_blocked()
        given_up = [item.room for item in harness.all_of(nodes.Regroup)]
        assert given_up == [other.room]
        await trio.sleep(19)
        assert harness.join(room=ann.room).room == ann.room


async def test_a_private_room_is_private_after_a_move(autojump_clock: MockClock) -> None:
    kind, _ = logging_kind()
    async with two_hosts(kind) as (first, second):
        first.join(kind)  # both hosts give their first room the same id
        ann = first.join(kind, new=True, private=True)
        await wait_all_tasks_blocked()
        await move(first, second, ann.room)
        assert second.join(kind).room != ann.room
        assert second.join(room=ann.room).room == ann.room
