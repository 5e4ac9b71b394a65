"""How late the loop is, and which room makes it late.

One room that computes for long makes all others wait: nothing else runs in the loop meanwhile. So
the lag is measured, and a step that takes more than :data:`SLOW_SECONDS` is logged by name.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextvars import ContextVar

import structlog
import trio

__all__ = ["LAG_SECONDS", "ROOM", "SlowSteps", "watch_lag"]

log = structlog.get_logger()

LAG_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
"""The buckets of the metric ``lastcall_loop_lag_seconds``."""
LOOK_EVERY_SECONDS = 0.1
SLOW_SECONDS = 0.05

ROOM: ContextVar[tuple[str, str]] = ContextVar("room")
"""Kind and id of the room that a task works for; its nursery's tasks inherit it."""


async def watch_lag(observe: Callable[[float], None]) -> None:
    """Tells ``observe`` ten times a second how late a sleeper was woken; until cancelled."""
    while True:
        due = trio.current_time() + LOOK_EVERY_SECONDS
        await trio.sleep_until(due)
        observe(max(0.0, trio.current_time() - due))


class SlowSteps(trio.abc.Instrument):
    """Logs each step of a task that held the loop for too long (0.6 µs a step).

    A step ends where the next begins, or where the loop waits: trio's call of one more hook would
    cost as much again, at each step.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._began = 0.0
        self._task: trio.lowlevel.Task | None = None
        """Whose step it is; nobody's while the loop waits, so that no ended task is kept."""

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        """One step ends, if there was one in this turn, and another begins."""
        now = self._clock()
        if now - self._began >= SLOW_SECONDS and self._task is not None:
            _tell(self._task, now - self._began)
        self._began = now
        self._task = task

    def before_io_wait(self, timeout: float) -> None:  # noqa: ARG002 - trio's name
        """The turn's last step ends."""
        seconds = self._clock() - self._began
        if seconds >= SLOW_SECONDS and self._task is not None:
            _tell(self._task, seconds)
        self._task = None


def _tell(task: trio.lowlevel.Task, seconds: float) -> None:
    """``room.slow_step`` for what a room does, ``loop.slow_step`` for what we do."""
    room = task.context.get(ROOM)
    if room is None:
        log.info("loop.slow_step", task=task.name, seconds=round(seconds, 3))
    else:
        kind, room_id = room
        log.warning("room.slow_step", kind=kind, room=room_id, seconds=round(seconds, 3))
