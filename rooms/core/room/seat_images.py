"""A seat as its room's image has it, and as a seat again."""

from __future__ import annotations

from lastcall.core.room.former_places import read_tickets
from lastcall.core.room.roster import NOWHERE, Seat
from lastcall.wire.images import SeatImage


def capture_seat(
    seat: Seat, absence: tuple[float, bool] | None = None, *, last_n: int | None = None
) -> SeatImage:
    """The image of ``seat``; ``absence`` is for how many seconds its player has been away, and
    whether the room was told. ``last_n`` goes before that of the seat.

    A player whom this node expects, since the room has just come, counts as one with a socket.
    """
    away_seconds, noticed = absence or (None, False)
    if seat.expected and not noticed:
        away_seconds = None
    return SeatImage(
        player=seat.player,
        secret=seat.secret,
        previous_secret=seat.previous_secret,
        former=tuple(map(str, seat.former)),
        name=seat.name,
        key=seat.key,
        address=seat.address,
        identity=seat.identity,
        joined_seq=seat.joined_seq,
        session=seat.session,
        last_n=seat.last_n if last_n is None else last_n,
        confirmed=seat.confirmed,
        away_seconds=away_seconds,
        noticed=noticed,
    )


def restore_seat(image: SeatImage, now: float) -> Seat:
    """The seat; its player is away, in the time of another clock."""
    return Seat(
        player=image.player,
        link=NOWHERE,
        secret=image.secret,
        previous_secret=image.previous_secret,
        former=read_tickets(image.former),
        name=image.name,
        key=image.key,
        address=image.address,
        identity=image.identity,
        joined_seq=image.joined_seq,
        session=image.session,
        last_n=image.last_n,
        confirmed=image.confirmed,
        away_at=now - (image.away_seconds or 0.0),
    )
