"""How the surviving rooms of a node stand: counts for metrics, and sentences for an operator."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from itertools import accumulate

from lastcall.core.survival.actions import Protection
from lastcall.ids import RoomId
from lastcall.runtime.admin.metrics import Commits

COMMIT_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 3.0, 10.0)
"""The upper bounds of the histogram's buckets."""
REASONS_MAX = 8


class Standings:
    """The protection of each room that runs here, and how long its words have waited."""

    def __init__(self) -> None:
        self._rooms: dict[RoomId, tuple[Protection, str]] = {}
        self._counts: Counter[tuple[Protection, str]] = Counter()
        self._commits = [0] * (len(COMMIT_SECONDS) + 1)
        """How many steps were committed within each bound, and beyond the last."""
        self._seconds = 0.0
        """Of all steps together."""

    def put(self, room: RoomId, protection: Protection, why: str) -> None:
        """The room stands so from now on."""
        self.drop(room)
        self._rooms[room] = (protection, why)
        self._counts[protection, why] += 1

    def drop(self, room: RoomId) -> None:
        """The room runs here no more."""
        before = self._rooms.pop(room, None)
        if before is not None:
            self._counts[before] -= 1
            if not self._counts[before]:
                del self._counts[before]

    def why_of(self, room: RoomId) -> str:
        """Why the room is not protected."""
        return self._rooms[room][1]

    def count(self, protection: Protection) -> int:
        """How many rooms stand so."""
        return sum(count for (one, _), count in self._counts.items() if one is protection)

    def committed(self, seconds: float) -> None:
        """A step was committed ``seconds`` after the room had made it."""
        self._commits[bisect_left(COMMIT_SECONDS, seconds)] += 1
        self._seconds += seconds

    def figures(self) -> Commits:
        """The commits, for ``/metrics``."""
        bounds = [*map(str, COMMIT_SECONDS), "+Inf"]
        return Commits(dict(zip(bounds, accumulate(self._commits), strict=True)), self._seconds)

    def why(self) -> list[str]:
        """A sentence for each reason why rooms are not protected, the most frequent first."""
        reasons = [
            f"{count} room(s) would not survive this node: {why}"
            if protection is Protection.UNPROTECTED
            else f"{count} room(s) wait before they say more: {why}"
            for (protection, why), count in self._counts.most_common(REASONS_MAX + 1)
            if protection is not Protection.PROTECTED
        ]
        return reasons[:REASONS_MAX]
