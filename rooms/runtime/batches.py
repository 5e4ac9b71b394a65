"""Long work in batches: a loop over 20 000 clients must not keep all others waiting."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import TypeVar

import trio

STEPS_PER_BATCH = 64
"""Steps between two checkpoints, each of which may touch a whole room or its history."""
CLIENTS_PER_BATCH = 32
"""How many clients a loop over all of them serves between two checkpoints: less than 1 ms, where a
write to a socket costs 10 to 25 µs. The answer to a probe takes about ten such batches."""

T = TypeVar("T")


async def each(items: Iterable[T], do: Callable[[T], object]) -> None:
    """Calls ``do`` with each of ``items``, with a checkpoint after each batch.

    ``items`` must not change meanwhile. A task that runs in between may end an item, so ``do``
    checks what it is given.
    """
    for index, item in enumerate(items, 1):
        do(item)
        if index % CLIENTS_PER_BATCH == 0:
            await trio.lowlevel.checkpoint()


def portions(items: Iterable[T], bytes_of: Callable[[T], int], bytes_max: int) -> Iterator[list[T]]:
    """Splits ``items``, in order, into lists of at most ``bytes_max`` bytes by ``bytes_of``.

    An item that is larger than that has a list of its own.
    """
    portion: list[T] = []
    left = bytes_max
    for item in items:
        size = bytes_of(item)
        if portion and size > left:
            yield portion
            portion, left = [], bytes_max
        portion.append(item)
        left -= size
    if portion:
        yield portion


class Steps:
    """Runs works one after the other; each work is an iterator, and each of its items a step.

    It rests for ``rest_seconds`` after each batch: work that presses nobody leaves processors idle.
    """

    __slots__ = ("_begun", "_rest_seconds", "_works")

    def __init__(self, rest_seconds: float = 0.0) -> None:
        self._rest_seconds = rest_seconds
        self._works: deque[Iterator[None]] = deque()
        self._begun = trio.Event()

    def begin(self, work: Iterator[None]) -> None:
        """Runs the first batch now if no other work waits, and the rest in :meth:`run`.

        An exception in the first batch comes out of here, and a later one out of :meth:`run`.
        """
        if self._works or _run_batch(work):
            self._works.append(work)
            self._begun.set()

    async def run(self) -> None:
        """Runs all works that have begun, until cancelled."""
        while True:
            await self._begun.wait()
            while self._works:
                await trio.sleep(self._rest_seconds)
                if not _run_batch(self._works[0]):
                    self._works.popleft()
            self._begun = trio.Event()


def _run_batch(work: Iterator[None]) -> bool:
    """Runs the next steps of ``work``; returns False when it is done."""
    return sum(1 for _ in islice(work, STEPS_PER_BATCH)) == STEPS_PER_BATCH
