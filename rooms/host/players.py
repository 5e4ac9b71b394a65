"""Joins, resumes and leaves of one running room's players, and the loss of their sockets.

Everything here is synchronous.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

import structlog
import trio

from lastcall.core.room.former_places import FormerResume, read_tickets
from lastcall.core.room.history import Unseen
from lastcall.core.room.roster import Seat, listed
from lastcall.events import Back, Joined
from lastcall.host.backend import check_size
from lastcall.host.replies import no_such_place, over, place_again
from lastcall.host.room_state import RoomState, keep_seconds
from lastcall.host.tickets import check_ticket, rebind_seat
from lastcall.ids import LinkId, PlayerId, Ticket, new_player, new_secret
from lastcall.reasons import EndReason, ErrorCode
from lastcall.wire import nodes
from lastcall.wire.values import encode_value

FULL = "too much of what the room says waits for the node that has its copy; come again"


class Players:
    """The players of one room."""

    __slots__ = ("_host", "_room")

    def __init__(self, room: RoomState) -> None:
        self._room = room
        self._host = room.host

    def join(self, link: LinkId, join: nodes.Join, rng: random.Random) -> str | None:
        """Seats a player and tells their link; or returns the error code why not.

        The same ``key`` or ``former`` ticket again is the same player, on a new socket; so is the
        same identity, where each has one seat.
        """
        room = self._room
        if room.is_full:
            return ErrorCode.NO_GAME_NODE
        former = read_tickets(join.former)
        seat = self.taken_by(join)
        if seat is not None and not seat.is_for(join.identity):
            return nodes.WRONG_KEY
        if seat is not None and self._seat_again(seat, link, join, former):
            return None
        if join.seated_only:
            return nodes.NO_SUCH_PLACE
        seat = _new_seat(link, join, rng, joined_seq=room.history.seq, former=former)
        limits = self._host.limits
        refusal = room.refusal(join) or limits.refusal(join) or room.roster.add(seat)
        if refusal is not None:
            return refusal
        limits.seat_taken(seat)
        if len(room.roster) >= room.codec.kind.starts:
            room.started = True
            if not room.codec.kind.can_move:
                room.raw_options = b""
        self._host.former_places.add(room.id, seat)
        self._send_place(seat, join, Unseen(room.history.seq, (), complete=True))
        room.inbox.put_control(Joined(seat.player))
        room.seat_changed(seat)
        self._host.changed(room)
        return None

    def resume(
        self, link: LinkId, request: nodes.Resume, rng: random.Random
    ) -> nodes.Refused | None:
        """Gives a player their place again: first what they have not seen, then live messages.

        For a :class:`nodes.Renew` the client's socket stays the same. Returns the refusal, if any;
        then nothing has changed, and the author's function notices nothing.
        """
        room = self._room
        if room.is_full:
            return nodes.Refused(request.call, ErrorCode.NO_GAME_NODE, FULL)
        seat = check_ticket(room.roster, room.history.seq, request)
        if isinstance(seat, nodes.Refused):
            told = over(room, request)
            for item in told:
                room.outbox(link, item)
            if told and room.changes is not None:
                room.changes.change_bans()
            return None if told else seat
        if isinstance(request, FormerResume):
            done = self._seat_again(seat, link, request, seat.former)
            return None if done else no_such_place(request.call)
        unseen, state = self._unseen(seat, max(request.seen, seat.joined_seq))
        if room.roster.find(seat.player) is not seat:  # `picture` may kick the player
            return no_such_place(request.call)
        self._leave_socket(seat, same_socket=isinstance(request, nodes.Renew))
        rebind_seat(room.roster, seat, link, request, rng)
        room.seat_changed(seat)
        self._send_place(seat, request, unseen, state)
        return None

    def taken_by(self, join: nodes.Join) -> Seat | None:
        """The seat that was taken with the join's key before, or for a former ticket of it, or by
        its identity if each has one seat. It may be another's.
        """
        seat = self._room.roster.find_own(join.key, join.identity)
        present = self._host.former_places.find(read_tickets(join.former))
        if seat is not None or present is None or present[0] != self._room.id:
            return seat
        return self._room.roster.find(present[1])

    def contested_seat(self, request: nodes.Join | nodes.Resume) -> Seat | None:
        """The live seat that ``request`` asks for, if the request may be older than its socket.

        A resume with the newest secret is not, since each resume changes the secret. The seat of a
        player who is expected, since the room has moved, counts as live.
        """
        if isinstance(request, nodes.Join):
            seat = self.taken_by(request)
        else:
            seat = self._room.roster.find(request.player)
            if seat is None or not seat.accepts_previous(request.secret):
                return None
        if seat is None or (seat.away and not seat.expected) or not seat.is_for(request.identity):
            return None
        return seat

    def confirm(self, link: LinkId, confirm: nodes.Confirm) -> None:
        """A player has the answer to their join or resume."""
        seat = self._host.binding.find(self._room.roster, link, confirm)
        if seat is not None:
            self._host.former_places.forget(seat)
            self._host.takeovers.confirm(seat)
            self._room.seat_changed(seat)

    def leave(self, link: LinkId, leave: nodes.Leave) -> None:
        """Frees the seat if the item may speak for it, and tells the player's link."""
        seat = self._host.binding.find(self._room.roster, link, leave)
        if seat is not None:
            self._room.release(seat, EndReason.LEFT)

    def lose(self, link: LinkId, absent: nodes.Absent) -> Seat | None:
        """The socket of that session is lost. Returns the seat that is away now, if any."""
        seat = self._host.binding.find(self._room.roster, link, absent)
        return None if seat is None or seat.away else self._lose(seat)

    def drop_link(self, link: LinkId) -> Iterator[Seat | None]:
        """The players present by ``link`` are away, one for each step; see :meth:`lose`."""
        for seat in self._room.roster.of_link(link):
            still_there = seat.link == link and self._room.roster.find(seat.player) is seat
            yield self._lose(seat) if still_there else None

    def _lose(self, seat: Seat) -> Seat | None:
        seconds = keep_seconds(self._room, seat)
        if seconds <= 0 and not self._host.takeovers.waits(seat):
            self._room.release(seat, None)
            return None
        self._host.acks.remove(seat)
        self._room.roster.lose(seat, trio.current_time())
        self._host.disconnects.begin(self._room, seat, seconds)
        self._room.seat_changed(seat)
        return seat

    def _seat_again(
        self,
        seat: Seat,
        link: LinkId,
        request: nodes.Join | nodes.Resume,
        former: tuple[Ticket, ...],
    ) -> bool:
        """As a resume by a client that has seen nothing; False if the seat is gone meanwhile.

        The client may have a ``former`` ticket only. One with another key has the seat from now
        on: a repetition of its join finds it.
        """
        room = self._room
        unseen, state = self._unseen(seat, seat.joined_seq)
        if room.roster.find(seat.player) is not seat:  # `picture` may kick the player
            return False
        self._leave_socket(seat)
        room.roster.rebind(seat, link)
        seat.refresh(request.identity)
        if isinstance(request, nodes.Join) and request.key not in {"", seat.key}:
            self._host.forget_key(room, seat)
            room.roster.rekey(seat, request.key)
        seat.last_n = 0
        if room.changes is not None:
            room.changes.inbox.progress.renumber(seat.player)
        room.seat_changed(seat)
        seat.former = former
        self._host.former_places.add(room.id, seat)
        self._send_place(seat, request, unseen, state)
        return True

    def _leave_socket(self, seat: Seat, *, same_socket: bool = False) -> None:
        """Tells the seat's previous socket that it is taken over, or the room that it is back."""
        room = self._room
        if seat.away:
            if self._host.disconnects.end(room, seat):
                room.inbox.put_control(Back(seat.player))
        else:
            self._host.acks.remove(seat)
            if not same_socket:
                room.send_out(seat, nodes.TAKEN_OVER, seat.session)

    def _unseen(self, seat: Seat, seen: int) -> tuple[Unseen, bytes]:
        history = self._room.history
        unseen = history.unseen(seat.player, seen)
        if unseen.complete:
            return unseen, b""
        if state := self._picture(seat.player):
            return Unseen(history.seq, (), complete=False), state
        return history.unseen(seat.player, seen), b""  # a picture that fails may send messages

    def _picture(self, player: PlayerId) -> bytes:
        """The picture from ``state_for``, as JSON; empty if there is none, or if it fails."""
        table = self._room.table
        if table is None or table.state_for is None:
            return b""
        try:
            body = encode_value(table.state_for(player))
            check_size(self._room, "picture", body)
        except BaseException as error:  # noqa: BLE001 - an author's code may raise anything
            room = self._room
            structlog.get_logger().error(
                "room.picture_failed", room=room.id, kind=room.kind, exc_info=error
            )
            return b""
        return body

    def _send_place(
        self,
        seat: Seat,
        request: nodes.Join | nodes.Resume,
        unseen: Unseen,
        state: bytes = b"",
    ) -> None:
        room = self._room
        seats = listed(room.roster, seat, self._host.policy.listed_players)
        answer = place_again(room, seat, request, unseen=unseen, state=state, listed=seats)
        for item in answer:
            room.outbox(seat.link, item)


def _new_seat(
    link: LinkId,
    join: nodes.Join,
    rng: random.Random,
    *,
    joined_seq: int,
    former: tuple[Ticket, ...],
) -> Seat:
    """The seat of a new player; the name of their identity goes before that of their client."""
    identity = join.identity
    name = None if identity is None else identity.name
    return Seat(
        player=new_player(rng),
        link=link,
        secret=new_secret(rng),
        name=join.name if name is None else name,
        key=join.key,
        address=join.address,
        identity=identity,
        joined_seq=joined_seq,
        former=former,
    )
