"""The other nodes as one game node sees them: which are gone, and what they may be asked for."""

from __future__ import annotations

from collections import OrderedDict

import msgspec

from lastcall.ids import Incarnation

REMEMBERED = 4096


class View(msgspec.Struct, frozen=True):
    """The nodes that a room may turn to, as its node knows them now."""

    games: frozenset[Incarnation] = frozenset()
    """Every game node of the cluster that is not known to be dead, this one included.

    It must be complete when the room sees it: if a room's witness is dead, all of these have to
    vote in its place.
    """
    takers: tuple[Incarnation, ...] = ()
    """Those that may take an image of this room, the best first; never one that drains."""
    leaving: frozenset[Incarnation] = frozenset()
    """Those that drain."""
    witnesses: tuple[Incarnation, ...] = ()
    """The api nodes with a link to this node, the best first."""
    withheld: str = ""
    """Why nobody may have an image of this room; then it sees no ``takers``."""


class Links:
    """Which nodes are gone; at most :data:`REMEMBERED`, the oldest is forgotten first.

    A forgotten node counts as one that is heard, so that votes are asked of it: rooms wait longer,
    and none goes on too early.
    """

    def __init__(self, remembered: int = REMEMBERED) -> None:
        self._remembered = remembered
        self._gone: OrderedDict[Incarnation, bool] = OrderedDict()

    def gone(self, node: Incarnation, *, certain: bool) -> None:
        """``node`` is silent, or ``certain`` to be dead: refused, or another incarnation."""
        self._gone[node] = certain or self._gone.get(node, False)
        if len(self._gone) > self._remembered:
            self._gone.popitem(last=False)

    def linked(self, node: Incarnation) -> None:
        """There is a new link to ``node``."""
        self._gone.pop(node, None)

    def is_gone(self, node: Incarnation) -> bool:
        """Whether ``node`` is silent or dead."""
        return node in self._gone

    def is_dead(self, node: Incarnation) -> bool:
        """Whether ``node`` is certain to be dead."""
        return self._gone.get(node, False)
