"""Finds out that a test waits for a room which waits for the test."""

from __future__ import annotations

from collections.abc import Iterator
from math import inf

import trio
from trio.lowlevel import Task

from lastcall.host.live_room import LiveRoom

WAKEUPS = 1
"""Trio's own task that waits for a descriptor."""
SAY_WHAT = (
    "and nothing is due that could bring it: no alarm, no player who is away, no task that sleeps. "
    "So it never ends. Before ended(): say something, let a player leave, or cut() the room"
)


def standstill(room: LiveRoom | None, services: trio.Nursery) -> str:
    """Why the room, or the table without one, will never end by itself; empty if it may.

    To be called when all other tasks are blocked. The tasks of ``services`` do what the room and
    the test ask of them, and nothing else; those of the room are looked at one by one. A task
    that waits for a descriptor or a thread may go on.
    """
    if _waits_for_the_system() or _is_due(trio.lowlevel.current_root_task(), services):
        return ""
    if room is None:
        return "no room has been opened, so none can end: join() before ended()"
    seats = room.state.roster
    if room.state.alarms or not seats or any(seat.away for seat in seats) or _is_due(room.task):
        return ""
    at_rest = room.state.inbox.reader is room.task
    what = "its next event" if at_rest else "something other than an event"
    return f"the room waits for {what}, {SAY_WHAT}"


def _is_due(task: Task | None, without: trio.Nursery | None = None) -> bool:
    """Whether the task, or one that it has started, goes on at some time; the calling one does not
    count. None is over, and does what remains to be done.
    """
    if task is None:
        return True
    me = trio.lowlevel.current_task()
    return any(_deadline(one) < inf for one in _below(task, without) if one is not me)


def _waits_for_the_system() -> bool:
    io = trio.lowlevel.current_statistics().io_statistics
    waiting = getattr(io, "tasks_waiting_read", 0) + getattr(io, "tasks_waiting_write", 0)
    return waiting > WAKEUPS or trio.to_thread.current_default_thread_limiter().borrowed_tokens > 0


def _below(task: Task, without: trio.Nursery | None = None) -> Iterator[Task]:
    """The task, and all that it has started, but those of one nursery."""
    todo = [task]
    while todo:
        one = todo.pop()
        yield one
        for nursery in one.child_nurseries:
            if nursery is not without:
                todo.extend(nursery.child_tasks)


def _deadline(task: Task) -> float:
    """When the task goes on at the latest: :func:`trio.current_effective_deadline` of another."""
    deadline: float = task._cancel_status.effective_deadline()  # noqa: SLF001 - nothing public has it
    return deadline
