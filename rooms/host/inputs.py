"""A room's inputs: checks that each is its player's next one, and puts it into the inbox."""

from __future__ import annotations

from lastcall.core.room.roster import Seat
from lastcall.core.sequence import SequenceCheck
from lastcall.errors import BadFrame
from lastcall.events import Said
from lastcall.host.room_state import RoomState
from lastcall.ids import LinkId
from lastcall.reasons import ErrorCode
from lastcall.wire import nodes


class Inputs:
    """The inputs of one room. Its own attributes spare each input a look into the room."""

    __slots__ = (
        "_acks",
        "_binding",
        "_codec",
        "_inbox",
        "_outbox",
        "_room",
        "_room_id",
        "_seats",
        "_takeovers",
    )

    def __init__(self, room: RoomState) -> None:
        self._room = room
        self._room_id = room.id
        self._codec = room.codec
        self._seats = room.roster.by_player
        self._inbox = room.inbox
        self._acks = room.acks
        self._takeovers = room.host.takeovers
        self._binding = room.host.binding
        self._outbox = room.outbox

    def receive(self, link: LinkId, say: nodes.Say) -> None:
        """Accepts an input by ``link`` if it is the player's next and fits: see
        :class:`SequenceCheck`.
        """
        seat = self._seats.get(say.player)
        if seat is None:
            return
        if not seat.expects(link, say.session, say.n):
            self._receive_unexpected(link, seat, say)
            return
        if seat.previous_secret or not seat.confirmed:
            self._confirm(seat)
        self._accept(seat, say)

    def _receive_unexpected(self, link: LinkId, seat: Seat, say: nodes.Say) -> None:
        verdict = seat.judge(link, say.session, say.n)
        if verdict is SequenceCheck.STALE:
            self._binding.check(seat, link, say)
            return
        self._confirm(seat)
        if verdict is SequenceCheck.REPEAT:
            self._acks.add(self._room_id, seat)
        elif verdict is SequenceCheck.GAP:
            missing = f"n is {say.n}, but {seat.last_n + 1} comes next; inputs count without gaps"
            self._refuse(seat, say.n, ErrorCode.BAD_FRAME, missing)

    def _confirm(self, seat: Seat) -> None:
        changes = not seat.confirmed or seat.previous_secret != "" or seat.former != ()
        self._takeovers.confirm(seat)
        if changes:
            self._room.seat_changed(seat)

    def _accept(self, seat: Seat, say: nodes.Say) -> None:
        if self._codec.takes_inputs and not self._inbox.has_room(seat.player):
            seat.block()
            return
        try:
            said = Said(seat.player, self._codec.read_input(say.body))
        except BadFrame as bad:
            self._refuse(seat, say.n, bad.code, str(bad))
        else:
            self._inbox.put(said)
        seat.advance()
        self._acks.add(self._room_id, seat)

    def _refuse(self, seat: Seat, n: int, code: str, message: str) -> None:
        self._outbox(seat.link, nodes.BadInput(self._room_id, seat.player, n, code, message))
