"""A room whose players order bursts of messages."""

from __future__ import annotations

import msgspec

from lastcall import Room, Said, room


class Order(msgspec.Struct):
    """So many messages of that size, in one step."""

    messages: int
    message_bytes: int


@room("bursts", seats=4, inputs=Order)
async def bursts(table: Room) -> None:
    async for event in table:
        if isinstance(event, Said):
            for _ in range(event.input.messages):
                table.broadcast("x" * event.input.message_bytes)
