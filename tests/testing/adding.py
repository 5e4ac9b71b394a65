"""A room that adds up numbers, and the ways in which it goes on at another node."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
import trio

from lastcall import Alarm, Away, Back, Joined, Left, Room, Said, room
from lastcall.testing import Table


class Sum(msgspec.Struct):
    total: int = 0
    seen: list[str] = []


async def add(table: Room[Sum]) -> Any:  # noqa: C901, PLR0912 - a table
    """Adds up numbers; its locals count the events since it came to this node."""
    since = 0
    try:
        async for event in table:
            since += 1
            match event:
                case Said(_, "end"):
                    return [table.state.total, table.state.seen, since, table.moves]
                case Said(_, "sleep"):
                    await trio.sleep(0.9)
                case Said(_, "hang"):
                    await trio.sleep(3600)
                case Said(_, "speak"):
                    table.broadcast("before")
                    await trio.sleep(5)
                    table.broadcast("after")
                case Said(_, "commit"):
                    table.broadcast("before")
                    await table.commit()
                    await trio.sleep(5)
                    table.broadcast("after")
                case Said(_, "count twice"):
                    table.state.total += 1
                    await trio.sleep(5)
                    table.state.total += 1
                case Said(_, "crash"):
                    raise RuntimeError("the input was crash")
                case Said(_, "bell"):
                    table.alarm("bell", after=10)
                case Said(_, "break"):
                    table.state.total = 2**70
                case Said(_, "mend"):
                    table.state.total = 0
                case Said(_, int(number)):
                    table.state.total += number
                    table.broadcast(table.state.total)
                case Joined() | Away() | Back() | Left() | Alarm():
                    table.state.seen.append(type(event).__name__)
    finally:
        table.broadcast("bye")
    raise AssertionError


adding = room("adding", seats=2, state=Sum, resume_seconds=20)(add)
surviving = room("adding", seats=2, state=Sum, survives=True, resume_seconds=20)(add)

each_way = pytest.mark.parametrize(
    ("kind", "leave"),
    [(adding, Table.move), (surviving, Table.lose_node)],
    ids=["by a move", "by a loss"],
)
"""``await leave(table)`` takes a room of the kind ``kind`` to another node."""
