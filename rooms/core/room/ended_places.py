"""The places that have ended on a node, for longer than anything else of them is kept.

A player who returns after hours has an old ticket. That is not an attempt to guess one, and only
the node that had the place can tell.
"""

from __future__ import annotations

from lastcall.ids import PlayerId

PLACES_MAX = 65_536


class EndedPlaces:
    """Remembers at least the last ``places_max / 2`` places, and at most ``places_max``."""

    def __init__(self, places_max: int = PLACES_MAX) -> None:
        self._half = places_max // 2
        self._newer: set[PlayerId] = set()
        self._older: set[PlayerId] = set()

    def __len__(self) -> int:
        return len(self._newer) + len(self._older)

    def __contains__(self, player: PlayerId) -> bool:
        return player in self._newer or player in self._older

    def add(self, player: PlayerId) -> None:
        """The player's place has ended; a player's id is of one place only."""
        if len(self._newer) >= self._half:
            self._older, self._newer = self._newer, set()
        self._newer.add(player)
