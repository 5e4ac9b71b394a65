"""Bounds how often the log says what strangers cause, and counts what it leaves out."""

from __future__ import annotations

PERIOD_SECONDS = 60.0


class LogRate:
    """Allows ``lines`` in each period of 60 s, which begins with its first line."""

    __slots__ = ("_began", "_left_out", "_lines", "_written")

    def __init__(self, lines: int = 3) -> None:
        self._lines = lines
        self._written = 0
        self._left_out = 0
        self._began = float("-inf")

    def take(self, now: float) -> int | None:
        """None if the line must be left out; else how many were left out since the last one."""
        if now - self._began >= PERIOD_SECONDS:
            self._began, self._written = now, 0
        if self._written >= self._lines:
            self._left_out += 1
            return None
        self._written += 1
        left_out, self._left_out = self._left_out, 0
        return left_out
