"""What is left of rooms that have ended, for players who were between two sockets.

* A tombstone stands for as long as a seat in its room would have been kept.
* There are so many, and they hold so many bytes; beyond that the oldest goes first.
* Who was away when the room ended is *missing*, for a brief time or until he comes back: a
  house that closes waits for him.
"""

from __future__ import annotations

from lastcall.core.room.history import History
from lastcall.core.room.roster import Roster, Seat
from lastcall.ids import KindName, PlayerId, RoomId

__all__ = ["EndedRoom", "EndedRoomStore"]

ROOM_BYTES = 1_000
SEAT_BYTES = 500
"""About what a tombstone and a seat take in memory."""


class EndedRoom:
    """One room that has ended: its seats, its last messages, why, and with which result."""

    __slots__ = (
        "ended_at",
        "history",
        "id",
        "memory",
        "reason",
        "regroup",
        "result",
        "roster",
        "seq",
    )

    def __init__(
        self,
        room: RoomId,
        *,
        roster: Roster,
        history: History,
        seq: int,
        reason: str,
        result: bytes,
        now: float,
        regroup: tuple[KindName, bytes] | None = None,
    ) -> None:
        self.id = room
        self.roster = roster
        self.history = history
        self.seq = seq
        self.reason = reason
        self.result = result
        """JSON, or empty unless the room finished."""
        self.regroup = regroup
        """Kind and options of a room that had not started: its players are to be seated anew."""
        self.ended_at = now
        self.memory = ROOM_BYTES + SEAT_BYTES * len(roster) + history.memory + len(result)


class EndedRoomStore:
    """All of a node. Those that stand equally long are one queue, the oldest at its head."""

    def __init__(self, *, count_max: int, bytes_max: int, drain_grace_seconds: float) -> None:
        self._count_max = count_max
        self._bytes_max = bytes_max
        self._brief_seconds = drain_grace_seconds
        self._queues: dict[float, dict[RoomId, EndedRoom]] = {}
        """By the seconds that they stand: as many queues as kinds differ in that."""
        self._awaiting: dict[tuple[RoomId, PlayerId], float] = {}
        """Until when each is waited for."""
        self._count = 0
        self.memory = 0
        """About how many bytes all of them take."""

    def __len__(self) -> int:
        return self._count

    def add(self, stone: EndedRoom, seconds: float) -> None:
        """A room has ended; who is away in it is missing. Nothing for 0 seconds."""
        if seconds <= 0:
            return
        self._queues.setdefault(seconds, {})[stone.id] = stone
        self._count += 1
        self.memory += stone.memory
        for seat in stone.roster if stone.roster.present < len(stone.roster) else ():
            if seat.away:
                self._awaiting[stone.id, seat.player] = seat.away_at + self._brief_seconds
        while self._count > self._count_max or self.memory > self._bytes_max:
            self._remove_oldest()

    def find(self, room: RoomId, now: float) -> EndedRoom | None:
        """The tombstone of a room, if it still stands."""
        for seconds, queue in self._queues.items():
            if (stone := queue.get(room)) is not None:
                return stone if now < stone.ended_at + seconds else None
        return None

    def since(self, when: float, room: RoomId | None = None) -> list[EndedRoom]:
        """Those of the rooms, or of ``room`` alone, that have ended at ``when`` or later."""
        if room is not None:
            stones = [queue[room] for queue in self._queues.values() if room in queue]
            return [stone for stone in stones if stone.ended_at >= when]
        found: list[EndedRoom] = []
        for queue in self._queues.values():
            for stone in reversed(queue.values()):
                if stone.ended_at < when:
                    break
                found.append(stone)
        return found

    def expire(self, now: float, at_most: int) -> int:
        """Removes those whose time is over, ``at_most`` so many; returns how many."""
        removed = 0
        for seconds, queue in self._queues.items():
            while queue and removed < at_most:
                first = next(iter(queue.values()))
                if first.ended_at + seconds > now:
                    break
                self._remove(queue, first)
                removed += 1
        return removed

    def lost(self, stone: EndedRoom, seat: Seat, now: float) -> None:
        """A player was lost before he could hear of the end: he is missing."""
        stone.roster.lose(seat, now)
        self._awaiting[stone.id, seat.player] = now + self._brief_seconds

    def collected(self, stone: EndedRoom, seat: Seat) -> None:
        """A player has heard of the end: nobody waits for him."""
        self._awaiting.pop((stone.id, seat.player), None)

    def awaiting_result(self, now: float) -> int:
        """How many players are waited for."""
        return sum(until > now for until in self._awaiting.values())

    def awaiting_until(self, now: float) -> float | None:
        """Until when somebody is waited for, if nobody comes; None if nobody is."""
        until = max(self._awaiting.values(), default=now)
        return until if until > now else None

    def _remove_oldest(self) -> None:
        heads = [(next(iter(queue.values())), queue) for queue in self._queues.values() if queue]
        stone, queue = min(heads, key=lambda head: head[0].ended_at)
        self._remove(queue, stone)

    def _remove(self, queue: dict[RoomId, EndedRoom], stone: EndedRoom) -> None:
        del queue[stone.id]
        self._count -= 1
        self.memory -= stone.memory
        if self._awaiting:
            for seat in stone.roster:
                self._awaiting.pop((stone.id, seat.player), None)
