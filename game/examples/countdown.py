"""A countdown: options, and time. It reads no events, so it asks for no inputs."""

from __future__ import annotations

from typing import Annotated

import msgspec
import trio

from lastcall import Room, room


class Options(msgspec.Struct):
    """How long; a join with a value out of range is refused."""

    seconds: Annotated[int, msgspec.Meta(ge=1, le=3600)] = 10


@room("countdown", seats=10, inputs=None, options=Options)
async def countdown(table: Room) -> dict[str, int]:
    """Says the seconds left, once a second, and ends at 0."""
    start = trio.current_time()
    seconds: int = table.options.seconds
    for passed in range(1, seconds + 1):
        await trio.sleep_until(start + passed)  # not sleep(1), which would drift
        table.broadcast({"left": seconds - passed})
    return {"left": 0}
