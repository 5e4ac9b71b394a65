"""Keeps an error of a room's code inside its room, whichever task raises it.

An author's code may start tasks anywhere: in ``table.nursery``, in a nursery of its own, as system
tasks. trio renders the exception of a task (``repr``) before anyone can catch it, and an error
there, or any error of a system task, ends the whole run. So each task that a room's code starts is
wrapped when it is spawned: trio only sees errors that can be rendered, and a system task's error
ends the room that started it.
"""

from __future__ import annotations

import gc
import sys
from collections import Counter, deque
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from contextvars import ContextVar
from functools import partial
from types import AsyncGeneratorType, MethodType
from typing import Any, NoReturn

import trio

from lastcall.errors import RoomCodeError, TooMuchAtOnce
from lastcall.runtime.cancellation import is_cancelled, is_own_cancellation
from lastcall.runtime.error_text import TEXT_CHARS_MAX, is_short
from lastcall.runtime.loop_lag import ROOM

TASKS_PER_TURN_MAX = 10_000
"""The tasks that one room may start before others run: each takes about 10 µs."""
REFERENTS_MAX = 100
"""Objects that are looked at for the nursery of one generator."""
_HOLDERS = (
    MethodType,
    AsyncGeneratorType,
    AbstractAsyncContextManager,
    dict,
    tuple,
    deque,
)
"""Whatever may stand between a generator and the nursery in whose block it is suspended."""

Crash = Callable[[BaseException], None]

_CRASH: ContextVar[Crash] = ContextVar("crash")
"""Ends the room of this task. Only tasks of rooms have it; the tasks that they start inherit it."""


def enter_room(kind: str, room: str, crash: Crash) -> None:
    """Makes the current task a task of a room: ``crash`` ends that room, for an error."""
    ROOM.set((kind, room))
    _CRASH.set(crash)


class RoomTasks(trio.abc.Instrument):
    """Wraps each task that a task of a room spawns, and keeps generators for as long as it must."""

    def __init__(self) -> None:
        self.turn = 0
        """Counts the turns of the loop. In each turn, every task that can run runs once."""
        self._counted_turn = 0
        self._started: Counter[Crash] = Counter()
        """The tasks that each room has started in this turn."""
        self._kept: dict[trio.lowlevel.Task, list[Callable[[], None]]] = {}

    def install(self) -> None:
        """Watches the current run of trio; may be called again."""
        trio.lowlevel.add_instrument(self)
        finalizer = sys.get_asyncgen_hooks().finalizer
        if finalizer is not None and getattr(finalizer, "func", None) != self._finalize:
            sys.set_asyncgen_hooks(finalizer=partial(self._finalize, finalizer))

    def task_spawned(self, task: trio.lowlevel.Task) -> None:
        """Called by trio before the first step of ``task``, within the step that spawned it."""
        try:
            spawner = trio.lowlevel.current_task().context
        except RuntimeError:  # trio's own first task has none
            return
        crash = spawner.get(_CRASH)
        if crash is None:
            return
        if not self._may_start(crash):
            task.coro.close()
            task.coro = _nothing()  # type: ignore[assignment] # as below
            return
        system = _is_system_task(task)
        if system:  # a system task inherits nothing
            task.context.run(enter_room, *spawner[ROOM], crash)
        coro = _contained(task.coro, crash if system else None)
        task.coro = coro  # type: ignore[assignment] # typed as types.CoroutineType, which it is

    def _may_start(self, crash: Crash) -> bool:
        """Counts one more task of a room; the first one too many ends the room."""
        if self._counted_turn != self.turn:
            self._counted_turn = self.turn
            self._started.clear()
        self._started[crash] += 1
        if self._started[crash] == TASKS_PER_TURN_MAX + 1:
            crash(TooMuchAtOnce(f"more than {TASKS_PER_TURN_MAX} tasks without letting others run"))
        return self._started[crash] <= TASKS_PER_TURN_MAX

    def before_io_wait(self, timeout: float) -> None:  # noqa: ARG002 - trio's name
        """Called by trio at the end of each turn."""
        self.turn += 1

    def task_exited(self, task: trio.lowlevel.Task) -> None:
        """Called by trio after the last step of ``task``."""
        for finalize in self._kept.pop(task, ()):
            finalize()

    def _finalize(self, finalizer: Callable[[Any], None], generator: Any) -> None:
        """Finalizes an asynchronous generator that nobody can reach any more.

        trio would close it in another task. If it holds a nursery of a task that still runs, that
        would wake the task from another wait, and corrupt the run: it is kept until the task ends.
        """
        task = _task_of_its_nursery(generator)
        if task is None:
            finalizer(generator)
        else:
            self._kept.setdefault(task, []).append(partial(finalizer, generator))


ROOM_TASKS = RoomTasks()


def _is_system_task(task: trio.lowlevel.Task) -> bool:
    nursery = task.parent_nursery
    return nursery is None or nursery.parent_task is trio.lowlevel.current_root_task()


async def _nothing() -> None:
    """In place of a task too many."""


async def _contained(coroutine: Coroutine[Any, Any, object], crash: Crash | None) -> object:
    """Runs a task's coroutine; with ``crash``, that gets its error, and nothing is raised."""
    try:
        return await coroutine
    except BaseException as error:
        if is_own_cancellation(error):
            raise
        if crash is None:
            _raise_renderable(error)
        else:
            crash(renderable(error))
        return None


def _raise_renderable(error: BaseException) -> NoReturn:
    shown = renderable(error)
    try:
        raise shown from (error.__cause__ if shown is error else None)
    finally:
        del shown, error  # its traceback holds this frame


def _task_of_its_nursery(generator: Any) -> trio.lowlevel.Task | None:
    """The task with a nursery in whose block ``generator`` is suspended, itself or through context
    managers that are generators. A block's ``__aexit__`` is on the stack of the frame.
    """
    waiting: list[object] = [
        one for one in gc.get_referents(generator) if isinstance(one, MethodType)
    ]
    for _ in range(REFERENTS_MAX):
        if not waiting:
            break
        for one in gc.get_referents(waiting.pop()):
            if isinstance(one, trio.Nursery) and one in one.parent_task.child_nurseries:
                return one.parent_task
            if isinstance(one, _HOLDERS):
                waiting.append(one)
    return None


def renderable(error: BaseException) -> BaseException:
    """``error``, or a :class:`RoomCodeError` in its place: for a text that is too long or cannot be
    made, and for a ``Cancelled`` that was kept and raised again, which trio would take for its own.
    """
    try:
        if not is_short(error) or len(repr(error)) > TEXT_CHARS_MAX:
            problem = f"its text is longer than {TEXT_CHARS_MAX} characters"
        elif is_cancelled(error):
            problem = "it was raised in a task that nothing has cancelled"
        else:
            return error
    except BaseException:  # noqa: BLE001 - an author's __repr__ may raise anything
        problem = "its text cannot be made, since its __repr__ raises"
    text = f"{object.__repr__(error)}: {problem}"
    return RoomCodeError(text).with_traceback(error.__traceback__)
