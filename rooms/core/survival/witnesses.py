"""Which witnesses a room's config can name, and which it names next."""

from __future__ import annotations

from collections.abc import Sequence

from lastcall.core.survival.line import Line
from lastcall.core.survival.links import View
from lastcall.ids import Incarnation


class Reach:
    """The api nodes to which the standbys and the candidate of ``line`` have links."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._reached: dict[Incarnation, tuple[Incarnation, ...]] = {}

    def note(self, node: Incarnation, witnesses: tuple[Incarnation, ...]) -> None:
        """``node`` has links to ``witnesses``."""
        if node in self._line.followers:
            reached = {other: self._reached.get(other, ()) for other in self._line.followers}
            self._reached = {**reached, node: witnesses}

    def usable(self, view: View) -> tuple[Incarnation, ...]:
        """The api nodes that can be asked from here and from the standbys, the best first."""
        nodes = self._line.config.standbys or self._line.followers
        reached = [self._reached.get(node, ()) for node in nodes]
        return tuple(one for one in view.witnesses if all(one in they for they in reached))


def next_witnesses(
    now: Sequence[Incarnation], usable: Sequence[Incarnation]
) -> tuple[Incarnation, ...]:
    """The witnesses to name after ``now``, once ``now`` is confirmed; ``now`` if nothing changes.

    Two configs that follow each other always have a witness in common, and common witnesses in the
    same order; a new one comes last. So a leaving witness is replaced in two steps: both, then the
    new one.
    """
    kept = [witness for witness in now if witness in usable]
    if kept:
        return (kept[-1],)
    return (now[-1], usable[0]) if usable else tuple(now)
