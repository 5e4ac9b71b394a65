"""The surviving rooms of a node that are to go to their standbys, in a drain."""

from __future__ import annotations

import trio

from lastcall.ids import RoomId


class LeavingRooms:
    """The rooms that are to go, and have not gone."""

    def __init__(self) -> None:
        self.moves: tuple[str, ...] = ()
        """How the kinds move whose rooms go, also those that come later."""
        self.ends = False
        """Whether this node ends soon."""
        self.rooms: set[RoomId] = set()
        self.changed = trio.Event()
        """Set, and replaced, when one of them has gone or has ended."""
        self.handed_over = 0
        """How many have gone."""
        self.left: set[RoomId] = set()
        """Those that were left to standbys which have not said that they run them."""

    def add(self, room: RoomId) -> bool:
        """The room is to go; returns whether that is new."""
        is_new = room not in self.rooms
        self.rooms.add(room)
        return is_new

    def arrived(self, room: RoomId) -> bool:
        """Another node has the room; returns whether it was to go."""
        was_leaving = room in self.rooms or room in self.left
        self.handed_over += was_leaving
        self.left.discard(room)
        return was_leaving

    def gone(self, room: RoomId) -> None:
        """The room has ended, or runs elsewhere."""
        if room in self.rooms:
            self.rooms.discard(room)
            self.changed.set()
            self.changed = trio.Event()
