"""An arena: an alarm that ticks, and the inputs between its ticks.

Players run after a coin; its next place follows from the count. Players who are away stand still.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from lastcall import Alarm, Away, Joined, Left, PlayerId, Room, Said, room

TICKS_PER_SECOND, SIZE, REACH = 20, 100.0, 3.0


class Run(msgspec.Struct, frozen=True):
    """How far to run in each tick from now on, along each axis."""

    dx: Annotated[float, msgspec.Meta(ge=-1, le=1)]
    dy: Annotated[float, msgspec.Meta(ge=-1, le=1)]


class Options(msgspec.Struct):
    """How long a match is."""

    seconds: Annotated[int, msgspec.Meta(ge=1, le=3600)] = 60


class Runner(msgspec.Struct):
    """One player on the field."""

    x: float = SIZE / 2
    y: float = SIZE / 2
    run: Run = Run(0, 0)


class Field(msgspec.Struct):
    """The state of a match, which moves with the room."""

    runners: dict[PlayerId, Runner] = {}
    scores: dict[PlayerId, int] = {}
    ticks: int = 0

    def tick(self) -> dict[str, Any]:
        """All run one step, up to the walls; returns the message that says who is where."""
        self.ticks += 1
        count = sum(self.scores.values()) + 1
        x, y = 37.0 * count % SIZE, 61.0 * count % SIZE
        for one in self.runners.values():
            one.x = min(SIZE, max(0.0, one.x + one.run.dx))
            one.y = min(SIZE, max(0.0, one.y + one.run.dy))
        at = {player: [one.x, one.y] for player, one in self.runners.items()}
        near = [p for p in at if max(abs(at[p][0] - x), abs(at[p][1] - y)) <= REACH]
        if near:
            self.scores[near[0]] += 1
        return {"at": at, "coin": [x, y], "scores": self.scores}


@room("arena", seats=8, inputs=Run, options=Options, state=Field)
async def arena(table: Room[Field]) -> dict[str, Any]:
    """Says 20 times a second who is where; ends with the scores."""
    field = table.state
    table.every("tick", 1 / TICKS_PER_SECOND)
    async for event in table:
        match event:
            case Alarm("tick"):
                table.broadcast(field.tick())
                if field.ticks == TICKS_PER_SECOND * table.options.seconds:
                    break
            case Joined(player):
                field.runners[player], field.scores[player] = Runner(), 0
            case Away(player):
                field.runners[player].run = Run(0, 0)
            case Left(player):
                del field.runners[player]
            case Said(player, Run() as run):
                field.runners[player].run = run
    return {"scores": field.scores}
