"""The test kit: a table plays a room in memory, as a game node would run it."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import MockClock

from lastcall import Away, Back, Draining, Joined, Left, Room, Said, room
from lastcall.errors import JoinRefused
from lastcall.ids import PlayerId
from lastcall.policy import RoomPolicy
from lastcall.reasons import EndReason
from lastcall.testing.harness import play


@room("odd", seats=3)
async def odd(table: Room) -> Any:
    """Sends each player their name, adds up numbers, kicks for ``None``, and crashes on text."""
    total = 0
    async for event in table:
        match event:
            case Joined(player):
                table.send(player, table.name_of(player))
            case Said(player, None):
                table.kick(player)
            case Said(_, number):
                total += number
            case Draining(seconds):
                return [total, seconds]
    raise AssertionError


async def test_a_private_message_is_heard_by_one_player() -> None:
    async with play(odd) as table:
        ann, bob = table.join("ann"), table.join("bob")
        assert await table.messages() == ["ann", "bob"]
        assert await table.messages() == []
        assert (table.heard_by(ann), table.heard_by(bob)) == (["ann"], ["bob"])


async def test_the_room_gets_the_event_draining(autojump_clock: MockClock) -> None:
    async with play(odd) as table:
        ann = table.join()
        table.say(ann, 4)
        table.drain(9)
        assert await table.ended() == [4, 9]


async def test_a_crash_is_raised_where_the_test_waits() -> None:
    async with play(odd) as table:
        table.say(table.join(), "text")
        with pytest.raises(TypeError):
            await table.ended()
        assert table.reason is EndReason.CRASHED


async def play_until_the_crash() -> None:
    async with play(odd) as table:
        table.say(table.join(), "text")
        await trio.testing.wait_all_tasks_blocked()


async def test_a_crash_that_nothing_waited_for_is_raised_at_the_end_of_the_block() -> None:
    with pytest.raises(TypeError):
        await play_until_the_crash()


async def test_an_error_in_the_block_is_raised_unchanged() -> None:
    with pytest.raises(KeyError):
        async with play(odd) as table:
            table.heard_by(PlayerId("nobody"))


async def test_outs_has_the_reason_of_a_kicked_player() -> None:
    async with play(odd) as table:
        ann = table.join()
        table.say(ann, None)
        await table.messages()
        assert table.outs == {ann: EndReason.KICKED}


async def test_an_empty_room_is_abandoned_as_in_a_game_node(
    autojump_clock: MockClock,
) -> None:
    async with play(odd) as table:
        table.leave(table.join())
        assert await table.ended() is None
        assert table.reason is EndReason.ABANDONED
        assert trio.current_time() == pytest.approx(60, abs=1)


async def test_inputs_over_the_share_of_a_player_are_sent_again_when_there_is_space() -> None:
    async with play(odd) as table:
        ann = table.join()
        for _ in range(300):
            table.say(ann, 1)
        await table.messages()
        table.drain(0)
        assert await table.ended() == [300, 0]


async def test_inputs_over_the_size_of_the_inbox_are_sent_again_when_there_is_space() -> None:
    async with play(odd, policy=RoomPolicy(inbox_events=4)) as table:
        ann = table.join()
        for _ in range(50):
            table.say(ann, 1)
        await table.messages()
        table.drain(0)
        assert await table.ended() == [50, 0]


@room("keeping", seats=3, history_messages=2)
async def keeping(table: Room) -> Any:
    """Repeats inputs, and announces players who are away, back or gone."""
    said: list[Any] = []
    table.state_for = lambda player: {"you": player, "said": said}
    async for event in table:
        match event:
            case Said(_, "end"):
                return said
            case Said(_, text):
                said.append(text)
                table.broadcast(text)
            case Away() | Back() | Left():
                table.broadcast([type(event).__name__, event.player])
    raise AssertionError


async def test_the_room_gets_away_when_a_socket_is_lost_and_the_seat_is_kept(
    autojump_clock: MockClock,
) -> None:
    async with play(keeping) as table:
        ann, bob = table.join(), table.join()
        table.away(ann)
        await trio.sleep(2.1)
        table.back(ann)
        assert await table.messages() == [["Away", ann], ["Back", ann]]
        table.away(bob)
        await trio.sleep(30.1)
        assert (await table.messages())[-1] == ["Left", bob]
        with pytest.raises(JoinRefused, match="no such place"):
            table.back(bob)


async def test_a_player_who_is_back_has_missed_nothing() -> None:
    async with play(keeping) as table:
        ann, bob = table.join(), table.join()
        table.say(bob, "one")
        assert await table.messages() == ["one"]
        table.away(ann)
        table.say(bob, "two")
        assert await table.messages() == ["two"]
        table.say(ann, "three")
        assert await table.messages() == []
        assert table.heard_by(ann) == ["one"]
        table.back(ann)
        assert await table.messages() == ["three"]
        assert table.heard_by(ann) == table.heard_by(bob) == ["one", "two", "three"]


async def test_a_player_may_leave_while_away() -> None:
    async with play(keeping) as table:
        ann, bob = table.join(), table.join()
        table.away(ann)
        table.leave(ann)
        assert await table.messages() == [["Left", ann]]
        assert table.heard_by(bob) == [["Left", ann]]


async def test_messages_sent_while_all_are_away_are_heard_when_a_player_is_back() -> None:
    async with play(keeping) as table:
        ann = table.join()
        table.say(ann, "one")
        table.away(ann)
        assert await table.messages() == []
        table.back(ann)
        assert await table.messages() == ["one"]


async def test_a_player_who_is_back_after_the_end_learns_of_it() -> None:
    async with play(keeping) as table:
        ann, bob = table.join(), table.join()
        table.away(ann)
        table.say(bob, "end")
        assert await table.ended() == []
        table.back(ann)
        assert table.outs == {ann: EndReason.FINISHED}


async def test_the_picture_of_a_room_can_be_read() -> None:
    async with play(keeping) as table:
        ann = table.join()
        assert table.picture(ann) is None  # the room has not run yet
        table.say(ann, "one")
        await table.messages()
        assert table.picture(ann) == {"you": ann, "said": ["one"]}
    async with play(odd) as table:
        ann = table.join()
        await table.messages()
        assert table.picture(ann) is None
