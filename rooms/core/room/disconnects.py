"""Who is away, when his room is to hear of it, and when his seat is free again.

* An absence is noticed after ``away_seconds``, and over after its own seconds; one that is over
  by then is never noticed.
* When the house is in a hurry, each is over ``drain_grace_seconds`` after it began, or now.
* While our own loop stands still nobody's time runs: his resume may lie unread.

A heap, with one entry for each absence that lasts; those that have ended meanwhile are left in it
until they come up, or until they are the greater part.
"""

from __future__ import annotations

import enum
import heapq
from collections.abc import Hashable
from math import inf
from typing import Generic, TypeVar

__all__ = ["Disconnects", "Step"]

Who = TypeVar("Who", bound=Hashable)

FEW = 64
"""So many dead entries are no reason to build the heap anew."""


class Step(enum.Enum):
    """What has come of an absence."""

    NOTICED = "noticed"
    OVER = "over"


class _Disconnect(Generic[Who]):
    """``next_at`` is when its entry in the heap is due; any other entry of it is dead."""

    __slots__ = ("began_at", "next_at", "noticed", "number", "over_at", "who")

    def __init__(self, who: Who, number: int, now: float, seconds: float) -> None:
        self.who = who
        self.number = number
        self.began_at = now
        self.over_at = now + seconds
        self.noticed = False
        self.next_at = inf


class Disconnects(Generic[Who]):
    """All absences of a node; times are in seconds, of any clock."""

    def __init__(self, *, away_seconds: float, drain_grace_seconds: float) -> None:
        self._away_seconds = away_seconds
        self._brief_seconds = drain_grace_seconds
        self._of: dict[Who, _Disconnect[Who]] = {}
        self._heap: list[tuple[float, int, _Disconnect[Who]]] = []
        self._count = 0

    def __len__(self) -> int:
        return len(self._of)

    @property
    def next_at(self) -> float:
        """When :meth:`due` has something to say, or earlier; ``inf`` if never."""
        return self._heap[0][0] if self._heap else inf

    def begin(self, who: Who, *, now: float, seconds: float) -> None:
        """``who`` is away from ``now`` on, for ``seconds`` at the most; he was not before."""
        self._count += 1
        absence = self._of[who] = _Disconnect(who, self._count, now, seconds)
        self._plan(absence)
        heapq.heappush(self._heap, (absence.next_at, absence.number, absence))

    def end(self, who: Who) -> bool:
        """He is back, or gone; whether his absence was noticed. False if he was not away."""
        absence = self._of.pop(who, None)
        if absence is None:
            return False
        absence.next_at = inf
        if len(self._heap) > 2 * len(self._of) + FEW:
            self._rebuild()
        return absence.noticed

    def hurry(self, now: float) -> None:
        """From now on no absence that has begun lasts longer than ``drain_grace_seconds``."""
        for absence in self._of.values():
            brief = max(now, absence.began_at + self._brief_seconds)
            absence.over_at = min(absence.over_at, brief)
            self._plan(absence)
        self._rebuild()

    def put_off(self, now: float, seconds: float) -> None:
        """Our loop stood still for ``seconds`` until ``now``: they count against nobody."""
        for absence in self._of.values():
            stood = min(seconds, now - absence.began_at)
            absence.began_at += stood
            absence.over_at += stood
            self._plan(absence)
        self._rebuild()

    def due(self, now: float, at_most: int) -> list[tuple[Who, Step]]:
        """What has come up to ``now``, in order, ``at_most`` so many: the rest at the next call.

        Those whose absence is over are forgotten.
        """
        steps: list[tuple[Who, Step]] = []
        while self._heap and self._heap[0][0] <= now and len(steps) < at_most:
            when, number, absence = heapq.heappop(self._heap)
            if absence.next_at != when:
                continue
            if when >= absence.over_at:
                del self._of[absence.who]
                steps.append((absence.who, Step.OVER))
                continue
            absence.noticed = True
            self._plan(absence)
            heapq.heappush(self._heap, (absence.next_at, number, absence))
            steps.append((absence.who, Step.NOTICED))
        return steps

    def _plan(self, absence: _Disconnect[Who]) -> None:
        notice_at = inf if absence.noticed else absence.began_at + self._away_seconds
        absence.next_at = min(notice_at, absence.over_at)

    def _rebuild(self) -> None:
        self._heap = [(a.next_at, a.number, a) for a in self._of.values()]
        heapq.heapify(self._heap)
