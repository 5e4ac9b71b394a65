"""The limits of a game node, counted by address and by identity over all api nodes."""

from __future__ import annotations

from collections import Counter

import trio

from lastcall.core.accounts import RateLimiter, Tally
from lastcall.core.room.roster import Seat
from lastcall.limits import Limit, Limits
from lastcall.wire.nodes import Join


class RoomLimits:
    """The counts of one game node; ``refused`` counts what each limit has refused."""

    def __init__(self, limits: Limits) -> None:
        self.rooms = limits.rooms
        self._opened = RateLimiter(limits.rooms_opened, limits.accounts)
        self.seats = Tally(limits.seats_per_address)
        self.refused: Counter[Limit] = Counter()

    def may_open(self, rooms: int) -> bool:
        """Whether the node may run another room beside ``rooms``."""
        return rooms < self.rooms or self._refuse(Limit.ROOMS)

    def take_opening(self, join: Join) -> bool:
        """Counts a room that the player opens; returns whether they may.

        A player whose room was regrouped may: the drain is none of their doing.
        """
        admitted = join.former or self._opened.take((join.address,), trio.current_time())
        return bool(admitted) or self._refuse(Limit.ROOMS_OPENED)

    def may_sit(self, join: Join) -> bool:
        """Whether the player may take another seat. One whose room was regrouped may."""
        admitted = join.former or self.seats.admits(join.address)
        return bool(admitted) or self._refuse(Limit.SEATS_PER_ADDRESS)

    def seat_taken(self, seat: Seat) -> None:
        """Counts the seat until :meth:`seat_freed`."""
        self.seats.add(seat.address)

    def seat_freed(self, seat: Seat) -> None:
        """The place is over, for the player or with its room."""
        self.seats.remove(seat.address)

    def _refuse(self, limit: Limit) -> bool:
        self.refused[limit] += 1
        return False
