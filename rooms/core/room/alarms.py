"""A room's alarms: names that are due at a time, once or again and again.

* A name has one alarm; setting it again replaces it, unless it is repeated at that pace already.
* An alarm is due late rather than twice: of a repeated one, what a stall has covered is left out,
  and the next is due when it would have been.
* They are captured with the seconds that are left, so they go on in another process's time.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from math import floor, inf
from typing import Generic, TypeVar

import msgspec

from lastcall.wire.images import AlarmImage

Key = TypeVar("Key")

ALARMS_MAX = 64
"""In one room."""
DEAD_ENTRIES_MIN = 64
"""With fewer dead entries the heap is not rebuilt."""


class _Alarm(msgspec.Struct):
    """Due ``count`` times ``every`` after ``since``, or ``since`` if it is due once.

    A sum of many steps would drift.
    """

    since: float
    every: float
    count: int = 1

    @property
    def at(self) -> float:
        return self.since + self.count * self.every

    def skip(self, now: float) -> None:
        """The next one is the first after ``now``."""
        self.count = max(self.count, floor((now - self.since) / self.every) - 1)
        while self.at <= now:
            self.count += 1


class Alarms:
    """The alarms of one room; times are in seconds, of any clock."""

    __slots__ = ("_by_name",)

    def __init__(self) -> None:
        self._by_name: dict[str, _Alarm] = {}

    def __len__(self) -> int:
        return len(self._by_name)

    @property
    def next_at(self) -> float:
        """When :meth:`due` has something to return; ``inf`` if never."""
        return min((alarm.at for alarm in self._by_name.values()), default=inf)

    def set(self, name: str, *, now: float, seconds: float, every: float = 0.0) -> bool:
        """The alarm is due in ``seconds``, and then at each period of ``every`` seconds; 0: once.

        Returns False, and changes nothing, for one that has this period already: a room's function
        may set it each time that it is called. Raises ``ValueError`` for another name
        than the 64 that a room may have.
        """
        if every and name in self._by_name and self._by_name[name].every == every:
            return False
        if name not in self._by_name and len(self._by_name) >= ALARMS_MAX:
            raise ValueError(
                f"a room has at most {ALARMS_MAX} alarms: silence one before you set {name!r}"
            )
        self._by_name[name] = _Alarm(now + (seconds - every), every)
        return True

    def silence(self, name: str) -> None:
        """There is no alarm of that name any more."""
        self._by_name.pop(name, None)

    def due(self, now: float) -> list[str]:
        """The alarms that are due by ``now``, the earliest first. Those that are due once go."""
        due = [(alarm.at, name) for name, alarm in self._by_name.items() if alarm.at <= now]
        names = [name for _, name in sorted(due)]
        for name in names:
            alarm = self._by_name[name]
            if alarm.every:
                alarm.skip(now)
            else:
                del self._by_name[name]
        return names

    def capture(self, now: float) -> list[AlarmImage]:
        """All alarms; one that is overdue has no seconds left."""
        return [
            AlarmImage(name, max(0.0, alarm.at - now), alarm.every)
            for name, alarm in self._by_name.items()
        ]

    @classmethod
    def restore(cls, captured: Iterable[AlarmImage], now: float) -> Alarms:
        """The alarms again, in the time of another clock; raises ``ValueError`` for too many."""
        alarms = cls()
        for alarm in captured:
            alarms.set(alarm.name, now=now, seconds=alarm.seconds_left, every=alarm.every)
        return alarms


class AlarmSchedule(Generic[Key]):
    """When each room of a node has its next alarm; the rooms are any keys.

    All are in a heap. Entries of rooms that have another time now, or none, stay in it until they
    come up, or until they are the greater part.
    """

    def __init__(self) -> None:
        self._at: dict[Key, float] = {}
        self._heap: list[tuple[float, int, Key]] = []
        self._count = 0

    def __len__(self) -> int:
        return len(self._at)

    @property
    def next_at(self) -> float:
        """When :meth:`due` has something to return, or earlier; ``inf`` if never."""
        return self._heap[0][0] if self._heap else inf

    def put(self, key: Key, at: float) -> None:
        """The next alarm of the room is due ``at``, and at no other time; ``inf``: it has none."""
        if at == inf:
            self._at.pop(key, None)
        elif self._at.get(key) != at:
            self._at[key] = at
            self._push(key, at)
        if len(self._heap) > 2 * len(self._at) + DEAD_ENTRIES_MIN:
            self._heap = []
            for each, when in self._at.items():
                self._push(each, when)

    def due(self, now: float, at_most: int) -> list[Key]:
        """Up to ``at_most`` rooms with an alarm that is due by ``now``, the earliest first.

        Each is forgotten until its next alarm is :meth:`put`.
        """
        due: list[Key] = []
        while self._heap and self._heap[0][0] <= now and len(due) < at_most:
            at, _, key = heapq.heappop(self._heap)
            if self._at.get(key) == at:
                del self._at[key]
                due.append(key)
        return due

    def _push(self, key: Key, at: float) -> None:
        self._count += 1
        heapq.heappush(self._heap, (at, self._count, key))
