"""Long work in small steps: a loop that serves 20 000 clients must not wait for any of it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from itertools import islice

import trio

__all__ = ["STEPS_PER_BATCH", "Steps"]

STEPS_PER_BATCH = 64
"""Steps between two turns of the loop."""


class Steps:
    """Works that are done one after the other; each is an iterator, and an item of it a step."""

    __slots__ = ("_begun", "_works")

    def __init__(self) -> None:
        self._works: deque[Iterator[None]] = deque()
        self._begun = trio.Event()

    def begin(self, work: Iterator[None]) -> None:
        """Does the first :data:`STEPS_PER_BATCH` steps now, if nothing waits before them; the rest
        later.

        What they raise comes out of here; what later ones raise, out of :meth:`run`.
        """
        if self._works or _some(work):
            self._works.append(work)
            self._begun.set()

    async def run(self) -> None:
        """Does what is left, until cancelled."""
        while True:
            await self._begun.wait()
            while self._works:
                await trio.lowlevel.checkpoint()
                if not _some(self._works[0]):
                    self._works.popleft()
            self._begun = trio.Event()


def _some(work: Iterator[None]) -> bool:
    """The next steps of ``work``; False when it is done."""
    return sum(1 for _ in islice(work, STEPS_PER_BATCH)) == STEPS_PER_BATCH
