"""What one turn of the loop says to a client leaves in one write."""

from __future__ import annotations

from typing import Protocol

__all__ = ["Cork", "Corked"]

FULL = 256
"""So many writes take some 1 to 4 ms: time for others to run."""


class Corked(Protocol):
    """An output that holds its frames back while a cork is in."""

    def uncork(self) -> None:
        """Writes them now; must not raise."""


class Cork:
    """``with cork:`` around a step without an ``await``: what it sends leaves at its end.

    Four messages to a client cost one system call instead of four (0.9 µs a message instead of
    2.9). May be nested: the outermost counts.
    """

    __slots__ = ("_depth", "waiting")

    def __init__(self) -> None:
        self._depth = 0
        self.waiting: list[Corked] = []
        """Who has something to write at the end of this step."""

    @property
    def held(self) -> bool:
        """Whether a step is under way."""
        return self._depth > 0

    @property
    def full(self) -> bool:
        """Whether so many have something to write that the step should come to its end."""
        return len(self.waiting) >= FULL

    def __enter__(self) -> None:
        self._depth += 1

    def __exit__(self, *_: object) -> None:
        self._depth -= 1
        if not self._depth and self.waiting:
            waiting, self.waiting = self.waiting, []
            for output in waiting:
                output.uncork()
