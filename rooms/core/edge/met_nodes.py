"""The names of game nodes that an api node has met, and which of them have left while they drained.

A node that drains gives up its rooms that have not started, and each player's api node joins
another room for them. Until that join has arrived, no game node has the place. So for
``regroup_seconds`` after any node has left while it drained, no refusal is final if the ticket
names one of these:

* a node that has ever left while it drained. A room may be given up several times in a row, and the
  player may know only the first ticket. A new node may have the old name;
* a node that was never met. It may have left before this api node could meet it.

An api node that has just started may have missed a node that left.
"""

from __future__ import annotations

from collections import OrderedDict

NAMES_KEPT = 1024
"""Beyond that, the node that was met or has left longest ago is forgotten."""


class MetNodes:
    """The names that this api node knows; it starts at ``now``."""

    def __init__(self, regroup_seconds: float, now: float) -> None:
        self._regroup_seconds = regroup_seconds
        self._regroups_until = now + regroup_seconds
        self._left: OrderedDict[str, bool] = OrderedDict()
        """For each name whether a node of that name has ever left while it drained."""

    def __contains__(self, name: str) -> bool:
        return name in self._left

    def __len__(self) -> int:
        return len(self._left)

    def meet(self, name: str) -> None:
        """A node of that name is here."""
        self._keep(name, left=self._left.get(name, False))

    def leave(self, name: str, now: float) -> None:
        """A node of that name is gone, and drained before."""
        self._keep(name, left=True)
        self._regroups_until = now + self._regroup_seconds

    def may_regroup(self, name: str, now: float) -> bool:
        """Whether the player of a ticket that names the node ``name`` may soon be seated at a node
        that does not know them yet.
        """
        return name != "" and now < self._regroups_until and self._left.get(name, True)

    def _keep(self, name: str, *, left: bool) -> None:
        self._left[name] = left
        self._left.move_to_end(name)
        if len(self._left) > NAMES_KEPT:
            self._left.popitem(last=False)
