"""What a player says before he leaves reaches the room: a whole cluster in virtual time."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from lastcall import Left, Room, Said, room
from lastcall.policy import RoomPolicy
from tests.harness.player import Player
from tests.resume.test_place import house

pytestmark = pytest.mark.usefixtures("schedule")

SMALL = RoomPolicy(inbox_events=16)
LEFT = "left"


@room("minutes", seats=4)
async def minutes(table: Room) -> None:
    """Tells everybody what it hears; before it listens it sleeps for ``options.asleep`` seconds."""
    await trio.sleep(table.options.get("asleep", 0))
    async for event in table:
        match event:
            case Said(_, word):
                table.broadcast(word)
            case Left():
                table.broadcast(LEFT)


async def test_what_was_said_before_a_leave_is_heard_over_a_link_that_is_reset(
    autojump_clock: MockClock,
) -> None:
    async with house(minutes) as (c, game, one, two):
        ann, bob = Player(c.nursery), Player(c.nursery)
        await ann.join(one, kind="minutes")
        await bob.join(two, room=ann.room)
        await trio.sleep(0.3)
        for link in list(game.node._links._links.values()):
            game.node._links._drop(link.id, "as after 3 s of silence")
        await ann.say("good game")
        await ann.socket.send(t="leave")
        assert (await ann.socket.hear("ended"))["reason"] == "left"
        await bob.hears(LEFT)
        assert [word for _, word in bob.messages] == ["good game", LEFT]


async def test_a_leave_does_not_overtake_what_a_full_inbox_has_refused(
    autojump_clock: MockClock,
) -> None:
    async with house(minutes, rooms=SMALL) as (c, _, one, two):
        ann, bob = Player(c.nursery), Player(c.nursery)
        await ann.join(one, kind="minutes", options={"asleep": 2})
        await bob.join(two, room=ann.room)
        begin = trio.current_time()
        for number in range(20):
            await ann.say(number)
        await ann.socket.send(t="leave")
        assert (await ann.socket.hear("ended"))["reason"] == "left"
        assert trio.current_time() - begin == pytest.approx(2, abs=0.6)
        await bob.hears(LEFT)
        assert [word for _, word in bob.messages] == [*range(20), LEFT]
        assert ann.socket.heard[-2] == {"t": "ack", "n": 20}


async def test_who_is_moved_before_his_leave_was_had_says_it_again_elsewhere_and_nothing_is_lost(
    autojump_clock: MockClock,
) -> None:
    async with house(minutes, rooms=SMALL) as (c, _, one, two):
        ann, bob = Player(c.nursery), Player(c.nursery)
        await ann.join(one, kind="minutes", options={"asleep": 2})
        await bob.join(two, room=ann.room)
        for number in range(20):
            await ann.say(number)
        await ann.socket.send(t="leave")
        await trio.sleep(0.5)
        await one.node.gateway.move_all(0)
        assert await ann.socket.close_code() == 1012
        await ann.resume(two)
        await ann.socket.send(t="leave")
        assert (await ann.socket.hear("ended"))["reason"] == "left"
        await bob.hears(LEFT)
        assert [word for _, word in bob.messages] == [*range(20), LEFT]


async def test_a_room_that_takes_nothing_keeps_a_leave_back_for_5_s_and_no_socket_is_closed(
    autojump_clock: MockClock,
) -> None:
    async with house(minutes, rooms=SMALL) as (c, game, one, two):
        ann, bob = Player(c.nursery), Player(c.nursery)
        await ann.join(one, kind="minutes", options={"asleep": 60})
        await bob.join(two, room=ann.room)
        begin = trio.current_time()
        for number in range(20):
            await ann.say(number)
        await ann.socket.send(t="leave")
        assert (await ann.socket.hear("ended"))["reason"] == "left"
        assert trio.current_time() - begin == pytest.approx(5, abs=0.1)
        await trio.sleep(1)
        assert game.node.host.players == 1
        assert ann.socket.closed is None
