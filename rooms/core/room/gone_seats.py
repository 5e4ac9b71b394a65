"""Seats that were taken away, for players who may not have learned of it.

The word that a place is over is lost with a socket or a link. The player then resumes, and must
hear why it is over, and not that there was never such a place.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from lastcall.core.room.roster import Seat
from lastcall.core.room.seat_images import capture_seat, restore_seat
from lastcall.identity import Identity
from lastcall.ids import PlayerId
from lastcall.wire.images import GoneImage

GONE_MAX = 64
"""In one room; beyond that the oldest is forgotten first."""


class GoneSeat(msgspec.Struct, frozen=True, eq=False):
    """A seat that is free again: why, and the room's last message that was for its player."""

    seat: Seat
    reason: str
    seq: int
    until: float


class GoneSeats:
    """The seats that one room took away; times are in seconds of any clock."""

    __slots__ = ("_by_player",)

    def __init__(self) -> None:
        self._by_player: dict[PlayerId, GoneSeat] = {}

    def __len__(self) -> int:
        return len(self._by_player)

    def add(self, gone: GoneSeat) -> None:
        """Keeps ``gone``, and forgets the oldest beyond the bound."""
        self._by_player[gone.seat.player] = gone
        if len(self._by_player) > GONE_MAX:
            del self._by_player[next(iter(self._by_player))]

    def capture(self, now: float) -> tuple[GoneImage, ...]:
        """All seats; one that is kept no longer has no seconds left."""
        return tuple(
            GoneImage(capture_seat(gone.seat), gone.reason, gone.seq, max(0.0, gone.until - now))
            for gone in self._by_player.values()
        )

    @classmethod
    def restore(cls, captured: Iterable[GoneImage], now: float) -> GoneSeats | None:
        """The seats again, in the time of another clock; None if there are none."""
        seats = cls()
        for gone in captured:
            until = now + gone.seconds_left
            seats.add(GoneSeat(restore_seat(gone.seat, now), gone.reason, gone.seq, until))
        return seats if len(seats) else None

    def find(
        self, player: PlayerId, secret: str, identity: Identity | None, now: float
    ) -> GoneSeat | None:
        """The seat of ``player``, if it is still kept, ``secret`` is of its ticket, and it was the
        seat of ``identity``.
        """
        gone = self._by_player.get(player)
        if gone is None or gone.until <= now or not gone.seat.is_for(identity):
            return None
        return gone if gone.seat.accepts(secret) else None
