"""A test that waits for the end of a room which waits for the test is told so, at once."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from lastcall import Alarm, Away, Kind, Left, Room, Said, room
from lastcall.errors import RoomWaits
from lastcall.testing import Table, play


@room("counting", seats=3)
async def counting(table: Room) -> Any:
    """Ends with what is said first, or when somebody has been away or has left."""
    async for event in table:
        match event:
            case Said(_, ["alarm", seconds]):
                table.alarm("bell", after=seconds)
            case Said(_, ["task", seconds]):
                table.nursery.start_soon(end_after, table, seconds)
            case Said(_, said):
                return said
            case Alarm() | Away() | Left():
                return type(event).__name__
    raise AssertionError


async def end_after(table: Room, seconds: float) -> None:
    await trio.sleep(seconds)
    table.nursery.cancel_scope.cancel()


@room("limited", seats=3)
async def limited(table: Room) -> Any:
    """Ends when nobody says anything for an hour."""
    while True:
        with trio.move_on_after(3600) as limit:
            await anext(table)
        if limit.cancelled_caught:
            return "nobody spoke"


@room("stuck", seats=3)
async def stuck(_table: Room) -> Any:
    """Waits for what nobody does."""
    await trio.Event().wait()


@room("threaded", seats=3)
async def threaded(_table: Room) -> Any:
    """Works in a thread for a while."""
    await trio.to_thread.run_sync(time.sleep, 0.05)
    return "worked"


@asynccontextmanager
async def with_a_player(kind: Kind) -> AsyncIterator[tuple[Table, Any]]:
    async with play(kind) as table:
        yield table, table.join("ann")


@pytest.mark.parametrize(
    ("kind", "words"), [(counting, "waits for its next event, "), (stuck, "something other than")]
)
async def test_a_room_that_waits_for_ever_is_an_error_that_says_what_to_do(
    kind: Kind, words: str
) -> None:
    async with with_a_player(kind) as (table, _):
        with pytest.raises(RoomWaits, match=f"{words}.*say something"):
            await table.ended()
        table.cut()
        assert await table.ended() is None


async def test_a_table_without_a_room_cannot_end() -> None:
    async with play(counting) as table:
        with pytest.raises(RoomWaits, match="join"):
            await table.ended()


async def test_a_room_may_end_by_whatever_is_still_due(autojump_clock: MockClock) -> None:
    async def say_later(table: Table, ann: Any) -> None:
        await trio.sleep(3600)
        table.say(ann, "late")

    ends: list[Any] = []
    for said in (["alarm", 3600], ["task", 3600]):
        async with with_a_player(counting) as (table, ann):
            table.say(ann, said)
            ends.append(await table.ended())
    async with with_a_player(counting) as (table, ann):
        table.away(ann)
        ends.append(await table.ended())
    async with with_a_player(counting) as (table, ann), trio.open_nursery() as nursery:
        nursery.start_soon(say_later, table, ann)
        ends.append(await table.ended())
    async with with_a_player(limited) as (table, _):
        ends.append(await table.ended())
    assert ends == ["Alarm", None, "Away", "late", "nobody spoke"]
    assert trio.current_time() == pytest.approx(4 * 3600 + 2, abs=5)


async def test_a_room_that_works_in_a_thread_may_end() -> None:
    async with with_a_player(threaded) as (table, _):
        assert await table.ended() == "worked"
