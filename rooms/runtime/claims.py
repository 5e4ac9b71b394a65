"""Who may take a place again, and what he is told: the same for rooms that run and that ended."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Protocol

from rooms.core.history import History
from rooms.core.replay import Missed, portions
from rooms.core.roster import Roster, Seat
from rooms.ids import LinkId, RoomId, new_secret
from rooms.reasons import ErrorCode
from rooms.wire import nodes

__all__ = ["EPOCH", "Place", "claim", "no_such_place", "replay", "resumed", "retake"]

EPOCH = 0
"""How often a room has moved; rooms do not move yet."""
PORTION_BYTES = 64 * 1024
"""How much one ``Replay`` bears: a message between nodes is bounded."""


class Place(Protocol):
    """A room, running or ended, as far as its players' places go."""

    @property
    def id(self) -> RoomId:
        """Which room."""

    @property
    def roster(self) -> Roster:
        """Who sits in it."""

    @property
    def history(self) -> History:
        """What it has said last."""

    @property
    def seq(self) -> int:
        """The number that it has come to."""


def no_such_place(call: int) -> nodes.Refused:
    """The same words whatever is wrong: who guesses learns nothing."""
    return nodes.Refused(call, nodes.NO_SUCH_PLACE, "no such place here")


def claim(place: Place, resume: nodes.Resume) -> Seat | nodes.Refused:
    """The seat that ``resume`` has a right to, or why it has none. Changes nothing."""
    seat = place.roster.find(resume.player)
    if seat is None:
        return no_such_place(resume.call)
    if resume.session and resume.session != seat.session:
        return nodes.Refused(resume.call, nodes.TAKEN_OVER, "a newer socket has the place")
    if not seat.shows(resume.secret):
        return no_such_place(resume.call)
    if resume.seen > place.seq:
        ahead = f"seen is {resume.seen}, but the room has come to {place.seq}"
        return nodes.Refused(resume.call, ErrorCode.BAD_FRAME, ahead)
    return seat


def retake(
    place: Place, seat: Seat, link: LinkId, resume: nodes.Resume, rng: random.Random
) -> None:
    """The seat is his again, by way of ``link``; a renewal keeps the secret and the session."""
    renewal = resume.session != 0
    if not renewal:
        seat.renew(resume.secret, new_secret(rng))
    place.roster.retake(seat, link, same_socket=renewal)


def resumed(
    place: Place, seat: Seat, call: int, missed: Missed, state: bytes = b""
) -> Iterator[nodes.Down]:
    """What his link gets, in this order, before anything live."""
    yield nodes.Resumed(
        call=call,
        room=place.id,
        player=seat.player,
        session=seat.session,
        epoch=EPOCH,
        seq=missed.seq,
        n=seat.last_n,
        secret=seat.secret,
        complete=missed.complete,
        state=state,
    )
    yield from replay(place.id, seat, missed.messages)


def replay(
    room: RoomId, seat: Seat, messages: Sequence[tuple[int, bytes]]
) -> Iterator[nodes.Replay]:
    """``messages`` for the player of ``seat`` alone, in items of at most 64 KiB."""
    for portion in portions(messages, PORTION_BYTES):
        yield nodes.Replay(room, seat.player, seat.session, portion)
