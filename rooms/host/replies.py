"""The items that tell players about their places, in running and in ended rooms."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

import trio

from lastcall.core.room.former_places import FormerResume, tickets_of
from lastcall.core.room.gone_seats import GoneSeats
from lastcall.core.room.history import History, Unseen
from lastcall.core.room.roster import Roster, Seat
from lastcall.ids import KindName, LinkId, RoomId
from lastcall.runtime.batches import portions
from lastcall.wire import nodes

PORTION_BYTES = 64 * 1024
"""How much one ``Replay`` or ``Regroup`` holds: a message between nodes is bounded."""
TICKET_BYTES = 128
"""About what a ticket takes, with its player's id."""
FRAME_BYTES = 16
"""The most that a message's number and length take."""


class _Room(Protocol):
    """A running room, or one that has ended."""

    @property
    def id(self) -> RoomId: ...
    @property
    def kind(self) -> KindName: ...
    @property
    def epoch(self) -> int: ...
    @property
    def history(self) -> History: ...
    @property
    def gone(self) -> GoneSeats | None: ...
    @property
    def survives(self) -> bool: ...
    @property
    def can_move(self) -> bool: ...
    def done(self, seat: Seat) -> int: ...


def no_such_place(call: int) -> nodes.Refused:
    """The same refusal whatever is wrong: guessing reveals nothing."""
    return nodes.Refused(call, nodes.NO_SUCH_PLACE, "no such place here")


def seated(
    room: _Room,
    seat: Seat,
    call: int,
    *,
    unseen: Unseen,
    state: bytes,
    listed: Sequence[Seat],
) -> nodes.Seated:
    """The answer to a join; ``unseen`` messages follow. ``listed`` are the players shown."""
    return nodes.Seated(
        call=call,
        room=room.id,
        kind=room.kind,
        player=seat.player,
        session=seat.session,
        epoch=room.epoch,
        seq=unseen.seq,
        secret=seat.secret,
        players=[nodes.Player(other.player, other.name) for other in listed],
        complete=unseen.complete,
        state=state,
        survives=room.survives,
        can_move=room.can_move,
    )


def place_again(
    room: _Room,
    seat: Seat,
    request: nodes.Join | nodes.Resume,
    *,
    unseen: Unseen,
    state: bytes = b"",
    listed: Sequence[Seat],
) -> Iterator[nodes.Down]:
    """The items for the link of a player who has their seat again, before any live message."""
    if isinstance(request, nodes.Join | FormerResume):
        call = request.call
        yield seated(room, seat, call, unseen=unseen, state=state, listed=listed)
    else:
        yield _resumed(room, seat, request.call, unseen, state)
    for portion in portions(unseen.messages, _message_bytes, PORTION_BYTES):
        yield nodes.Replay(room.id, seat.player, seat.session, portion)


def _resumed(room: _Room, seat: Seat, call: int, unseen: Unseen, state: bytes) -> nodes.Resumed:
    return nodes.Resumed(
        call=call,
        room=room.id,
        player=seat.player,
        session=seat.session,
        epoch=room.epoch,
        seq=unseen.seq,
        n=room.done(seat),
        secret=seat.secret,
        complete=unseen.complete,
        state=state,
        survives=room.survives,
        can_move=room.can_move,
    )


def over(room: _Room, request: nodes.Resume) -> list[nodes.Down]:
    """The items for a player whose seat is free again: what they missed until then, and why it is.

    Empty if there was no such seat.
    """
    found = room.gone and room.gone.find(
        request.player, request.secret, request.identity, trio.current_time()
    )
    if not found:
        return []
    seat = found.seat
    seat.session += 1
    unseen = room.history.unseen(seat.player, max(request.seen, seat.joined_seq))
    messages = [(seq, body) for seq, body in unseen.messages if seq <= found.seq]
    until = Unseen(min(unseen.seq, found.seq), messages, unseen.complete)
    end = nodes.Out(room.id, seat.player, found.reason, seat.session)
    again = place_again(room, seat, request, unseen=until, listed=[seat])
    return [*again, end]


def regroup(room: _Room, seats: Sequence[Seat], options: bytes) -> nodes.Regroup:
    """The players of ``seats`` are to join another room of that kind."""
    players = [(seat.player, seat.name, seat.key) for seat in seats]
    former = {seat.player: tickets_of(room.id, seat) for seat in seats}
    return nodes.Regroup(room.id, room.epoch, room.kind, players, options, former)


def batches_by_link(roster: Roster) -> Iterator[tuple[LinkId, Sequence[Seat]]]:
    """The seats of each link, in portions that one ``Regroup`` holds."""
    for link in roster.links:
        for seats in portions(roster.of_link(link), _player_bytes, PORTION_BYTES):
            yield link, seats


def _message_bytes(message: tuple[int, bytes]) -> int:
    return FRAME_BYTES + len(message[1])


def _player_bytes(seat: Seat) -> int:
    tickets = TICKET_BYTES * (1 + (seat.previous_secret != "") + len(seat.former))
    return len(seat.player) + len(seat.name.encode()) + len(seat.key.encode()) + tickets
