"""Players who are away: when their rooms are told, and when their seats become free.

* A disconnect is noticed after ``away_seconds``, and over after its own seconds; one that is over
  by then is never noticed.
* When the node drains, each is over ``drain_grace_seconds`` after it began, or now.
* While this process's loop stands still no time counts: a player's resume may wait unread.

All are in a heap, with one entry each. Entries of disconnects that have ended stay in it until they
come up, or until they are the greater part.
"""

from __future__ import annotations

import enum
import heapq
from collections.abc import Hashable
from math import inf
from typing import Generic, TypeVar

import msgspec

Key = TypeVar("Key", bound=Hashable)

DEAD_ENTRIES_MIN = 64
"""With fewer dead entries the heap is not rebuilt."""


class Step(enum.Enum):
    """The outcomes of a disconnect."""

    NOTICED = "noticed"
    OVER = "over"


class _Disconnect(msgspec.Struct, Generic[Key], eq=False):
    """``next_at`` is when its entry in the heap is due; any other entry of it is dead."""

    key: Key
    number: int
    began_at: float
    over_at: float
    noticed: bool = False
    next_at: float = inf


class Disconnects(Generic[Key]):
    """All players of a node who are away, by any key; times are in seconds, of any clock."""

    def __init__(self, *, away_seconds: float, drain_grace_seconds: float) -> None:
        self._away_seconds = away_seconds
        self._drain_grace_seconds = drain_grace_seconds
        self._by_key: dict[Key, _Disconnect[Key]] = {}
        self._heap: list[tuple[float, int, _Disconnect[Key]]] = []
        self._count = 0

    def __len__(self) -> int:
        return len(self._by_key)

    @property
    def next_at(self) -> float:
        """When :meth:`due` has something to return, or earlier; ``inf`` if never."""
        return self._heap[0][0] if self._heap else inf

    def begin(self, key: Key, *, now: float, seconds: float, noticed: bool = False) -> None:
        """The player, who was not away, is away from ``now`` on, for at most ``seconds``.

        ``noticed``: the room was told already, where it ran before.
        """
        self._count += 1
        new = self._by_key[key] = _Disconnect(key, self._count, now, now + seconds, noticed)
        self._schedule(new)
        heapq.heappush(self._heap, (new.next_at, new.number, new))

    def end(self, key: Key) -> bool:
        """The player is back, or has left. Returns whether the disconnect was noticed."""
        ended = self._by_key.pop(key, None)
        if ended is None:
            return False
        ended.next_at = inf
        if len(self._heap) > 2 * len(self._by_key) + DEAD_ENTRIES_MIN:
            self._rebuild()
        return ended.noticed

    def find(self, key: Key, now: float) -> tuple[float, bool] | None:
        """For how many seconds the player has been away, and whether that was noticed; None for one
        who is not.
        """
        found = self._by_key.get(key)
        return None if found is None else (now - found.began_at, found.noticed)

    def shorten(self, now: float) -> None:
        """The node drains: no disconnect until now lasts longer than ``drain_grace_seconds``."""
        for each in self._by_key.values():
            grace_over_at = max(now, each.began_at + self._drain_grace_seconds)
            each.over_at = min(each.over_at, grace_over_at)
            self._schedule(each)
        self._rebuild()

    def postpone(self, now: float, seconds: float) -> None:
        """The loop stood still for ``seconds`` until ``now``: they do not count."""
        for each in self._by_key.values():
            stood_still = min(seconds, now - each.began_at)
            each.began_at += stood_still
            each.over_at += stood_still
            self._schedule(each)
        self._rebuild()

    def due(self, now: float, at_most: int) -> list[tuple[Key, Step]]:
        """Up to ``at_most`` steps that are due by ``now``, in order; the next call has the rest.

        A disconnect that is over is forgotten.
        """
        steps: list[tuple[Key, Step]] = []
        while self._heap and self._heap[0][0] <= now and len(steps) < at_most:
            when, number, first = heapq.heappop(self._heap)
            if first.next_at != when:
                continue
            if when >= first.over_at:
                del self._by_key[first.key]
                steps.append((first.key, Step.OVER))
                continue
            first.noticed = True
            self._schedule(first)
            heapq.heappush(self._heap, (first.next_at, number, first))
            steps.append((first.key, Step.NOTICED))
        return steps

    def _schedule(self, each: _Disconnect[Key]) -> None:
        notice_at = inf if each.noticed else each.began_at + self._away_seconds
        each.next_at = min(notice_at, each.over_at)

    def _rebuild(self) -> None:
        self._heap = [(each.next_at, each.number, each) for each in self._by_key.values()]
        heapq.heapify(self._heap)
