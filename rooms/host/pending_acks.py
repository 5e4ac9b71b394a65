"""Acks that wait until the whole request is applied, so that each link gets one item."""

from __future__ import annotations

from typing import Protocol

from lastcall.core.room.roster import Seat
from lastcall.ids import LinkId, PlayerId, RoomId


class Acks(Protocol):
    """Where the acks of a room's inputs go."""

    def add(self, room: RoomId, seat: Seat) -> None:
        """The room has accepted all inputs up to ``seat.last_n``."""


class PendingAcks:
    """Of each player, the last input that the room has accepted; by link."""

    __slots__ = ("by_link",)

    def __init__(self) -> None:
        self.by_link: dict[LinkId, dict[Seat, tuple[RoomId, PlayerId, int]]] = {}

    def add(self, room: RoomId, seat: Seat) -> None:
        """The room has accepted all inputs up to ``seat.last_n``."""
        acks = self.by_link.get(seat.link)
        if acks is None:
            acks = self.by_link[seat.link] = {}
        acks[seat] = (room, seat.player, seat.last_n)

    def remove(self, seat: Seat) -> None:
        """The seat's link is about to change, and must not get its ack any more."""
        acks = self.by_link.get(seat.link, {})
        if acks.pop(seat, None) is not None and not acks:
            del self.by_link[seat.link]
