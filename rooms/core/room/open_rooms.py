"""Which open room of a kind the next player gets.

* A room that has not started comes before one that has: its players wait for more.
* Then the fullest, then the oldest: matches fill up one after the other.
"""

from __future__ import annotations

import bisect
from collections.abc import Callable, Iterable
from typing import NamedTuple

from lastcall.ids import KindName, RoomId


class _Rank(NamedTuple):
    started: bool
    free: int


class _QueuePosition(NamedTuple):
    kind: KindName
    rank: _Rank
    age: int


class OpenRooms:
    """The open rooms of one node, by kind; rooms without a free seat are not in it.

    A choice looks at each number of free seats that occurs (at most a kind's seats), a change is a
    binary search; neither grows with the number of rooms.
    """

    def __init__(self, kinds: Iterable[KindName]) -> None:
        self._queues: dict[KindName, dict[_Rank, list[tuple[int, RoomId]]]] = {
            kind: {} for kind in kinds
        }
        self._seats: dict[KindName, int] = dict.fromkeys(self._queues, 0)
        self._positions: dict[RoomId, _QueuePosition] = {}

    def choose(
        self, kind: KindName, bars: Callable[[RoomId], bool] = lambda _: False
    ) -> RoomId | None:
        """The room for the next player of ``kind``, or None if none has a free seat for them.

        ``bars`` tells which rooms do not take this player.
        """
        queues = self._queues[kind]
        ranked = (room for rank in sorted(queues) for _, room in queues[rank])
        return next((room for room in ranked if not bars(room)), None)

    def seats(self) -> dict[KindName, int]:
        """Free seats in open rooms, for every kind, 0 included."""
        return dict(self._seats)

    def put(self, room: RoomId, kind: KindName, *, age: int, free: int, started: bool) -> None:
        """The room has ``free`` seats now. Of two rooms, the older has the lower ``age``."""
        self.remove(room)
        if free:
            position = self._positions[room] = _QueuePosition(kind, _Rank(started, free), age)
            bisect.insort(self._queues[kind].setdefault(position.rank, []), (age, room))
            self._seats[kind] += free

    def remove(self, room: RoomId) -> None:
        """The room is full, locked or over; nothing happens if it was not open."""
        position = self._positions.pop(room, None)
        if position is None:
            return
        queue = self._queues[position.kind][position.rank]
        del queue[bisect.bisect_left(queue, (position.age, room))]
        if not queue:
            del self._queues[position.kind][position.rank]
        self._seats[position.kind] -= position.rank.free
