"""What one turn of the loop says to a client leaves in one write."""

from __future__ import annotations

import os
from itertools import islice
from typing import Protocol

import trio

__all__ = ["Cork", "Corked", "write"]

FULL = 256
"""To write to so many takes 3 to 6 ms: time for others to run."""
PORTION = 64
"""So many clients' frames are joined before the first is written."""


class Corked(Protocol):
    """An output whose frames are held back while a cork is in."""

    descriptor: int
    """Of the socket that takes them."""

    def uncork(self, frames: list[bytes], now: float) -> bytes:
        """What of them is to be written to the descriptor now; nothing if it cares for itself."""

    def written(self, data: bytes, sent: int) -> None:
        """Less than all of ``data`` has left; -1 if the connection is lost."""


class Cork:
    """``with cork:`` around a step without an ``await``: what it sends leaves at its end.

    Four messages to a client cost one system call instead of four, which is most of what a message
    costs here. May be nested: the outermost counts.

    What one step says to thousands leaves in several: where :meth:`run` runs, the cork stays in
    until all of them have been written to, and others run in between. Whoever brings more waits
    with :meth:`settled`. Without :meth:`run` everything leaves at once.
    """

    __slots__ = ("_much", "_runs", "_settled", "held", "now", "said")

    def __init__(self) -> None:
        self.held = 0
        """How many steps are under way, one in the other, or have not let everything out."""
        self.now = 0.0
        """When the outermost began (trio time): within a step the clock need not be asked again."""
        self.said: dict[Corked, list[bytes]] = {}
        """What is to leave at the end of this step, and by whom."""
        self._runs = False
        self._much = trio.Event()
        self._settled = trio.Event()
        self._settled.set()

    @property
    def full(self) -> bool:
        """Whether so many have something to write that the step should come to its end."""
        return len(self.said) >= FULL

    def __enter__(self) -> None:
        if not self.held:
            self.now = trio.current_time()
        self.held += 1

    def __exit__(self, *_: object) -> None:
        self.held -= 1
        if not self.held and self.said:
            if self._runs and len(self.said) > FULL:
                self._stay_in()
            else:
                said, self.said = self.said, {}
                self._let_out(list(said.items()))

    async def run(self) -> None:
        """Lets out in portions what was too much for one step; when cancelled, all of it."""
        self._runs = True
        try:
            while True:
                await self._much.wait()
                # Not until nothing is left: there are always some who say something meanwhile.
                for _ in range(0, len(self.said), FULL):
                    self.now = trio.current_time()
                    some = list(islice(self.said.items(), FULL))
                    for output, _ in some:
                        del self.said[output]
                    self._let_out(some)
                    await trio.lowlevel.checkpoint()
                self._come_out()
        finally:
            self._runs = False
            if self._much.is_set():
                self._come_out()

    async def settled(self) -> None:
        """Waits until what a step has said too much has left."""
        if self._settled.is_set():
            await trio.lowlevel.checkpoint()
        else:
            await self._settled.wait()

    def _stay_in(self) -> None:
        self.held = 1
        self._settled = trio.Event()
        self._much.set()

    def _come_out(self) -> None:
        self._much = trio.Event()
        self._settled.set()
        self.__exit__()

    def _let_out(self, waiting: list[tuple[Corked, list[bytes]]]) -> None:
        """Much is made before the first is written: the kernel's work for a write throws ours out
        of the processor's caches, which was a tenth of what a delivery costs.
        """
        now = self.now
        for at in range(0, len(waiting), PORTION):
            some = waiting[at : at + PORTION]
            for output, data in [(output, output.uncork(told, now)) for output, told in some]:
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
