"""The places that have ended on a node, for longer than anything else of them is kept.

A player who returns after hours has an old ticket. That is not an attempt to guess one, and only
the node that had the place can tell. The answer may be wrong for one guess in a thousand, which
then is not counted: that costs nothing, and a Bloom filter (Bloom 1970) has a fixed size.
"""

from __future__ import annotations

from lastcall.ids import PlayerId

PLACES_MAX = 65_536
BITS = 20
"""Of the number of a bit: a filter has 2**20 bits for half of the places, 128 KiB."""
PROBES = 3


class EndedPlaces:
    """Remembers at least the last ``places_max / 2`` places, and at most ``places_max``."""

    def __init__(self, places_max: int = PLACES_MAX) -> None:
        self._half = places_max // 2
        self._newer = _Filter()
        self._older = _Filter()

    def __len__(self) -> int:
        return len(self._newer) + len(self._older)

    def __contains__(self, player: PlayerId) -> bool:
        return player in self._newer or player in self._older

    def add(self, player: PlayerId) -> None:
        """The player's place has ended; a player's id is of one place only."""
        if len(self._newer) >= self._half:
            self._older, self._newer = self._newer, _Filter()
        self._newer.add(player)


class _Filter:
    def __init__(self) -> None:
        self._bits = bytearray(1 << BITS - 3)
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __contains__(self, player: PlayerId) -> bool:
        return all(self._bits[bit >> 3] & 1 << (bit & 7) for bit in _bits_of(player))

    def add(self, player: PlayerId) -> None:
        self._count += 1
        for bit in _bits_of(player):
            self._bits[bit >> 3] |= 1 << (bit & 7)


def _bits_of(player: PlayerId) -> list[int]:
    """The numbers of its bits, from Python's hash of the text, which has about 61 bits."""
    parts = hash(player)
    return [(parts >> shift) & (1 << BITS) - 1 for shift in range(0, PROBES * BITS, BITS)]
