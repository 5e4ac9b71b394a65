"""A room for tests that outlives its node, and says what it has counted."""

from __future__ import annotations

import msgspec

from lastcall import Room, Said, room


class Tally(msgspec.Struct):
    """How many inputs the room has had."""

    count: int = 0


@room("choir", seats=50, inputs=int, state=Tally, survives=True)
async def choir(table: Room[Tally]) -> None:
    """Repeats each number to all, with its speaker and the count of all inputs so far."""
    async for event in table:
        match event:
            case Said(player, number):
                table.state.count += 1
                table.broadcast([player, number, table.state.count])
