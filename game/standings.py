"""How the surviving rooms of a node stand: counts for metrics, and sentences for an operator."""

from __future__ import annotations

from collections import Counter

from lastcall.core.histogram import Histogram
from lastcall.core.survival.actions import Protection
from lastcall.ids import RoomId

COMMIT_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 3.0, 10.0)
"""The upper bounds of the histogram's buckets."""
REASONS_MAX = 8


class Standings:
    """The protection of each room that runs here, and how long its words have waited."""

    def __init__(self) -> None:
        self._rooms: dict[RoomId, tuple[Protection, str]] = {}
        self._counts: Counter[tuple[Protection, str]] = Counter()
        self.commits = Histogram(COMMIT_SECONDS)
        """How long after a room had made a step it was committed, in seconds."""

    def put(self, room: RoomId, protection: Protection, why: str, *, runs: bool = True) -> None:
        """The room stands so from now on. One that does not run here, since this node has its image
        alone, counts only while it waits.
        """
        self.drop(room)
        if not runs and protection is Protection.PROTECTED:
            return
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
