"""Joins, resumes and leaves of one running room's players, and the loss of their sockets.

Everything here is synchronous.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

import structlog
import trio

from lastcall.author import Back, Joined
from lastcall.core.room.history import Unseen
from lastcall.core.room.roster import Seat
from lastcall.host.backend import check_size
from lastcall.host.replies import no_such_place, over, replay, resumed, seated
from lastcall.host.room_state import RoomState
from lastcall.host.tickets import check_ticket, rebind_seat
from lastcall.ids import LinkId, PlayerId, new_player, new_secret
from lastcall.reasons import EndReason, ErrorCode
from lastcall.wire import nodes
from lastcall.wire.values import encode_value


class Players:
    """The players of one room."""

    __slots__ = ("_host", "_room")

    def __init__(self, room: RoomState) -> None:
        self._room = room
        self._host = room.host

    def join(self, link: LinkId, join: nodes.Join, rng: random.Random) -> str | None:
        """Seats a player and tells their link; or returns the error code why not.

        The same ``key`` again is the same player, on a new socket.
        """
        room = self._room
        seat = room.roster.find_key(join.key)
        if seat is not None and self._seat_again(seat, link, join.call):
            return None
        if join.seated_only:
            return nodes.NO_SUCH_PLACE
        if room.closed:
            return ErrorCode.NO_SUCH_ROOM
        seat = Seat(
            player=new_player(rng),
            link=link,
            secret=new_secret(rng),
            name=join.name,
            key=join.key,
            joined_seq=room.history.seq,
        )
        if (refusal := room.roster.add(seat)) is not None:
            return refusal
        if len(room.roster) >= room.codec.kind.starts:
            room.started = True
            room.raw_options = b""
        self._send_seated(seat, join.call, Unseen(room.history.seq, (), complete=True))
        room.inbox.put_control(Joined(seat.player))
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
        seat = check_ticket(room.roster, room.history.seq, request)
        if isinstance(seat, nodes.Refused):
            told = over(room.id, room.history, room.gone, request)
            for item in told:
                self._host.outbox(link, item)
            return None if told else seat
        unseen, state = self._unseen(seat, max(request.seen, seat.joined_seq))
        if room.roster.find(seat.player) is not seat:  # `picture` may kick the player
            return no_such_place(request.call)
        self._leave_socket(seat, same_socket=isinstance(request, nodes.Renew))
        rebind_seat(room.roster, seat, link, request, rng)
        for item in resumed(room.id, seat, request.call, unseen, state):
            self._host.outbox(link, item)
        return None

    def contested_seat(self, request: nodes.Join | nodes.Resume) -> Seat | None:
        """The live seat that ``request`` asks for, if the request may be older than its socket.

        A resume with the newest secret is not, since each resume changes the secret.
        """
        if isinstance(request, nodes.Join):
            seat = self._room.roster.find_key(request.key)
        else:
            seat = self._room.roster.find(request.player)
            if seat is None or not seat.accepts_previous(request.secret):
                return None
        return None if seat is None or seat.away else seat

    def confirm(self, link: LinkId, confirm: nodes.Confirm) -> None:
        """A player has the answer to their join or resume."""
        seat = self._host.binding.find(self._room.roster, link, confirm)
        if seat is not None:
            self._host.takeovers.confirm(seat)

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
        seconds = self._room.resume_seconds
        if self._host.cut_at is not None or not seat.confirmed:
            seconds = min(seconds, self._host.policy.drain_grace_seconds)
        if seconds <= 0 and not self._host.takeovers.waits(seat):
            self._room.release(seat, None)
            return None
        self._host.acks.remove(seat)
        self._room.roster.lose(seat, trio.current_time())
        self._host.disconnects.begin(self._room, seat, seconds)
        return seat

    def _seat_again(self, seat: Seat, link: LinkId, call: int) -> bool:
        """As a resume by a client that has seen nothing; False if the seat is gone meanwhile."""
        room = self._room
        unseen, state = self._unseen(seat, seat.joined_seq)
        if room.roster.find(seat.player) is not seat:  # `picture` may kick the player
            return False
        self._leave_socket(seat)
        room.roster.rebind(seat, link)
        seat.last_n = 0
        self._send_seated(seat, call, unseen, state)
        for item in replay(room.id, seat, unseen.messages):
            self._host.outbox(link, item)
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
            kind = self._room.codec.kind.name
            structlog.get_logger().error(
                "room.state_failed", room=self._room.id, kind=kind, exc_info=error
            )
            return b""
        return body

    def _send_seated(self, seat: Seat, call: int, unseen: Unseen, state: bytes = b"") -> None:
        room = self._room
        listed = room.roster.listed(seat, self._host.policy.listed_players)
        kind = room.codec.kind.name
        answer = seated(room.id, kind, seat, call, unseen=unseen, state=state, listed=listed)
        self._host.outbox(seat.link, answer)
