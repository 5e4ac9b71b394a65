"""A node's output: reads it, keeps its end, and shows the operator what they should see at once."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from math import inf
from typing import Any

import msgspec
import trio

from lastcall.local.line_limit import PERIOD_SECONDS, LineLimit
from lastcall.wire import UNREADABLE

LINES_KEPT = 20
LINE_BYTES_MAX = 64 * 1024
HEAD_CHARS, TAIL_CHARS = 1_000, 4_000
"""A longer line is shown without its middle."""
LABEL_CHARS = 60
LABELS_SHOWN = 5
REFUSAL = "Error: "
"""A node that refuses its options writes one line, which begins like this."""

QUIET = frozenset({"debug", "info"})
"""Levels that are not shown."""
PLURALS = {"warning": "warnings", "error": "errors", "critical": "errors"}
PRINTED = "lines"
LINES_MAX = {
    "errors": 20,
    "warnings": 20,
    "logged errors": 20,
    "logged warnings": 20,
    "Python warnings": 20,
    PRINTED: 60,  # a room may print a traceback
}
"""The limits, each by the name of its lines. *Logged* are those of Python's logging: an author's
flood must not hide what Lastcall says about their room, nor warnings an error."""


class _Event(msgspec.Struct, frozen=True):
    event: str
    at: str = ""
    level: str = ""
    logger: str = ""
    kind: Any = None

    @property
    def of_the_log(self) -> bool:
        """Whether it is a line of the node's log; a room may print JSON, too."""
        return bool(self.at and self.level)

    @property
    def label(self) -> str:
        """Lines with the same label are alike."""
        return f"{self.event} {self.kind}" if isinstance(self.kind, str) else self.event

    @property
    def plural(self) -> str:
        """The name of the limit."""
        plural = PLURALS.get(self.level, PRINTED)
        if self.logger == "py.warnings":
            return "Python warnings"
        return f"logged {plural}" if self.logger and plural != PRINTED else plural


class NodeOutput:
    """The lines that a node writes: JSON events, and whatever its rooms print.

    ``show`` is called with warnings, errors and what rooms print, within the limits of
    :data:`LINES_MAX`, and then with the number of lines that were not shown. ``on_event`` is called
    with the name and the line of each JSON event.
    """

    def __init__(
        self, name: str, show: Callable[[str], None], on_event: Callable[[str, bytes], None]
    ) -> None:
        self.lines: deque[str] = deque(maxlen=LINES_KEPT)
        """The last 20 lines."""
        self._name = name
        self._show = show
        self._on_event = on_event
        self._ready = False
        self._refusal = ""
        self._limits = {plural: LineLimit(most) for plural, most in LINES_MAX.items()}

    async def read(self, stream: trio.abc.ReceiveStream) -> None:
        """Reads ``stream`` to its end, line by line."""
        rest = b""
        try:
            while True:
                with trio.move_on_at(min(one.ends_at for one in self._limits.values())) as period:
                    chunk = await stream.receive_some()
                now = trio.current_time()
                self._end_periods(now)
                if period.cancelled_caught:
                    continue
                *lines, rest = (rest + chunk).split(b"\n")
                if not chunk or len(rest) > LINE_BYTES_MAX:
                    lines, rest = [*lines, *filter(None, [rest])], b""
                for line in lines:
                    self.add(line, now)
                if not chunk:
                    return
        finally:
            self._end_periods(inf)

    def add(self, line: bytes, now: float) -> None:
        """Takes one line."""
        text = line[:LINE_BYTES_MAX].decode(errors="replace").rstrip()
        self.lines.append(text)
        self.show_refusal(now)
        event = self._event_in(line)
        if event is not None and event.of_the_log:
            if event.level not in QUIET and self._admits(event.label, event.plural, now):
                self._show_text(readable(text, self._name))
        elif text.startswith(REFUSAL) and not self._ready:
            self._refusal = text
        else:  # a room's print, or a traceback from before logging is set up
            self._show_printed(text, now)

    def _event_in(self, line: bytes) -> _Event | None:
        try:
            event = msgspec.json.decode(line, type=_Event)
            self._on_event(event.event, line)
        except UNREADABLE:
            return None
        self._ready |= event.event == "node.ready"
        return event

    def show_refusal(self, now: float) -> None:
        """Shows a line that looked like a refused option. A real refusal is not shown here:
        the command that started the node reports it.
        """
        refusal, self._refusal = self._refusal, ""
        self._show_printed(refusal, now)

    def _show_printed(self, text: str, now: float) -> None:
        if text and self._admits(text, PRINTED, now):
            self._show_text(text)

    def _admits(self, label: str, plural: str, now: float) -> bool:
        first_line = label.partition("\n")[0]
        if len(first_line) > LABEL_CHARS:
            first_line = f"{first_line[:LABEL_CHARS]}…"
        return self._limits[plural].admits(first_line, now)

    def _show_text(self, text: str) -> None:
        self._show(f"{self._name}: {_without_middle(text)}")

    def _end_periods(self, now: float) -> None:
        for plural, limit in self._limits.items():
            if now < limit.ends_at:
                continue
            hidden = limit.end_period()
            if hidden:
                counts = [f"{label} ({n})" for label, n in hidden.most_common(LABELS_SHOWN)]
                self._show(
                    f"{self._name}: {hidden.total()} more {plural} within {PERIOD_SECONDS:g} s are "
                    f"not shown: {', '.join(counts)}"
                )


def _without_middle(text: str) -> str:
    hidden = len(text) - HEAD_CHARS - TAIL_CHARS
    if hidden <= 0:
        return text
    return f"{text[:HEAD_CHARS]} … ({hidden} characters are not shown) … {text[-TAIL_CHARS:]}"


def readable(line: str, node: str) -> str:
    """A JSON event of ``node`` as plain text, with the lines of its traceback below it."""
    try:
        event = msgspec.json.decode(line, type=dict[str, object])
    except UNREADABLE:
        return line
    traceback = str(event.pop("traceback", "")).rstrip()
    head = ": ".join(str(event.pop(key)) for key in ("level", "event") if key in event)
    known = [("at", event.get("at")), ("node", node)]
    fields = (f"{key}={value}" for key, value in event.items() if (key, value) not in known)
    return "\n    ".join([*" ".join([head, *fields]).splitlines(), *traceback.splitlines()])
