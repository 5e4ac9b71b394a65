"""The limits of a game node, counted by address and by identity over all api nodes."""

from __future__ import annotations

from collections import Counter

import trio

from lastcall.core.accounts import RateLimiter, Tally, accounts_of
from lastcall.core.room.roster import Seat
from lastcall.identity import Identity
from lastcall.limits import Limit, Limits
from lastcall.reasons import ErrorCode
from lastcall.wire.nodes import Join


class RoomLimits:
    """The counts of one game node; ``refused`` counts what each limit has refused."""

    def __init__(self, limits: Limits) -> None:
        self.rooms = limits.rooms
        self._opened = RateLimiter(limits.rooms_opened, limits.accounts)
        self.seats = Tally(limits.seats_per_address)
        self._of_identities = Tally(limits.seats_per_identity)
        self.refused: Counter[Limit] = Counter()

    def may_open(self, rooms: int) -> bool:
        """Whether the node may run another room beside ``rooms``."""
        return rooms < self.rooms or self._refuse(Limit.ROOMS)

    def take_opening(self, join: Join) -> bool:
        """Counts a room that the player opens; returns whether they may.

        A player whose room was regrouped may: the drain is none of their doing.
        """
        accounts = accounts_of(join.address, _id(join.identity) or None)
        admitted = join.former or self._opened.take(accounts, trio.current_time())
        return bool(admitted) or self._refuse(Limit.ROOMS_OPENED)

    def refusal(self, join: Join) -> ErrorCode | None:
        """Why the player may take no other seat. One whose room was regrouped may."""
        if not (join.former or self.seats.admits(join.address)):
            self.refused[Limit.SEATS_PER_ADDRESS] += 1
        elif not (join.former or self._of_identities.admits(_id(join.identity))):
            self.refused[Limit.SEATS_PER_IDENTITY] += 1
        else:
            return None
        return ErrorCode.TOO_MANY

    def seat_taken(self, seat: Seat) -> None:
        """Counts the seat until :meth:`seat_freed`."""
        self.seats.add(seat.address)
        self._of_identities.add(_id(seat.identity))

    def seat_freed(self, seat: Seat) -> None:
        """The place is over, for the player or with its room."""
        self.seats.remove(seat.address)
        self._of_identities.remove(_id(seat.identity))

    def _refuse(self, limit: Limit) -> bool:
        self.refused[limit] += 1
        return False


def _id(identity: Identity | None) -> str:
    return "" if identity is None else identity.id
