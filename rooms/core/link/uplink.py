"""The uplink, api → game: requests in lockstep, each with everything that has gathered.

* The api node has one request in flight; it is said again, the same bytes, until it is answered.
* The game node applies each number once, and repeats its reply for a number that it has had.
* A number that is neither the last nor the next means that one side has lost the link.
"""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar

from lastcall.core.sequence import SequenceCheck

__all__ = ["Outgoing", "ReplyCache"]


Item = TypeVar("Item")


class Outgoing(Generic[Item]):
    """The api node's half: items that wait for the next request.

    It is bounded by what its writers are: a client holds at most its input window here, one join or
    resume, and its confirmation.
    """

    __slots__ = ("_items", "number", "pressing")

    def __init__(self) -> None:
        self._items: deque[tuple[Item, int]] = deque()
        self.number = 0
        """Of the request that was made last."""
        self.pressing = 0
        """How much of what waits is worth a request of its own."""

    def __len__(self) -> int:
        return len(self._items)

    def push(self, item: Item, size: int, *, pressing: bool = True) -> None:
        """Adds an item of about ``size`` bytes."""
        self._items.append((item, size))
        self.pressing += pressing

    def take(self, batch_bytes: int) -> tuple[int, list[Item]]:
        """The next request's number, and its items: at least one if any waits, else up to size."""
        self.number += 1
        taken: list[Item] = []
        left = batch_bytes
        items = self._items
        while items and (not taken or left >= items[0][1]):
            item, size = items.popleft()
            taken.append(item)
            left -= size
        self.pressing = len(items)
        return self.number, taken


class ReplyCache:
    """The game node's half: which number was applied last, and what was answered."""

    __slots__ = ("last", "reply")

    def __init__(self) -> None:
        self.last = 0
        self.reply = b""

    def judge(self, number: int) -> SequenceCheck:
        """Whether to apply the request, to say the last reply again, or to give the link up."""
        if number == self.last + 1:
            return SequenceCheck.NEXT
        return SequenceCheck.REPEAT if number == self.last and self.reply else SequenceCheck.GAP

    def applied(self, number: int, reply: bytes) -> None:
        """Request ``number`` was applied and answered with ``reply``."""
        self.last = number
        self.reply = reply
