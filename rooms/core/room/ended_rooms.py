"""Rooms that have ended, kept for players who were between two sockets.

* An ended room is kept for as long as a seat in it would have been.
* Their number and their bytes are bounded; beyond that the oldest goes first.
* The store *awaits* each player who was away at the end, for a short time or until they resume: a
  node that drains stays up for them.
"""

from __future__ import annotations

import msgspec

from lastcall.core.room.gone_seats import GoneSeats
from lastcall.core.room.history import History
from lastcall.core.room.roster import Roster, Seat
from lastcall.ids import KindName, PlayerId, RoomId

ROOM_BYTES = 1_000
SEAT_BYTES = 500
"""About what an ended room and a seat take in memory."""


class EndedRoom(msgspec.Struct, eq=False):
    """One room that has ended: its seats, its last messages, why, and with which result."""

    id: RoomId
    kind: KindName
    epoch: int
    roster: Roster
    history: History
    reason: str
    result: bytes
    """JSON, or empty unless the room finished."""
    ended_at: float
    gone: GoneSeats | None = None
    """Seats that were free again before the end."""
    regroup: bytes | None = None
    """The options, as JSON, of a room that had not started: its players join another one."""
    memory: int = 0

    def __post_init__(self) -> None:
        seats = SEAT_BYTES * (len(self.roster) + len(self.gone or ()))
        self.memory = ROOM_BYTES + seats + self.history.memory + len(self.result)

    @property
    def survives(self) -> bool:
        """An ended room does not outlive its node."""
        return False

    @property
    def can_move(self) -> bool:
        """An ended room stays at its node."""
        return False

    def done(self, seat: Seat) -> int:
        """The last input of the seat's player that counts."""
        return seat.last_n


class EndedRoomStore:
    """All ended rooms of a node. Those kept equally long are one queue, the oldest at its head."""

    def __init__(self, *, count_max: int, bytes_max: int, drain_grace_seconds: float) -> None:
        self._count_max = count_max
        self._bytes_max = bytes_max
        self._drain_grace_seconds = drain_grace_seconds
        self._queues: dict[float, dict[RoomId, EndedRoom]] = {}
        """By the seconds that they are kept: as many queues as kinds differ in that."""
        self._awaited: dict[tuple[RoomId, PlayerId], float] = {}
        """Until when each player is awaited."""
        self._count = 0
        self.memory = 0
        """About how many bytes all of them take."""

    def __len__(self) -> int:
        return self._count

    def add(self, room: EndedRoom, seconds: float) -> None:
        """Keeps ``room`` for ``seconds``, and awaits its players who are away. 0 keeps nothing."""
        if seconds <= 0:
            return
        self._queues.setdefault(seconds, {})[room.id] = room
        self._count += 1
        self.memory += room.memory
        for seat in room.roster if room.roster.present < len(room.roster) else ():
            if seat.away:
                self._awaited[room.id, seat.player] = seat.away_at + self._drain_grace_seconds
        while self._count > self._count_max or self.memory > self._bytes_max:
            self._remove_oldest()

    def find(self, room_id: RoomId, now: float) -> EndedRoom | None:
        """The ended room of that id, if it is still kept."""
        for seconds, queue in self._queues.items():
            if (room := queue.get(room_id)) is not None:
                return room if now < room.ended_at + seconds else None
        return None

    def since(self, when: float, room_id: RoomId | None = None) -> list[EndedRoom]:
        """The rooms, or ``room_id`` alone, that have ended at ``when`` or later."""
        if room_id is not None:
            rooms = [queue[room_id] for queue in self._queues.values() if room_id in queue]
            return [room for room in rooms if room.ended_at >= when]
        found: list[EndedRoom] = []
        for queue in self._queues.values():
            for room in reversed(queue.values()):
                if room.ended_at < when:
                    break
                found.append(room)
        return found

    def expire(self, now: float, at_most: int) -> int:
        """Removes up to ``at_most`` rooms whose time is over; returns how many it removed."""
        removed = 0
        for seconds, queue in self._queues.items():
            while queue and removed < at_most:
                first = next(iter(queue.values()))
                if first.ended_at + seconds > now:
                    break
                self._remove(queue, first)
                removed += 1
        return removed

    def lost(self, room: EndedRoom, seat: Seat, now: float) -> None:
        """A player's socket was lost before they could learn of the end: awaits them."""
        room.roster.lose(seat, now)
        self._awaited[room.id, seat.player] = now + self._drain_grace_seconds

    def collected(self, room: EndedRoom, seat: Seat) -> None:
        """A player has the result: they are no longer awaited."""
        self._awaited.pop((room.id, seat.player), None)

    def awaiting_result(self, now: float) -> int:
        """How many players are awaited."""
        return sum(until > now for until in self._awaited.values())

    def awaiting_until(self, now: float) -> float | None:
        """Until when a player is awaited, if none of them resumes; None if no player is."""
        until = max(self._awaited.values(), default=now)
        return until if until > now else None

    def _remove_oldest(self) -> None:
        heads = [(next(iter(queue.values())), queue) for queue in self._queues.values() if queue]
        room, queue = min(heads, key=lambda head: head[0].ended_at)
        self._remove(queue, room)

    def _remove(self, queue: dict[RoomId, EndedRoom], room: EndedRoom) -> None:
        del queue[room.id]
        self._count -= 1
        self.memory -= room.memory
        if self._awaited:
            for seat in room.roster:
                self._awaited.pop((room.id, seat.player), None)
