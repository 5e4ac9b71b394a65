"""Passes lines of the log on to those who watch the node; without a watcher it costs nothing.

Everybody who may read ``/status`` may watch. So only events with the names of Lastcall's own pass,
without tracebacks and texts of exceptions, and without what an author's code has bound to its
context (:func:`structlog.contextvars.bind_contextvars`). An author's line passes if it is named so.
"""

from __future__ import annotations

import re
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import trio
from structlog.contextvars import get_contextvars
from structlog.typing import EventDict, WrappedLogger

from lastcall.wire.views import LogLine

LINES_WAITING = 500
"""Lines that wait for a watcher whose loop is late; of more, the oldest are dropped."""
TEXT_CHARS = 300
OWN = re.compile(
    r"(?:admin|auth|client|clients|discovery|drain|feed|handoff|join|link|links|loop|node|place|"
    r"process|renewal|resume|roll|room|secret|start|survival|thread|tls|verbs)\.[a-z_]+"
)
HIDDEN = frozenset(
    {"at", "level", "event", "node", "error", "exc_info", "stack_info", "stack", "traceback"}
)

Tap = Callable[[EventDict], None]

_taps: tuple[Tap, ...] = ()
_changing = threading.Lock()


def pass_on(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """The processor of structlog: shows each line to the taps. Runs in any thread."""
    for tap in _taps:
        tap(event)
    return event


@contextmanager
def tapped(tap: Tap) -> Iterator[None]:
    """Calls ``tap`` with each line inside the block."""
    _change_taps(lambda taps: (*taps, tap))
    try:
        yield
    finally:
        _change_taps(lambda taps: tuple(one for one in taps if one is not tap))


def _change_taps(change: Callable[[tuple[Tap, ...]], tuple[Tap, ...]]) -> None:
    global _taps  # noqa: PLW0603 - structlog's configuration is the process's, too
    with _changing:
        _taps = change(_taps)


class LogTap:
    """A tap whose lines this loop waits for; made in the loop. Logging never waits for it."""

    def __init__(self, wall: Callable[[], float] = time.time) -> None:
        self._wall = wall
        self._token = trio.lowlevel.current_trio_token()
        self._lines: deque[LogLine] = deque(maxlen=LINES_WAITING)
        self._arrived = trio.Event()

    def __call__(self, event: EventDict) -> None:
        """Takes a line, in any thread."""
        line = short_line(event, self._wall())
        if line is not None:
            self._lines.append(line)
            with suppress(trio.RunFinishedError):
                self._token.run_sync_soon(self._wake, idempotent=True)

    def _wake(self) -> None:
        self._arrived.set()

    async def wait(self) -> list[LogLine]:
        """The lines since the last call, at least one. May be cancelled: none is lost."""
        await self._arrived.wait()
        self._arrived = trio.Event()
        return [self._lines.popleft() for _ in range(len(self._lines))]


def short_line(event: EventDict, at: float) -> LogLine | None:
    """A line as watchers see it; None for what they do not. Call it where the line was logged."""
    name = event.get("event")
    if not isinstance(name, str) or "logger" in event or not OWN.fullmatch(name):
        return None
    hidden = HIDDEN | get_contextvars().keys()
    fields = (f"{key}={value}" for key, value in event.items() if key not in hidden)
    text = " ".join(fields).encode(errors="backslashreplace").decode()  # a path may be any bytes
    if len(text) > TEXT_CHARS:
        text = f"{text[:TEXT_CHARS]}…"
    return LogLine(at, str(event.get("node", "")), str(event.get("level", "")), name, text)
