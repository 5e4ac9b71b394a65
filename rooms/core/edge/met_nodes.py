"""The names of game nodes that an api node has met, and which of them have left while they drained.

A node that drains gives up its rooms that have not started, and each player's api node joins
another room for them. Until that join has arrived, no game node has the place. So for
``regroup_seconds`` after any node has left while it drained, no refusal is final if the ticket
names one of these:

* a node that has ever left while it drained. A room may be given up several times in a row, and the
  player may know only the first ticket. A new node may have the old name;
* a node that was never met. It may have left before this api node could meet it.

A node that was never met counts so for :data:`YOUNG_SECONDS` after any new node was met, too: the
player's api node, another one, may meet the new node a moment later than this one.
"""

from __future__ import annotations

from collections import OrderedDict
from math import inf

NAMES_KEPT = 1024
"""Beyond that, the node that was met or has left longest ago is forgotten."""
YOUNG_SECONDS = 2.0
"""Api nodes meet a new game node within about a second of each other."""


class MetNodes:
    """The names that this api node knows."""

    def __init__(self, regroup_seconds: float) -> None:
        self._regroup_seconds = regroup_seconds
        self._regroups_until = -inf
        self._young_until = -inf
        self._left: OrderedDict[str, bool] = OrderedDict()
        """For each name whether a node of that name has ever left while it drained."""

    def __contains__(self, name: str) -> bool:
        return name in self._left

    def __len__(self) -> int:
        return len(self._left)

    def meet(self, name: str, now: float) -> None:
        """A node of that name is here."""
        if name not in self._left:
            self._young_until = now + YOUNG_SECONDS
        self._keep(name, left=self._left.get(name, False))

    def leave(self, name: str, now: float) -> None:
        """A node of that name is gone, and drained before."""
        self._keep(name, left=True)
        self._regroups_until = now + self._regroup_seconds

    def may_regroup(self, name: str, now: float) -> bool:
        """Whether the player of a ticket that names the node ``name`` may soon be seated at a node
        that does not know them yet.
        """
        if name not in self._left and now < self._young_until:
            return name != ""
        return name != "" and now < self._regroups_until and self._left.get(name, True)

    def _keep(self, name: str, *, left: bool) -> None:
        self._left[name] = left
        self._left.move_to_end(name)
        if len(self._left) > NAMES_KEPT:
            self._left.popitem(last=False)
