"""What one turn of the loop says to a client leaves in one write."""

from __future__ import annotations

import os
from typing import Protocol

import trio

__all__ = ["Cork", "Corked"]

FULL = 256
"""So many writes take 3 to 6 ms: time for others to run."""


class Corked(Protocol):
    """An output that holds its frames back while a cork is in."""

    descriptor: int
    """Of the socket that takes them."""

    def uncork(self) -> bytes:
        """What is to be written to the descriptor now; nothing if others care for it."""

    def written(self, data: bytes, sent: int) -> None:
        """Less than all of ``data`` has left; -1 if the connection is lost."""


class Cork:
    """``with cork:`` around a step without an ``await``: what it sends leaves at its end.

    Four messages to a client cost one system call instead of four, which is most of what a message
    costs here. May be nested: the outermost counts.
    """

    __slots__ = ("held", "now", "waiting")

    def __init__(self) -> None:
        self.held = 0
        """How many steps are under way, one in the other; 0 if none."""
        self.now = 0.0
        """When the outermost began (trio time): within a step the clock need not be asked again."""
        self.waiting: list[Corked] = []
        """Who has something to write at the end of this step."""

    @property
    def full(self) -> bool:
        """Whether so many have something to write that the step should come to its end."""
        return len(self.waiting) >= FULL

    def __enter__(self) -> None:
        if not self.held:
            self.now = trio.current_time()
        self.held += 1

    def __exit__(self, *_: object) -> None:
        self.held -= 1
        if not self.held and self.waiting:
            waiting, self.waiting = self.waiting, []
            # All is made before the first is written: the kernel's work for a write throws ours
            # out of the processor's caches, which makes 0.5 µs of each delivery.
            for output, data in [(output, output.uncork()) for output in waiting]:
                if data:
                    sent = write(output.descriptor, data)
                    if sent != len(data):
                        output.written(data, sent)


def write(descriptor: int, data: bytes) -> int:
    """Writes what the socket takes now, and returns how much; -1 if the connection is lost."""
    try:
        return os.write(descriptor, data)
    except BlockingIOError:
        return 0
    except OSError:
        return -1
