"""Which requests may take a seat again: the same rules for running and ended rooms."""

from __future__ import annotations

import random

from lastcall.core.room.roster import Roster, Seat
from lastcall.host.replies import no_such_place
from lastcall.ids import LinkId, new_secret
from lastcall.reasons import ErrorCode
from lastcall.wire import nodes


def check_ticket(roster: Roster, seq: int, request: nodes.Resume) -> Seat | nodes.Refused:
    """The seat that ``request`` has a right to, or the refusal. Changes nothing.

    ``seq`` is the number of the room's last message.
    """
    seat = roster.find(request.player)
    if seat is None or not seat.is_for(request.identity):
        return no_such_place(request.call)
    if isinstance(request, nodes.Renew) and request.session != seat.session:
        return nodes.Refused(request.call, nodes.TAKEN_OVER, "a newer socket has the place")
    if not seat.accepts(request.secret):
        return no_such_place(request.call)
    if request.seen > seq:
        ahead = f"seen is {request.seen}, but the room has come to {seq}"
        return nodes.Refused(request.call, ErrorCode.BAD_FRAME, ahead)
    return seat


def rebind_seat(
    roster: Roster, seat: Seat, link: LinkId, request: nodes.Resume, rng: random.Random
) -> None:
    """The player is present by ``link`` again; a renewal keeps the secret and the session."""
    same_socket = isinstance(request, nodes.Renew)
    if not same_socket:
        seat.renew(request.secret, new_secret(rng))
    seat.refresh(request.identity)
    roster.rebind(seat, link, same_socket=same_socket)
