"""Who may take a place again: the same for rooms that run and that ended."""

from __future__ import annotations

import random
from typing import Protocol

from lastcall.core.room.roster import Roster, Seat
from lastcall.host.replies import no_such_place
from lastcall.ids import LinkId, new_secret
from lastcall.reasons import ErrorCode
from lastcall.wire import nodes

__all__ = ["SeatRecord", "check_ticket", "rebind_seat"]


class SeatRecord(Protocol):
    """A room, running or ended, as far as its players' places go."""

    @property
    def roster(self) -> Roster:
        """Who sits in it."""

    @property
    def seq(self) -> int:
        """The number that it has come to."""


def check_ticket(room: SeatRecord, resume: nodes.Resume) -> Seat | nodes.Refused:
    """The seat that ``resume`` has a right to, or why it has none. Changes nothing."""
    seat = room.roster.find(resume.player)
    if seat is None:
        return no_such_place(resume.call)
    if resume.session and resume.session != seat.session:
        return nodes.Refused(resume.call, nodes.TAKEN_OVER, "a newer socket has the place")
    if not seat.accepts(resume.secret):
        return no_such_place(resume.call)
    if resume.seen > room.seq:
        ahead = f"seen is {resume.seen}, but the room has come to {room.seq}"
        return nodes.Refused(resume.call, ErrorCode.BAD_FRAME, ahead)
    return seat


def rebind_seat(
    room: SeatRecord, seat: Seat, link: LinkId, resume: nodes.Resume, rng: random.Random
) -> None:
    """The seat is his again, by way of ``link``; a renewal keeps the secret and the session."""
    renewal = resume.session != 0
    if not renewal:
        seat.renew(resume.secret, new_secret(rng))
    room.roster.rebind(seat, link, same_socket=renewal)
