"""The search for a place whose game node is gone, while its room may go on at another one.

The nodes that answer are asked in turn, one at a time. A node that may get the room soon says so,
and is asked again after :data:`RETRY_SECONDS`. One that knows nothing of it is asked again, too,
but less often: it may get the room later. A node that is silent is left for the next one, and may
still answer.
"""

from __future__ import annotations

from collections.abc import Collection
from math import inf

from lastcall.ids import Incarnation

RETRY_SECONDS = 0.2
REFUSED_SECONDS = 1.0


class PlaceSearch:
    """One search; its client is moved after ``move_seconds``, and it ends after ``lost_seconds``.

    Times are in seconds of any clock. It remembers the nodes that have been attached meanwhile.
    """

    __slots__ = (
        "_again_at",
        "_asked",
        "_began_at",
        "_looked_at",
        "_lost_seconds",
        "_move_seconds",
        "_moved",
    )

    def __init__(self, now: float, *, move_seconds: float, lost_seconds: float) -> None:
        self._began_at = self._looked_at = now
        self._move_seconds = move_seconds
        self._lost_seconds = lost_seconds
        self._moved = False
        self._asked: set[Incarnation] = set()
        """The nodes that have not answered yet."""
        self._again_at: dict[Incarnation, float] = {}
        """When a node that has refused is asked again."""

    def look(self, now: float, answering: Collection[Incarnation]) -> None:
        """Call it often: while a node that answers has yet to say whether it has the place, no time
        passes for the search. Many places may be asked for, and each has its turn.
        """
        if any(node in self._asked for node in answering):
            self._began_at += now - self._looked_at
        self._looked_at = now

    def over(self, now: float) -> bool:
        """Whether the place is lost, since no node had it in time."""
        return now - self._began_at >= self._lost_seconds

    def moves_client(self, now: float) -> bool:
        """Whether the client is moved now, since another api node may reach the room; true once."""
        if self._moved or now - self._began_at < self._move_seconds:
            return False
        self._moved = True
        return True

    def ask(self, answering: Collection[Incarnation], now: float) -> Incarnation | None:
        """The node to ask now; None if none may be asked before something changes.

        ``answering`` are the attached nodes that are not silent, in the order to ask.
        """
        if any(node in self._asked for node in answering):
            return None
        due = [node for node in answering if self._again_at.get(node, -inf) <= now]
        if not due:
            return None
        node = min(due, key=lambda one: self._again_at.get(one, -inf))
        self._asked.add(node)
        return node

    def refused(self, node: Incarnation, now: float, *, retry: bool) -> None:
        """``node`` does not have the place; with ``retry``, it may have it soon."""
        self._asked.discard(node)
        self._again_at[node] = now + (RETRY_SECONDS if retry else REFUSED_SECONDS)

    def gone(self, node: Incarnation) -> None:
        """The link to ``node`` is over: it has not answered, and cannot be asked."""
        self._asked.discard(node)
        self._again_at.pop(node, None)
