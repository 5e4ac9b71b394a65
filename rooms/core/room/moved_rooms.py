"""Rooms that have moved to other nodes: where each is, for those who ask for it here.

A node that drains answers so until it goes. One that serves on forgets the oldest beyond a bound;
then it does not know the room, and an api node asks the others.
"""

from __future__ import annotations

from typing import NamedTuple

from lastcall.ids import KindName, RoomId
from lastcall.wire.nodes import Whereabouts

NAMES_MAX = 65_536
"""Rooms and keys on one node; beyond that the oldest rooms are forgotten first."""


class MovedRoom(NamedTuple):
    """Where a room is, and the kind and ``keys`` by which its seats were found here."""

    where: Whereabouts
    keys: tuple[tuple[KindName, str], ...]


class MovedRooms:
    """The rooms of one node that have moved."""

    def __init__(self, names_max: int = NAMES_MAX) -> None:
        self._max = names_max
        self._rooms: dict[RoomId, MovedRoom] = {}
        self._names = 0

    def __len__(self) -> int:
        return len(self._rooms)

    def add(self, room: RoomId, moved: MovedRoom) -> None:
        """The room has moved."""
        self.remove(room)
        self._rooms[room] = moved
        self._names += 1 + len(moved.keys)

    def find(self, room: RoomId) -> MovedRoom | None:
        """The room; None if it has not moved, or that is forgotten."""
        return self._rooms.get(room)

    def remove(self, room: RoomId) -> MovedRoom | None:
        """The room is here again, or forgotten."""
        moved = self._rooms.pop(room, None)
        if moved is not None:
            self._names -= 1 + len(moved.keys)
        return moved

    def forget(self) -> list[tuple[RoomId, MovedRoom]]:
        """Forgets the oldest rooms beyond the bound, and returns them."""
        forgotten = []
        while self._names > self._max:
            room = next(iter(self._rooms))
            if (moved := self.remove(room)) is not None:
                forgotten.append((room, moved))
        return forgotten
