"""The test kit moves a room to another node: what goes along, and what cannot."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import MockClock

from lastcall import Joined, Room, room
from lastcall.errors import StateFailed, StateUnreadable
from lastcall.events import Event
from lastcall.testing import play
from tests.testing.adding import Sum, adding


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
        assert table.heard_by(ann) == [n * (n + 1) // 2 for n in range(1, 101)] + [6_050, "bye"]


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
