"""Rooms that move: each repeats what it hears, with a count that its state keeps."""

from __future__ import annotations

from typing import Any

import msgspec
import trio

from lastcall import Room, Said, room


class Talk(msgspec.Struct):
    count: int = 0
    notes: bytes = b""


class Gossip(msgspec.Struct):
    """A later version's state: it cannot be read from a :class:`Talk`."""

    count: str = ""


async def repeat(table: Room[Talk]) -> None:
    async for event in table:
        match event:
            case Said(_, {"notes": int(size)}):
                table.state.notes = bytes(size)
            case Said(_, said):
                table.state.count += 1
                table.broadcast({"said": said, "count": table.state.count, "moves": table.moves})


@room("den", seats=8, state=Talk)
async def den(table: Room[Talk]) -> None:
    await repeat(table)


@room("hall", seats=8, state=Talk, moves="at_once")
async def hall(table: Room[Talk]) -> None:
    await repeat(table)


@room("cell", seats=8, state=Talk, moves="never")
async def cell(table: Room[Talk]) -> None:
    await repeat(table)


@room("den", seats=8, state=Gossip)
async def later_den(table: Room[Gossip]) -> None:
    async for _ in table:
        table.broadcast(table.state.count)


@room("hall", seats=8, state=Gossip, moves="at_once")
async def later_hall(table: Room[Gossip]) -> None:
    async for _ in table:
        table.broadcast(table.state.count)


@room("busy", seats=8, state=Talk)
async def busy(table: Room[Talk]) -> None:
    """Does not wait for events once it has heard one."""
    async for event in table:
        if isinstance(event, Said):
            await trio.sleep_forever()


def kinds(*functions: Any) -> dict[Any, Any]:
    return {function.name: function for function in functions}


BUSY = kinds(busy)
KINDS = kinds(den, hall, cell)
LATER = kinds(later_den, later_hall, cell)
