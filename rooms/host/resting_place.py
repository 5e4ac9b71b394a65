"""Where in an author's file a room's function waits."""

from __future__ import annotations

from types import CodeType, CoroutineType
from typing import Any

import trio


def resting_place(task: trio.lowlevel.Task | None, border: CodeType) -> dict[str, object]:
    """The file and the line of the function that the coroutine with the code ``border`` awaits in a
    task that waits; empty if it does not await one.
    """
    below = False
    waiting: Any = None if task is None else task.coro
    while isinstance(waiting, CoroutineType):
        code = waiting.cr_code
        if below and waiting.cr_frame is not None:
            return {"file": code.co_filename, "line": waiting.cr_frame.f_lineno}
        below = below or code is border
        waiting = waiting.cr_await
    return {}
