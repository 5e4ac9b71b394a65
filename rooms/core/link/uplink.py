"""The uplink, caller → game node: requests in lockstep, each with all items that wait.

* The caller has one request in flight; it sends the same bytes again until it is answered.
* The game node applies each number once, and repeats its reply if the last number comes again.
* Any other number means that one side has lost the link.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import accumulate, islice, takewhile
from math import inf
from typing import Generic, TypeVar

from lastcall.core.sequence import SequenceCheck

Item = TypeVar("Item")
Reply = TypeVar("Reply")


class Outgoing(Generic[Item]):
    """The caller's half: items that wait for the next request.

    Its writers bound it: a client has at most its input window, one join or resume, and one
    confirmation here. ``size_of`` gives about how many bytes an item takes.
    """

    __slots__ = ("_items", "_size_of", "number", "pressing")

    def __init__(self, size_of: Callable[[Item], int]) -> None:
        self._size_of = size_of
        self._items: list[Item] = []
        self.number = 0
        """The number of the last request."""
        self.pressing = 0
        """How many of the items are worth a request of their own."""

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[Item]:
        return iter(self._items)

    def push(self, item: Item, *, pressing: bool = True) -> None:
        """Adds an item."""
        self._items.append(item)
        self.pressing += pressing

    def take(self, items_max: int, bytes_max: float = inf) -> tuple[int, list[Item]]:
        """The next request's number and items: at most ``items_max``, since more are refused; and
        up to ``bytes_max``, but at least one.
        """
        self.number += 1
        count = items_max if bytes_max == inf else self._fitting(items_max, bytes_max)
        taken, self._items = self._items[:count], self._items[count:]
        self.pressing = len(self._items)
        return self.number, taken

    def _fitting(self, items_max: int, bytes_max: float) -> int:
        sizes = accumulate(map(self._size_of, islice(self._items, items_max)))
        return max(1, sum(1 for _ in takewhile(bytes_max.__ge__, sizes)))


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
