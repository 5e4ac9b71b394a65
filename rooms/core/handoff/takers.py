"""Which node is asked for a room: placement's choice, but for nodes that have said no."""

from __future__ import annotations

from collections import Counter

from msgspec.structs import replace

from lastcall.core.edge.placement import Candidate, choose
from lastcall.core.handoff.offer import Nodes, Offer
from lastcall.ids import Incarnation, KindName, RoomId

Move = tuple[RoomId, int]
"""A room, and the epoch that it was to have at its taker."""


class Takers:
    """The other nodes, as one knows them that gives rooms away.

    A node that may still hold the image of a room that was taken back *owes* its word that it has
    forgotten it. Until then it is not asked for that room: a late answer cannot be mistaken for one
    to a newer question.
    """

    def __init__(self, takers_max: int) -> None:
        self._max = takers_max
        self._owed: dict[Incarnation, set[Move]] = {}
        self._promised: Counter[tuple[Incarnation, KindName]] = Counter()
        """The rooms that each node is asked for, which its state does not show yet."""
        self._refused_by: dict[RoomId, set[Incarnation]] = {}

    def __len__(self) -> int:
        """How many nodes have something to say, or are asked for something."""
        return len(self._owed) + len(self._promised)

    def choose(self, offer: Offer, nodes: Nodes) -> Incarnation | None:
        """The node to ask next, or None."""
        if len(offer.tried) >= self._max:
            return None
        without = offer.tried | self._refused_by.get(offer.room, set())
        without |= {node for node, owed in self._owed.items() if _names(owed, offer.room)}
        taker = choose(map(self._expected, nodes), offer.kind, new=True, without=without)
        return None if taker is None else taker.incarnation

    def _expected(self, node: Candidate) -> Candidate:
        """``node`` with the rooms that it is asked for, so that not all go to the emptiest."""
        asked = {
            (kind, True): count
            for (incarnation, kind), count in self._promised.items()
            if incarnation == node.incarnation
        }
        return replace(node, asked=asked) if asked else node

    def asked(self, taker: Incarnation, kind: KindName) -> None:
        """``taker`` is asked for a room of that kind."""
        self._promised[taker, kind] += 1

    def over(self, taker: Incarnation, kind: KindName) -> None:
        """It is not asked for that room any more: it runs it, or will not."""
        self._promised[taker, kind] -= 1
        if not self._promised[taker, kind]:
            del self._promised[taker, kind]

    def refused(self, taker: Incarnation, room: RoomId) -> None:
        """``taker`` is not asked for the room again until :meth:`forgive`."""
        self._refused_by.setdefault(room, set()).add(taker)

    def has_refused(self, room: RoomId) -> bool:
        """Whether any node has refused the room."""
        return room in self._refused_by

    def forgive(self) -> None:
        """Nodes that have refused a room may be asked again."""
        self._refused_by.clear()

    def owe(self, taker: Incarnation, move: Move) -> None:
        """``taker`` has to say that it has forgotten the room."""
        self._owed.setdefault(taker, set()).add(move)

    def owed(self, taker: Incarnation) -> list[Move]:
        """The moves that ``taker`` has to forget."""
        return sorted(self._owed.get(taker, ()))

    def settled(self, taker: Incarnation, move: Move) -> None:
        """``taker`` has forgotten the room."""
        self._owed[taker].discard(move)
        if not self._owed[taker]:
            del self._owed[taker]

    def gone(self, taker: Incarnation) -> None:
        """The process has ended, and whatever it held with it."""
        self._owed.pop(taker, None)


def _names(owed: set[Move], room: RoomId) -> bool:
    return any(one == room for one, _ in owed)
