"""The leaves that were sent last: a room that moves meanwhile may not have applied them."""

from __future__ import annotations

from collections import deque

from lastcall.api.sessions.place import Link
from lastcall.ids import RoomId
from lastcall.wire import nodes

LEAVES_KEPT = 1024


class SentLeaves:
    """The last :data:`LEAVES_KEPT` leaves, by room: thousands of rooms may move at once."""

    def __init__(self) -> None:
        self._sent: deque[nodes.Leave] = deque()
        self._by_room: dict[RoomId, deque[tuple[Link, nodes.Leave]]] = {}

    def add(self, link: Link, leave: nodes.Leave) -> None:
        """``leave`` was sent on ``link``."""
        self._sent.append(leave)
        self._by_room.setdefault(leave.room, deque()).append((link, leave))
        if len(self._sent) > LEAVES_KEPT:
            oldest = self._sent.popleft().room
            self._by_room[oldest].popleft()
            if not self._by_room[oldest]:
                del self._by_room[oldest]

    def of(self, link: Link, room: RoomId) -> list[nodes.Leave]:
        """The leaves from ``room`` that were sent on ``link``."""
        return [leave for by, leave in self._by_room.get(room, ()) if by is link]
