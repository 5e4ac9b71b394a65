"""How much memory waits in queues beyond what each queue may have anyway.

An item that waits in a thousand queues takes memory once, and counts once.
"""

from __future__ import annotations

from collections.abc import Iterable

ITEM_BYTES = 140
"""The memory of an item besides its text: the header of a bytes object, an entry in a dict."""
REFERENCE_BYTES = 8


class Excess:
    """Counts items that wait in several queues; beyond ``bytes_max`` it is :attr:`full`."""

    __slots__ = ("_queues", "bytes", "bytes_max")

    def __init__(self, bytes_max: int) -> None:
        self.bytes_max = bytes_max
        self._queues: dict[int, int] = {}
        """In how many queues each item waits, by ``id``: an item is alive while it waits."""
        self.bytes = 0
        """About how much memory these items take."""

    @property
    def full(self) -> bool:
        """Whether the items take more than ``bytes_max``."""
        return self.bytes > self.bytes_max

    def add(self, items: Iterable[bytes]) -> None:
        """Counts items that wait in one more queue."""
        queues = self._queues
        for item in items:
            others = queues.get(id(item), 0)
            queues[id(item)] = others + 1
            self.bytes += REFERENCE_BYTES if others else ITEM_BYTES + len(item)

    def remove(self, items: Iterable[bytes]) -> None:
        """The items have left one queue."""
        queues = self._queues
        for item in items:
            others = queues[id(item)] - 1
            if others:
                queues[id(item)] = others
                self.bytes -= REFERENCE_BYTES
            else:
                del queues[id(item)]
                self.bytes -= ITEM_BYTES + len(item)
