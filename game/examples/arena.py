"""An arena: a loop of ticks, and beside it the inputs, in a task of the room's nursery.

Players run after a coin; its next place follows from the count. Players who are away stand still.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
import trio

from lastcall import Away, Joined, Left, Room, Said, room

TICKS_PER_SECOND = 20
SIZE = 100.0
STEP = 1.0  # what a player at full speed runs in one tick
REACH = 3.0
Speed = Annotated[float, msgspec.Meta(ge=-1, le=1)]


class Run(msgspec.Struct, frozen=True):
    """Where to run from now on, as a part of full speed along each axis."""

    dx: Speed
    dy: Speed


class Options(msgspec.Struct):
    """How long a match is."""

    seconds: Annotated[int, msgspec.Meta(ge=1, le=3600)] = 60


class Runner(msgspec.Struct):
    """One player on the field."""

    x: float = SIZE / 2
    y: float = SIZE / 2
    run: Run = Run(0, 0)

    def step(self) -> None:
        """One tick; the walls hold."""
        self.x = min(SIZE, max(0.0, self.x + STEP * self.run.dx))
        self.y = min(SIZE, max(0.0, self.y + STEP * self.run.dy))


@room("arena", seats=8, inputs=Run, options=Options)
async def arena(table: Room) -> dict[str, dict[str, int]]:
    """Says 20 times a second who is where; ends with the scores."""
    runners: dict[str, Runner] = {}
    scores: dict[str, int] = {}
    table.nursery.start_soon(listen, table, runners, scores)
    start = trio.current_time()
    for tick in range(1, table.options.seconds * TICKS_PER_SECOND + 1):
        await trio.sleep_until(start + tick / TICKS_PER_SECOND)
        taken = sum(scores.values())
        x, y = 37.0 * (taken + 1) % SIZE, 61.0 * (taken + 1) % SIZE
        for player, runner in runners.items():
            runner.step()
            if taken == sum(scores.values()) and max(abs(runner.x - x), abs(runner.y - y)) <= REACH:
                scores[player] += 1
        at = {player: [runner.x, runner.y] for player, runner in runners.items()}
        table.broadcast({"at": at, "coin": [x, y], "scores": scores})
    return {"scores": scores}


async def listen(table: Room, runners: dict[str, Runner], scores: dict[str, int]) -> None:
    """Takes what the players do; the ticks show what comes of it."""
    async for event in table:
        match event:
            case Joined(player):
                runners[player], scores[player] = Runner(), 0
            case Away(player):
                runners[player].run = Run(0, 0)
            case Left(player):
                del runners[player]
            case Said(player, Run() as run):
                runners[player].run = run
