"""Which nodes have images of a node's rooms."""

from __future__ import annotations

from collections import Counter

from lastcall.ids import Incarnation, RoomId


class GivenImages:
    """The node that got each room's image last, and how many each node has."""

    def __init__(self) -> None:
        self._to: dict[RoomId, Incarnation] = {}
        self.counts: Counter[Incarnation] = Counter()

    def give(self, room: RoomId, to: Incarnation) -> None:
        """The node ``to`` gets the room's image."""
        self.forget(room)
        self._to[room] = to
        self.counts[to] += 1

    def forget(self, room: RoomId) -> None:
        """The room is over, or gone."""
        node = self._to.pop(room, None)
        if node is not None:
            self.counts[node] -= 1
            if not self.counts[node]:
                del self.counts[node]
