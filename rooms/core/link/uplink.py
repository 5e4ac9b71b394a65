"""The uplink, caller → game node: requests in lockstep, each with all items that wait.

* The caller has one request in flight; it sends the same bytes again until it is answered.
* The game node applies each number once, and repeats its reply if the last number comes again.
* Any other number means that one side has lost the link.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Generic, TypeVar

from lastcall.core.sequence import SequenceCheck

Item = TypeVar("Item")
Reply = TypeVar("Reply")


class Outgoing(Generic[Item]):
    """The caller's half: items that wait for the next request.

    Its writers bound it: a client has at most its input window, one join or resume, and one
    confirmation here.
    """

    __slots__ = ("_items", "number", "pressing")

    def __init__(self) -> None:
        self._items: deque[tuple[Item, int]] = deque()
        self.number = 0
        """The number of the last request."""
        self.pressing = 0
        """How many of the items are worth a request of their own."""

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[Item]:
        return (item for item, _ in self._items)

    def push(self, item: Item, size: int, *, pressing: bool = True) -> None:
        """Adds an item of about ``size`` bytes."""
        self._items.append((item, size))
        self.pressing += pressing

    def take(self, batch_bytes: int, items_max: int) -> tuple[int, list[Item]]:
        """The next request's number and items: up to ``batch_bytes``, but at least one; and at most
        ``items_max``, since more are refused.
        """
        self.number += 1
        taken: list[Item] = []
        left = batch_bytes
        items = self._items
        while items and len(taken) < items_max and (not taken or left >= items[0][1]):
            item, size = items.popleft()
            taken.append(item)
            left -= size
        self.pressing = len(items)
        return self.number, taken


class ReplyCache(Generic[Reply]):
    """The game node's half: the number that was applied last, and its reply."""

    __slots__ = ("last", "reply")

    def __init__(self) -> None:
        self.last = 0
        self.reply: Reply | None = None

    def judge(self, number: int) -> SequenceCheck:
        """Whether to apply the request, repeat the last reply, or (a gap) drop the link."""
        if number == self.last + 1:
            return SequenceCheck.NEXT
        repeats = number == self.last and self.reply is not None
        return SequenceCheck.REPEAT if repeats else SequenceCheck.GAP

    def applied(self, number: int, reply: Reply) -> None:
        """Request ``number`` was applied and answered with ``reply``."""
        self.last = number
        self.reply = reply
