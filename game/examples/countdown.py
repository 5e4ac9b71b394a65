"""A countdown: options, a state, and an alarm. It listens to nobody, so it asks for no inputs."""

from __future__ import annotations

from typing import Annotated

import msgspec

from lastcall import Alarm, Room, room


class Options(msgspec.Struct):
    """How long; a join with a value out of range is refused."""

    seconds: Annotated[int, msgspec.Meta(ge=1, le=3600)] = 10


class Clock(msgspec.Struct):
    """The state, which moves with the room."""

    left: int


def clock(options: Options) -> Clock:
    """The state of a new room."""
    return Clock(left=options.seconds)


@room("countdown", seats=10, inputs=None, options=Options, state=clock)
async def countdown(table: Room[Clock]) -> dict[str, int]:
    """Says the seconds left, once a second, and ends at 0."""
    table.every("second", 1)
    async for event in table:
        if event == Alarm("second"):
            table.state.left -= 1
            table.broadcast({"left": table.state.left})
            if table.state.left == 0:
                break
    return {"left": 0}
