"""The test kit moves a room to another node: what goes along, and what cannot."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
import trio
from trio.testing import MockClock

from lastcall import Alarm, Away, Back, Joined, Left, Room, Said, room
from lastcall.errors import JoinRefused, StateFailed, StateUnreadable
from lastcall.events import Event
from lastcall.reasons import EndReason
from lastcall.testing import play


class Sum(msgspec.Struct):
    total: int = 0
    seen: list[str] = []


@room("adding", seats=2, state=Sum, resume_seconds=20)
async def adding(table: Room[Sum]) -> Any:
    """Adds up numbers; its locals count the events since the last move."""
    since = 0
    async for event in table:
        since += 1
        match event:
            case Said(_, "end"):
                return [table.state.total, table.state.seen, since, table.moves]
            case Said(_, "sleep"):
                await trio.sleep(0.9)
            case Said(_, "hang"):
                await trio.sleep(3600)
            case Said(_, "crash"):
                raise RuntimeError("the input was crash")
            case Said(_, "bell"):
                table.alarm("bell", after=10)
            case Said(_, int(number)):
                table.state.total += number
                table.broadcast(table.state.total)
            case Joined() | Away() | Back() | Left() | Alarm():
                table.state.seen.append(type(event).__name__)
    raise AssertionError


async def test_the_state_outlasts_a_move_and_the_locals_begin_anew() -> None:
    async with play(adding) as table:
        ann = table.join()
        for number in (1, 2, 3):
            table.say(ann, number)
            await table.messages()
            await table.move()
        table.say(ann, "end")
        assert await table.ended() == [6, ["Joined"], 1, 3]
        assert table.heard_by(ann) == [1, 3, 6]


async def test_inputs_said_before_and_during_a_move_are_read_once_each(
    autojump_clock: MockClock,
) -> None:
    async with play(adding) as table:
        ann = table.join()
        table.say(ann, "sleep")
        await table.messages()
        for number in range(1, 101):
            table.say(ann, number)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(table.move)
            await trio.sleep(0.5)
            table.say(ann, 1_000)
        table.say(ann, "end")
        assert (await table.ended())[0] == 5050 + 1_000
        assert table.heard_by(ann) == [n * (n + 1) // 2 for n in range(1, 101)] + [6_050]


async def test_a_player_who_is_away_may_come_back_after_a_move_and_else_leaves_in_time(
    autojump_clock: MockClock,
) -> None:
    async with play(adding) as table:
        ann, bob = table.join(), table.join()
        table.say(ann, 5)
        await table.messages()
        table.away(ann)
        table.away(bob)
        await trio.sleep(1)
        await table.move()  # Away is due after 1 s more
        await trio.sleep(5)
        table.back(bob)
        await trio.sleep(13.9)
        await table.move()
        table.say(bob, 1)
        await table.messages()
        await trio.sleep(0.2)
        with pytest.raises(JoinRefused):  # 20 s are over
            table.back(ann)
        table.say(bob, "end")
        seen = ["Joined", "Joined", "Away", "Away", "Back", "Left"]
        assert (await table.ended())[:2] == [6, seen]
        assert table.heard_by(bob) == [5, 6]


async def test_an_alarm_comes_at_its_time_after_a_move(autojump_clock: MockClock) -> None:
    async with play(adding) as table:
        ann = table.join()
        table.say(ann, "bell")
        await trio.sleep(6)
        await table.move()
        await trio.sleep(3.9)
        await table.move()
        table.say(ann, "end")
        assert (await table.ended())[1] == ["Joined"]
    async with play(adding) as table:
        ann = table.join()
        table.say(ann, "bell")
        await trio.sleep(6)
        await table.move()
        await trio.sleep(4.1)
        table.say(ann, "end")
        assert (await table.ended())[1] == ["Joined", "Alarm"]


async def test_a_new_player_joins_the_room_where_it_is_now() -> None:
    async with play(adding) as table:
        ann = table.join()
        await table.messages()
        await table.move()
        bob = table.join()
        assert ann != bob
        table.say(bob, 4)
        await table.messages()
        assert table.heard_by(ann) == table.heard_by(bob) == [4]


async def test_a_room_that_does_not_rest_within_1_s_stays_where_it_is(
    autojump_clock: MockClock,
) -> None:
    async with play(adding) as table:
        ann = table.join()
        table.say(ann, "hang")
        await table.messages()
        with pytest.raises(StateFailed, match="did not wait for its next event within 1 s"):
            await table.move()
        assert table.reason is None


@pytest.mark.parametrize(
    ("value", "error", "says"),
    [
        (2**70, StateFailed, "cannot be encoded: OverflowError"),
        ("six", StateUnreadable, r"Expected `int`, got `str` - at `\$\.total`"),
    ],
)
async def test_a_state_that_does_not_fit_is_an_error_of_the_move_and_the_room_plays_on(
    value: Any, error: type[Exception], says: str
) -> None:
    async with play(adding) as table:
        ann = table.join()
        await table.messages()
        live = table.host.find(table.room)
        assert live is not None
        live.state.author_state.total = value
        with pytest.raises(error, match=says):
            await table.move()
        table.say(ann, "end")
        assert (await table.ended())[0] == value


async def test_a_kind_that_never_moves_says_so() -> None:
    @room("fixed", seats=1, state=Sum, moves="never")
    async def fixed(table: Room[Sum]) -> None:
        async for _ in table:
            pass

    async with play(fixed) as table:
        with pytest.raises(StateFailed, match="does not run"):
            await table.move()
        table.join()
        with pytest.raises(StateFailed, match="'fixed' never move"):
            await table.move()


async def test_a_crash_before_a_move_is_raised_by_it() -> None:
    async with play(adding) as table:
        table.say(table.join(), "crash")
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(RuntimeError, match="the input was crash"):
            await table.move()
        assert table.reason is EndReason.CRASHED


async def test_what_finally_blocks_say_where_the_room_was_is_heard_by_nobody() -> None:
    read: list[Event] = []

    @room("talkative", seats=1, state=Sum)
    async def talkative(table: Room[Sum]) -> None:
        try:
            async for event in table:
                read.append(event)  # noqa: PERF401 - the list is read while the room runs
        finally:
            table.broadcast("bye")

    async with play(talkative) as table:
        ann = table.join()
        await table.messages()
        await table.move()
        assert await table.messages() == []
        assert read == [Joined(ann)]
        assert table.reason is None
