"""A node's output: reads it, keeps its end, and shows the operator what they should see at once."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import msgspec
import trio

LINES_KEPT = 20
LINES_SHOWN = 20
LINE_BYTES_MAX = 64 * 1024
REFUSAL = "Error: "
"""A node that refuses its options writes one line, which begins like this."""


class _Event(msgspec.Struct, frozen=True):
    event: str
    level: str = ""
    logger: str = ""


class NodeOutput:
    """The lines that a node writes: JSON events, and whatever its rooms print.

    ``show`` is called with errors and with what rooms print, for the first 20 such lines.
    ``on_event`` is called with the name and the line of each JSON event.
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
        self._shown = 0

    async def read(self, stream: trio.abc.ReceiveStream) -> None:
        """Reads ``stream`` to its end, line by line."""
        rest = b""
        async for chunk in stream:
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                self.add(line)
            if len(rest) > LINE_BYTES_MAX:
                self.add(rest)
                rest = b""
        if rest:
            self.add(rest)

    def add(self, line: bytes) -> None:
        """Takes one line."""
        text = line[:LINE_BYTES_MAX].decode(errors="replace").rstrip()
        self.lines.append(text)
        self.show_refusal()
        try:
            event = msgspec.json.decode(line, type=_Event)
            if event.level in {"error", "critical"} or event.logger == "py.warnings":
                self._show_line(readable(text))
            self._on_event(event.event, line)
            self._ready |= event.event == "node.ready"
        except (msgspec.DecodeError, UnicodeDecodeError):
            # A room's print, a traceback from before logging is set up, or a refused option.
            if text.startswith(REFUSAL) and not self._ready:
                self._refusal = text
            else:
                self._show_line(text)

    def show_refusal(self) -> None:
        """Shows a line that looked like a refused option. A real refusal is not shown here:
        the command that started the node reports it.
        """
        refusal, self._refusal = self._refusal, ""
        if refusal:
            self._show_line(refusal)

    def _show_line(self, text: str) -> None:
        self._shown += 1
        if not text or self._shown > LINES_SHOWN:
            return
        self._show(f"{self._name}: {text}")
        if self._shown == LINES_SHOWN:
            self._show(f"{self._name}: further output is not shown")


def readable(line: str) -> str:
    """A JSON event as plain text, with the lines of its traceback below it."""
    try:
        event = msgspec.json.decode(line, type=dict[str, object])
    except msgspec.DecodeError:
        return line
    traceback = str(event.pop("traceback", "")).rstrip()
    text = " ".join(f"{key}={value}" for key, value in event.items() if key not in {"at", "node"})
    return "\n    ".join([text, *traceback.splitlines()])
