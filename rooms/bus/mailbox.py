"""The memory bus's queue: bounded, with an arrival time for each item."""

from __future__ import annotations

import heapq
import math
from typing import Generic, TypeVar

import trio

T = TypeVar("T")


class Mailbox(Generic[T]):
    """A queue whose items come out when they are due: by time, then in the order of ``put``.

    It holds ``limit`` items, due or not. When it is full, the oldest is lost, as in nng, and
    counted in ``dropped``.
    """

    __slots__ = ("_closed", "_count", "_frozen", "_heap", "_limit", "_wake", "dropped")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._heap: list[tuple[float, int, object, T]] = []
        self._count = 0
        self._wake = trio.Event()
        self._closed = False
        self._frozen = False
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._heap)

    def put(self, item: T, due: float, source: object = None) -> None:
        """Adds an ``item`` from ``source`` that comes out at the trio time ``due``."""
        self._count += 1
        heapq.heappush(self._heap, (due, self._count, source, item))
        if len(self._heap) > self._limit:
            heapq.heappop(self._heap)
            self.dropped += 1
        self._wake.set()

    def discard_from(self, source: object) -> None:
        """Drops the items from ``source`` that are not due yet."""
        now = trio.current_time()
        self._heap = [entry for entry in self._heap if entry[0] <= now or entry[2] is not source]
        heapq.heapify(self._heap)

    async def receive(self, at_most: int) -> list[T]:
        """Waits until items are due and returns the first ``at_most``. Always a checkpoint.

        Nothing is lost if it is cancelled. Raises :class:`trio.ClosedResourceError` once closed.
        """
        await trio.lowlevel.checkpoint()
        while True:
            if self._closed:
                raise trio.ClosedResourceError("this end of the bus is closed")
            if due := self._due(at_most):
                return due
            if self._wake.is_set():
                self._wake = trio.Event()
            with trio.move_on_at(self._next_time()):
                await self._wake.wait()

    def _due(self, at_most: int) -> list[T]:
        heap, now = self._heap, trio.current_time()
        found: list[T] = []
        while heap and heap[0][0] <= now and len(found) < at_most and not self._frozen:
            found.append(heapq.heappop(heap)[3])
        return found

    def _next_time(self) -> float:
        return self._heap[0][0] if self._heap and not self._frozen else math.inf

    def freeze(self, *, frozen: bool) -> None:
        """While frozen, no item comes out; items are kept, up to the limit."""
        self._frozen = frozen
        self._wake.set()

    def close(self) -> None:
        """Drops all items; a waiting task gets :class:`trio.ClosedResourceError`."""
        self._closed = True
        self._heap.clear()
        self._wake.set()
