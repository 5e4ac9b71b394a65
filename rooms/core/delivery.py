"""A client's inputs on the api node, from the socket to the room's inbox.

The api node keeps each input until the game node acks it, so that what a full inbox refused can
be said again, in order. ``held`` is bounded by count and bytes: beyond either, the socket is not
read (the session waits), so nothing is lost and nothing grows.
"""

from __future__ import annotations

import enum
from collections import deque

__all__ = ["InputWindow", "Verdict"]


class Verdict(enum.Enum):
    """What an input's number says."""

    NEXT = "next"
    REPEAT = "repeat"
    GAP = "gap"


class InputWindow:
    """The inputs of one place that the room may not have yet."""

    __slots__ = ("_held", "bytes_held", "bytes_max", "inputs_max", "last")

    def __init__(self, inputs_max: int, bytes_max: int) -> None:
        self._held: deque[tuple[int, bytes]] = deque()
        self.inputs_max = inputs_max
        self.bytes_max = bytes_max
        self.bytes_held = 0
        self.last = 0
        """The highest ``n`` that the client has said here."""

    @property
    def full(self) -> bool:
        """Whether the socket must not be read for now."""
        return len(self._held) >= self.inputs_max or self.bytes_held >= self.bytes_max

    def take(self, n: int, body: bytes) -> Verdict:
        """Keeps input ``n`` if it is the next; a repeat or a gap changes nothing."""
        if n <= self.last:
            return Verdict.REPEAT
        if n > self.last + 1:
            return Verdict.GAP
        self.last = n
        self._held.append((n, body))
        self.bytes_held += len(body)
        return Verdict.NEXT

    def ack(self, n: int) -> bool:
        """Forgets all up to ``n``; True if that made room where there was none."""
        was_full = self.full
        while self._held and self._held[0][0] <= n:
            self.bytes_held -= len(self._held.popleft()[1])
        return was_full and not self.full

    def again(self, n: int) -> list[tuple[int, bytes]]:
        """What to say once more when the room wants all from ``n`` on."""
        return [held for held in self._held if held[0] >= n]
