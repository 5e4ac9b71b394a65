"""How many rooms leave at once, so that each is silent for a short time.

A hand-off takes a few turns between nodes, and some processor time on each. A room that takes
longer waits: behind others that leave, or behind the players of all rooms. So few leave at a time:

* One at first. Rooms that wait little add one whenever as many have left as leave at a time.
* A room that waited for more than ``wait_seconds`` halves the number; those that had begun by then
  do not halve it again. It *waited* for as long as it took beyond the least that any took.
* As many as are needed leave at once, so that all have left in time, if each takes as long as is
  usual. That is all that a hurry may do: more at once take longer each, and would need more again.
* A room that takes much longer, as in a long step of its own, holds up no others.

Rooms that take long are bounded by :mod:`lastcall.core.handoff.room_queue`.
"""

from __future__ import annotations

from math import ceil, inf

import msgspec

from lastcall.ids import RoomId
from lastcall.policy import HandOffPolicy

SPARE_SHARE = 0.25
"""The share of the time left that is spared: all rooms should have left before it. At most
``answer_seconds`` are."""
LATE_FACTOR, LATE_SECONDS = 2.0, 0.05
"""A room that takes longer than both, this many times the usual time and this long, is late."""
SMOOTHING = 0.8
"""The weight of the earlier rooms in the moving mean."""


class _Leave(msgspec.Struct):
    """One room that leaves; it has left when it was released, and all its players' nodes told."""

    began_at: float
    silent_at: float = inf
    released: bool = False
    told: bool = False


class Pace:
    """The rooms that leave now. Times are in seconds of any clock."""

    def __init__(self, policy: HandOffPolicy) -> None:
        self._most = policy.rooms_at_once
        self._wait_seconds = policy.wait_seconds
        self._late_seconds = policy.answer_seconds
        self._leaves: dict[RoomId, _Leave] = {}
        self._number = 1.0
        self._halved_at = -inf
        self._least = inf
        """The shortest time that a room was silent."""
        self._usual = 0.0
        """The mean time from a room's beginning to its end."""
        self._until = inf

    def __len__(self) -> int:
        """How many rooms leave now."""
        return len(self._leaves)

    def hurry(self, until: float) -> None:
        """All rooms should have left at ``until``."""
        self._until = until

    def at_once(self, waiting: int, now: float) -> int:
        """How many rooms may leave at a time, if ``waiting`` more are to leave."""
        left = self._until - now
        seconds = left - min(SPARE_SHARE * left, self._late_seconds)
        ages = [now - leave.began_at for leave in self._leaves.values()]
        usual = self._usual or max(ages, default=0.0)
        if waiting * usual >= self._most * seconds:
            return self._most
        late_from = max(LATE_FACTOR * usual, LATE_SECONDS)
        late = sum(age > late_from for age in ages)
        return min(self._most, max(int(self._number), ceil(waiting * usual / seconds)) + late)

    # The steps of a room.

    def begin(self, room: RoomId, now: float) -> None:
        """The room leaves now: it will be frozen."""
        self._leaves[room] = _Leave(now)

    def silent(self, room: RoomId, now: float) -> None:
        """The room is frozen."""
        if room in self._leaves:
            self._leaves[room].silent_at = now

    def released(self, room: RoomId, now: float) -> None:
        """The room runs elsewhere."""
        if room in self._leaves:
            self._leaves[room].released = True
            self._look(room, now)

    def told(self, room: RoomId, now: float) -> None:
        """The nodes of its players know that."""
        if room in self._leaves:
            self._leaves[room].told = True
            self._look(room, now)

    def stays(self, room: RoomId) -> None:
        """The room does not leave, or is lost: that says nothing about the next one."""
        self._leaves.pop(room, None)

    def due(self, now: float) -> None:
        """Rooms that take too long make way for others; each counts as one that has waited."""
        for room, leave in list(self._leaves.items()):
            if now - leave.began_at >= self._late_seconds:
                self._has_left(room, now)

    # The law.

    def _look(self, room: RoomId, now: float) -> None:
        if self._leaves[room].released and self._leaves[room].told:
            self._has_left(room, now)

    def _has_left(self, room: RoomId, now: float) -> None:
        leave = self._leaves.pop(room)
        took = now - leave.began_at
        self._usual = SMOOTHING * self._usual + (1 - SMOOTHING) * took if self._usual else took
        if leave.silent_at <= now:
            self._adapt(leave.silent_at, now - leave.silent_at, now)

    def _adapt(self, silent_at: float, seconds: float, now: float) -> None:
        self._least = min(self._least, seconds)
        if seconds - self._least <= self._wait_seconds:
            self._number = min(self._number + 1 / self._number, float(self._most))
        elif silent_at >= self._halved_at:
            self._number, self._halved_at = max(1.0, self._number / 2), now
