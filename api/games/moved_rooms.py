"""Where rooms are that have moved: a request for one is asked there first."""

from __future__ import annotations

from collections import OrderedDict

from lastcall.ids import Incarnation
from lastcall.wire import nodes

ROOMS_MAX = 16_384


class MovedRooms:
    """The last rooms that have moved, as game processes say. A game node that does not answer may
    have had them, and says nothing of it.
    """

    def __init__(self) -> None:
        self._rooms: OrderedDict[str, nodes.Moved] = OrderedDict()

    def learn(self, item: nodes.Moved) -> bool:
        """Returns False if it is older than what is known: each process that has had the room
        tells its own move, and links are not equally fast.
        """
        known = self._rooms.get(item.room)
        if known is not None and known.epoch > item.epoch:
            return False
        self._rooms[item.room] = item
        self._rooms.move_to_end(item.room)
        if len(self._rooms) > ROOMS_MAX:
            self._rooms.popitem(last=False)
        return True

    def where(self, room: str) -> Incarnation | None:
        """The process that has the room; None for one that is not known to have moved."""
        found = self._rooms.get(room)
        return None if found is None else found.to
