"""The feed, game → api: an ordered stream without loss over a transport that drops messages.

* The sender numbers items from 1 and keeps each in a bounded ring until it is confirmed.
* The receiver passes items on in order, each once. Later items wait; a hole is asked for by range.
* A hole that is *seen* is asked for at once. A head that was *announced* (in a reply, which travels
  beside the feed) and has not arrived is asked for after ``repair_seconds``: an earlier question
  would send half the feed twice, since it is usually still on its way.
* While a question is under way, and for ``repair_seconds`` after its reply, nothing is asked again.
* A burst waits in the ring until the receiver had its turn: beyond its share, a ring is behind if
  nothing is confirmed for a while. Only the hard bounds are judged at the push: a ring that exceeds
  one is emptied and ``overflowed``, and the link must be reset.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Iterator
from itertools import accumulate, islice, takewhile
from math import inf
from typing import Generic, TypeVar

from lastcall.core.excess import Excess
from lastcall.policy import LinkPolicy

RANGES_AT_ONCE = 64


class FeedRing:
    """The sender's half. Items are encoded once, as they are pushed."""

    def __init__(self, policy: LinkPolicy, excess: Excess) -> None:
        self._share_items = policy.ring_items
        self._share_bytes = policy.ring_bytes
        self._policy = policy
        self._excess = excess
        self._kept: deque[bytes] = deque()
        """Published and not confirmed: the items after ``confirmed``."""
        self._fresh: list[bytes] = []
        self._bytes = 0
        self._counted = 0
        """How many items ``excess`` counts: those pushed since the ring is over its share."""
        self.head = 0
        """The number of the newest item."""
        self.confirmed = 0
        """Everything up to this number has arrived."""
        self.overflowed = ""
        """The bound that was exceeded, as a sentence; empty if none was."""

    @property
    def bytes_held(self) -> int:
        """How many bytes the ring holds."""
        return self._bytes

    @property
    def over_share(self) -> bool:
        """Whether more waits than each link may have for as long as its peer lives."""
        return self._bytes > self._share_bytes or self.head - self.confirmed > self._share_items

    def push(self, item: bytes) -> None:
        """Numbers ``item``; over a bound it empties the ring and sets ``overflowed``."""
        if self.overflowed:
            return
        self.head += 1
        self._fresh.append(item)
        self._bytes += len(item)
        if self._bytes > self._share_bytes or self.head - self.confirmed > self._share_items:
            self._excess.add((item,))
            self._counted += 1
            if exceeded := self._exceeded():
                self.clear()
                self.overflowed = exceeded

    def _exceeded(self) -> str:
        policy = self._policy
        if self._bytes > policy.ring_bytes_max:
            return f"more than {policy.ring_bytes_max} bytes wait for it"
        if self.head - self.confirmed > policy.ring_items_max:
            return f"more than {policy.ring_items_max} items wait for it"
        excess = self._excess
        return f"more than {excess.bytes_max} bytes wait for all api nodes" if excess.full else ""

    def clear(self) -> None:
        """Drops every item: the link is over."""
        self._uncount([*self._kept, *self._fresh])
        self._kept.clear()
        self._fresh.clear()
        self._bytes = 0
        self.confirmed = self.head

    def _uncount(self, items: list[bytes]) -> None:
        """The newest ``items`` are counted no more."""
        self._excess.remove(items[len(items) - self._counted :])
        self._counted = 0

    @property
    def has_fresh(self) -> bool:
        """Whether it holds items that were never published."""
        return bool(self._fresh)

    @property
    def fresh_bytes(self) -> int:
        """How many bytes were never published."""
        return sum(map(len, self._fresh))

    def fresh(
        self, batch_bytes: int, at_once_bytes: float = inf
    ) -> Iterator[tuple[int, list[bytes]]]:
        """Takes items that were never published, as runs ``(first number, items)``.

        It takes the oldest ones up to ``at_once_bytes``, and one at least.
        """
        first = self.head - len(self._fresh) + 1
        items, self._fresh = self._fresh, []
        if self._bytes > at_once_bytes:
            ends = accumulate(map(len, items))
            count = max(1, sum(1 for _ in takewhile(at_once_bytes.__ge__, ends)))
            items, self._fresh = items[:count], items[count:]
        self._kept.extend(items)
        return _runs(first, items, batch_bytes)

    def again(
        self, missing: list[tuple[int, int]], batch_bytes: int
    ) -> list[tuple[int, list[bytes]]]:
        """Published items of the ranges, up to ``batch_bytes``; the rest is asked for again."""
        runs: list[tuple[int, list[bytes]]] = []
        left, lowest = batch_bytes, self.confirmed + 1
        highest = self.head - len(self._fresh)
        for first, last in missing[:RANGES_AT_ONCE]:
            start, stop = max(first, lowest), min(last, highest)
            if start > stop or left <= 0:
                continue
            items: list[bytes] = []
            for item in islice(self._kept, start - lowest, stop - lowest + 1):
                if items and len(item) > left:
                    left = 0
                    break
                items.append(item)
                left -= len(item)
            runs.append((start, items))
        return runs

    def confirm(self, number: int) -> None:
        """Forgets every published item up to ``number``."""
        count = max(0, min(number - self.confirmed, len(self._kept)))
        arrived = [self._kept.popleft() for _ in range(count)]
        self._bytes -= sum(map(len, arrived))
        self.confirmed += count
        if self._counted:
            self._count_fewer(arrived)

    def _count_fewer(self, arrived: list[bytes]) -> None:
        waiting = self.head - self.confirmed
        if self._counted > waiting:
            self._excess.remove(arrived[waiting - self._counted :])
            self._counted = waiting
        if not self.over_share:
            self._uncount([*self._kept, *self._fresh])


def _runs(first: int, items: list[bytes], batch_bytes: int) -> Iterator[tuple[int, list[bytes]]]:
    """Cuts a run into runs of at most ``batch_bytes``; an item that alone is larger has its own."""
    if len(items) == 1:
        yield first, items
        return
    ends = list(accumulate(map(len, items)))  # no loop in Python: most runs are not cut
    start = begun = 0
    while start < len(items):
        stop = max(start + 1, bisect_right(ends, begun + batch_bytes))
        yield first + start, items[start:stop]
        start, begun = stop, ends[stop - 1]


Item = TypeVar("Item")


class FeedReceiver(Generic[Item]):
    """The receiver's half."""

    def __init__(self, policy: LinkPolicy) -> None:
        self._repair_seconds = policy.repair_seconds
        self._ahead: dict[int, tuple[Item, int]] = {}
        self._ahead_max = policy.ring_items
        self._ahead_bytes = 0
        self._ahead_bytes_max = policy.ring_bytes
        self._hole_at = inf
        self._again_at = -inf
        self._due_announced = (0, inf)
        """The oldest announced head that has not arrived, and when it was announced."""
        self._last_announced = (0, inf)
        self.arrived = 0
        """Every item up to this number was passed on; a request confirms it."""
        self.unconfirmed_bytes = 0
        """About how much was passed on since :meth:`confirm`."""

    def receive(
        self,
        first: int,
        items: list[Item],
        now: float,
        *,
        item_bytes: int,
        at_once: int,
    ) -> list[Item]:
        """Takes items ``first``, ``first + 1``, … of about ``item_bytes`` each.

        Returns the items that may be passed on now, in order; of those that waited for a hole only
        ``at_once``. If :attr:`more` is true then, the next call, even without items, returns more.
        """
        if first <= self.arrived + 1 and not self._ahead:
            ready = items[self.arrived + 1 - first :] if first <= self.arrived else items
            self.arrived += len(ready)
        else:
            for number, item in enumerate(items, first):
                self._keep(number, item, item_bytes)
            ready = self._released(at_once)
        if self._ahead and not self.more:
            self._hole_at = min(self._hole_at, now)
        else:
            self._hole_at = inf
        if self.arrived >= self._due_announced[0]:
            self._due_announced = self._last_announced
        self.unconfirmed_bytes += len(ready) * item_bytes
        return ready

    def _keep(self, number: int, item: Item, size: int) -> None:
        """Keeps an early item; one beyond the bounds is dropped, and asked for again later."""
        if number <= self.arrived or number in self._ahead:
            return
        if number != self.arrived + 1 and (
            number > self.arrived + self._ahead_max
            or self._ahead_bytes + size > self._ahead_bytes_max
        ):
            return
        self._ahead[number] = item, size
        self._ahead_bytes += size

    @property
    def more(self) -> bool:
        """Whether items wait that may be passed on."""
        return self.arrived + 1 in self._ahead

    def put_back(self, items: list[Item], *, item_bytes: int) -> None:
        """Takes back the last items of :meth:`receive`, which were not passed on."""
        self.arrived -= len(items)
        for number, item in enumerate(items, self.arrived + 1):
            self._ahead[number] = item, item_bytes
        self._ahead_bytes += len(items) * item_bytes
        self.unconfirmed_bytes -= len(items) * item_bytes

    def confirm(self) -> int:
        """The number up to which a request confirms the feed now."""
        self.unconfirmed_bytes = 0
        return self.arrived

    def _released(self, at_once: int) -> list[Item]:
        ready: list[Item] = []
        while len(ready) < at_once and self.more:
            item, size = self._ahead.pop(self.arrived + 1)
            self.arrived += 1
            self._ahead_bytes -= size
            ready.append(item)
        return ready

    def announce(self, head: int, now: float) -> None:
        """A reply says that the feed's newest item has this number."""
        if head > self._last_announced[0]:
            self._last_announced = (head, now)
        if self._due_announced[0] <= self.arrived:
            self._due_announced = self._last_announced

    def due(self) -> float:
        """When :meth:`ask` will have something to ask for; ``inf`` if nothing is missing."""
        if self._ahead:
            return max(self._hole_at, self._again_at)
        head, at = self._due_announced
        return max(at + self._repair_seconds, self._again_at) if head > self.arrived else inf

    @property
    def behind(self) -> bool:
        """Whether an item was announced, or seen to be missing, and has not arrived."""
        return bool(self._ahead) or self._last_announced[0] > self.arrived

    def ask(self, now: float) -> list[tuple[int, int]]:
        """The ranges to ask for now, if it is time; none again until :meth:`answered`."""
        if now < self.due():
            return []
        self._again_at = inf
        return self._holes(now)[:RANGES_AT_ONCE]

    def _holes(self, now: float) -> list[tuple[int, int]]:
        holes, expected = [], self.arrived + 1
        for number in sorted(self._ahead):
            if number > expected:
                holes.append((expected, number - 1))
            expected = number + 1
        head, at = self._last_announced
        if head >= expected and now >= at + self._repair_seconds:
            holes.append((expected, head))
        elif (due := self._due_announced)[0] >= expected and now >= due[1] + self._repair_seconds:
            holes.append((expected, due[0]))
        return holes

    def answered(self, now: float) -> None:
        """The request that asked is answered; the items that it brings need a moment."""
        self._again_at = now + self._repair_seconds
