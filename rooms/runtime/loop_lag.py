"""Measures how late the loop is, and logs the room that makes it late.

While one room computes, nothing else runs in the loop, so all others wait. The lag is measured, and
a step that takes more than :data:`SLOW_SECONDS` is logged with its room.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextvars import ContextVar

import structlog
import trio

from lastcall.runtime.ticks import next_tick

log = structlog.get_logger()

LAG_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
"""The buckets of the metric ``lastcall_loop_lag_seconds``."""
INTERVAL_SECONDS = 0.1
SLOW_SECONDS = 0.05

ROOM: ContextVar[tuple[str, str]] = ContextVar("room")
"""The kind and id of the room that a task belongs to; tasks of its nursery inherit it."""


class Pulse:
    """When the loop last ran a task of its own; any thread may ask. ``clock`` gives seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._at = clock()

    def beat(self) -> None:
        """The loop runs."""
        self._at = self._clock()

    @property
    def age_seconds(self) -> float:
        """How long the loop has not run."""
        return self._clock() - self._at


async def watch_lag(observe: Callable[[float], None], pulse: Pulse) -> None:
    """Ten times a second, lets ``pulse`` beat and calls ``observe`` with the seconds that a sleep
    was late.
    """
    while True:
        due = await next_tick(INTERVAL_SECONDS)
        pulse.beat()
        observe(max(0.0, trio.current_time() - due))


class SlowSteps(trio.abc.Instrument):
    """Logs each step of a task that held the loop for too long. Costs 0.6 µs a step.

    A step ends where the next one begins, or where the loop waits: another hook at its end would
    double the cost.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._started_at = 0.0
        self._task: trio.lowlevel.Task | None = None
        """The task of this step; None while the loop waits, so that no ended task is kept."""

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        """The previous step of this turn ends, and another one begins."""
        now = self._clock()
        if now - self._started_at >= SLOW_SECONDS and self._task is not None:
            _log_slow_step(self._task, now - self._started_at)
        self._started_at = now
        self._task = task

    def before_io_wait(self, timeout: float) -> None:  # noqa: ARG002 - trio's name
        """The last step of the turn ends."""
        seconds = self._clock() - self._started_at
        if seconds >= SLOW_SECONDS and self._task is not None:
            _log_slow_step(self._task, seconds)
        self._task = None


def _log_slow_step(task: trio.lowlevel.Task, seconds: float) -> None:
    """Logs ``room.slow_step`` for a room's task, ``loop.slow_step`` for a task of Lastcall."""
    room = task.context.get(ROOM)
    if room is None:
        log.info("loop.slow_step", task=task.name, seconds=round(seconds, 3))
    else:
        kind, room_id = room
        log.warning("room.slow_step", kind=kind, room=room_id, seconds=round(seconds, 3))
