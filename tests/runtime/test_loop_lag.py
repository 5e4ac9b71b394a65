"""The lag of the event loop, and the rooms that cause it."""

from __future__ import annotations

import weakref
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import structlog
import trio
from trio.testing import MockClock

from lastcall.runtime.loop_lag import ROOM, Pulse, SlowSteps, watch_lag


async def test_an_idle_loop_has_no_lag_and_a_blocked_loop_has(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    seen: list[float] = []
    nursery.start_soon(watch_lag, seen.append, Pulse())
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


@asynccontextmanager
async def slow_steps_logged(watch: Stopwatch) -> AsyncIterator[list[tuple[str, str | None, float]]]:
    """Collects the slow steps that are logged within the block: event, kind and seconds."""
    steps = SlowSteps(watch)
    logged: list[tuple[str, str | None, float]] = []
    with structlog.testing.capture_logs() as logs:
        trio.lowlevel.add_instrument(steps)
        try:
            yield logged
            await trio.testing.wait_all_tasks_blocked()
        finally:
            trio.lowlevel.remove_instrument(steps)
    logged += [(log["event"], log.get("kind"), log["seconds"]) for log in logs]


async def test_a_step_of_more_than_50_ms_is_logged_with_its_room() -> None:
    watch = Stopwatch()

    async def timer() -> None:
        watch.now += 0.2
        await trio.lowlevel.checkpoint()

    async def room() -> None:
        ROOM.set(("dice", "game-1.abc"))
        watch.now += 0.04
        await trio.lowlevel.checkpoint()
        async with trio.open_nursery() as inside:
            inside.start_soon(timer)

    async def node_task() -> None:
        watch.now += 0.06

    async with slow_steps_logged(watch) as logged, trio.open_nursery() as tasks:
        tasks.start_soon(room)
        tasks.start_soon(node_task)
    assert sorted(logged, key=str) == [
        ("loop.slow_step", None, 0.06),
        ("room.slow_step", "dice", 0.2),
    ]


async def test_slow_steps_in_one_turn_are_logged_for_their_own_rooms() -> None:
    watch = Stopwatch()

    async def room(kind: str, seconds: float) -> None:
        ROOM.set((kind, "game-1.abc"))
        watch.now += seconds
        await trio.sleep_forever()

    async with slow_steps_logged(watch) as logged, trio.open_nursery() as tasks:
        for kind, seconds in (("dice", 0.1), ("quick", 0.04), ("chess", 0.3)):
            tasks.start_soon(room, kind, seconds)
        await trio.testing.wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()
    assert sorted(logged) == [("room.slow_step", "chess", 0.3), ("room.slow_step", "dice", 0.1)]


async def test_the_last_step_before_the_loop_waits_counts_without_the_wait(
    autojump_clock: MockClock,
) -> None:
    watch = Stopwatch()

    class LongWait(trio.abc.Instrument):
        def after_io_wait(self, timeout: float) -> None:  # noqa: ARG002
            watch.now += 10

    async def room() -> None:
        ROOM.set(("dice", "game-1.abc"))
        for _ in range(2):
            watch.now += 0.1
            await trio.sleep(1)  # alone in its turn: no other step follows

    long_wait = LongWait()
    async with slow_steps_logged(watch) as logged, trio.open_nursery() as tasks:
        trio.lowlevel.add_instrument(long_wait)
        tasks.start_soon(room)
        await trio.sleep(3)
        trio.lowlevel.remove_instrument(long_wait)
    assert logged == [("room.slow_step", "dice", 0.1)] * 2


async def test_a_task_that_has_ended_is_not_kept_while_the_loop_waits(
    autojump_clock: MockClock,
) -> None:
    tasks_seen: list[weakref.ref[trio.lowlevel.Task]] = []
    kept: list[bool] = []

    class KeptAtWait(trio.abc.Instrument):
        def after_io_wait(self, timeout: float) -> None:  # noqa: ARG002
            kept.append(tasks_seen[0]() is not None)

    async def room() -> None:
        tasks_seen.append(weakref.ref(trio.lowlevel.current_task()))
        await trio.sleep(1)

    kept_at_wait = KeptAtWait()
    async with slow_steps_logged(Stopwatch()), trio.open_nursery() as tasks:
        tasks.start_soon(room)
        await trio.testing.wait_all_tasks_blocked()
        trio.lowlevel.add_instrument(kept_at_wait)
        await trio.sleep(3)
        trio.lowlevel.remove_instrument(kept_at_wait)
    assert kept == [True, True, False, False]  # two waits until the room ends, two until the test
