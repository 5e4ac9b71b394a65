"""The messages that a place has received, and its player has not read yet."""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar

import trio

UNREAD_MAX = 1024

Item = TypeVar("Item")


class Unread(Generic[Item]):
    """A queue of items, with one writer, the socket's task, and any number of readers.

    It takes more than :data:`UNREAD_MAX` items, but the writer waits then.
    """

    def __init__(self) -> None:
        self._items: deque[Item] = deque()
        self._arrived = trio.lowlevel.ParkingLot()
        self._space = trio.lowlevel.ParkingLot()
        self._closed = False

    def __len__(self) -> int:
        return len(self._items)

    def put(self, item: Item) -> None:
        """Adds what the player reads next; drops it after :meth:`close`."""
        if not self._closed:
            self._items.append(item)
            self._arrived.unpark()

    def take(self) -> Item:
        """The oldest item; there is one."""
        self._space.unpark_all()
        return self._items.popleft()

    async def wait(self) -> None:
        """Waits until an item is put, or :meth:`close` is called."""
        await self._arrived.park()

    async def wait_for_space(self) -> None:
        """Returns when one more item may wait to be read."""
        while len(self._items) >= UNREAD_MAX and not self._closed:
            await self._space.park()

    def clear(self) -> None:
        """Drops all items."""
        self._items.clear()

    def close(self) -> None:
        """Takes no more: nobody waits for an item, or for space, any longer."""
        self._closed = True
        self._arrived.unpark_all()
        self._space.unpark_all()
