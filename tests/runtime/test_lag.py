"""The loop's lag, and who causes it."""

from __future__ import annotations

import pytest
import structlog
import trio
from trio.testing import MockClock

from rooms.runtime.lag import ROOM, SlowSteps, watch_lag


async def test_a_loop_that_turns_has_no_lag_and_one_that_was_held_has_it(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    seen: list[float] = []
    nursery.start_soon(watch_lag, seen.append)
    await trio.sleep(0.55)
    assert seen == [0.0] * 5
    autojump_clock.jump(0.35)
    await trio.sleep(0.01)
    assert seen[5:] == [pytest.approx(0.3)]


class Stopwatch:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


async def test_a_step_of_more_than_50_ms_is_logged_with_its_room(nursery: trio.Nursery) -> None:
    watch = Stopwatch()
    steps = SlowSteps(watch)

    async def timer() -> None:
        watch.now += 0.2
        await trio.lowlevel.checkpoint()

    async def room() -> None:
        ROOM.set(("dice", "game-1.abc"))
        watch.now += 0.04
        await trio.lowlevel.checkpoint()
        async with trio.open_nursery() as inside:
            inside.start_soon(timer)

    async def house() -> None:
        watch.now += 0.06

    with structlog.testing.capture_logs() as logs:
        trio.lowlevel.add_instrument(steps)
        try:
            async with trio.open_nursery() as tasks:
                tasks.start_soon(room)
                tasks.start_soon(house, name="house")
        finally:
            trio.lowlevel.remove_instrument(steps)
    told = sorted((log["event"], log.get("kind"), log["seconds"]) for log in logs)
    assert told == [("loop.slow_step", None, 0.06), ("room.slow_step", "dice", 0.2)]
