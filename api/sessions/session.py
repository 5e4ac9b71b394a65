"""One client's place: none, one that is being sought, or one in a room.

Everything here is synchronous but :meth:`Session.wait_unblocked`. The client's frames come in
through :meth:`Session.hear`; the game tier and the relay call the rest. The table below says which
event may follow which; one that it does not know is a bug, raises and changes nothing.

A place outlives its socket: whatever closes the socket, the client may resume with its ticket. So
a drain does not wait for a resume: one that comes while the node drains is moved at once. One that
was under way before is seated, as a join is, and stays until its room ends or all are moved.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from types import MappingProxyType
from typing import Protocol

import msgspec
import trio

from lastcall.api.sessions.client_connection import ClientConnection, ClientCounts
from lastcall.api.socket.client_stream import ClientStream
from lastcall.core.edge.input_window import InputWindow
from lastcall.core.edge.stale_inputs import StaleInputGuard
from lastcall.core.edge.token_bucket import TokenBucket
from lastcall.core.sequence import SequenceCheck
from lastcall.errors import WrongEvent
from lastcall.ids import PlayerId, RoomId, Ticket
from lastcall.policy import SocketPolicy
from lastcall.reasons import Close, EndReason, ErrorCode
from lastcall.wire import frames, nodes

NO_TICKET = Ticket(RoomId(""), PlayerId(""), "")


class State(enum.Enum):
    """Where a client stands."""

    FREE = "free"
    JOINING = "joining"
    RESUMING = "resuming"
    SEATED = "seated"
    REGROUPING = "regrouping"
    """Its room was given up before the start, and another one is being sought."""
    GONE = "gone"


class Event(enum.Enum):
    """What may happen to a session."""

    JOIN = "join"
    RESUME = "resume"
    PLACED = "placed"
    NO_PLACE = "no place"
    """The join or the resume has failed, or the place is over."""
    REGROUPED = "regrouped"
    CLOSED = "closed"


TABLE = MappingProxyType(
    {
        State.FREE: {
            Event.JOIN: State.JOINING,
            Event.RESUME: State.RESUMING,
            Event.CLOSED: State.GONE,
        },
        State.JOINING: {
            Event.PLACED: State.SEATED,
            Event.NO_PLACE: State.FREE,
            Event.CLOSED: State.GONE,
        },
        State.RESUMING: {
            Event.PLACED: State.SEATED,
            Event.NO_PLACE: State.FREE,
            Event.CLOSED: State.GONE,
        },
        State.SEATED: {
            Event.PLACED: State.SEATED,  # another place, in exchange for this one
            Event.NO_PLACE: State.FREE,
            Event.REGROUPED: State.REGROUPING,
            Event.CLOSED: State.GONE,
        },
        State.REGROUPING: {
            Event.PLACED: State.SEATED,
            Event.NO_PLACE: State.FREE,
            Event.CLOSED: State.GONE,
        },
        State.GONE: {},
    }
)


class GameTier(Protocol):
    """What a session asks of the game tier; :class:`lastcall.api.games.games.Games`."""

    def join(self, session: Session, request: frames.Join) -> None:
        """Finds a seat: one of :meth:`Session.seated` and ``refused`` follows, now or later."""

    def resume(self, session: Session, ticket: Ticket, seen: int) -> None:
        """Finds the place again; ``seen`` is the last number the client has.

        Exactly one of :meth:`Session.resumed`, ``no_such_place``, ``not_found`` and
        ``bad_resume`` follows, now or later. A ticket without a room stands for a text that is
        not a ticket: there is no such place, but the resume counts as a failed one.
        """

    def forget(self, session: Session) -> None:
        """The session is gone while its join or resume is under way."""


class OwnPlace(Protocol):
    """A place as its session sees it; :class:`lastcall.api.sessions.place.Place`, which imports
    this module.
    """

    window: InputWindow
    confirmed: bool

    def say(self, n: int, body: bytes) -> SequenceCheck:
        """Passes an input on, if it is the next."""

    def confirm(self) -> None:
        """The client has shown that it has its ticket: its first frame about the place is here."""

    def leave(self) -> None:
        """Gives the seat up once the room has all inputs; the window is full until then."""

    def blocked_too_long(self) -> None:
        """The room has taken too little for ``blocked_seconds``."""

    def socket_closed(self, *, moved: bool) -> None:
        """The socket is gone; a client that was ``moved`` comes back and sends all again."""


class Session:
    """One client and its place.

    ``address`` is the client's, for the limit on failed resumes; "" if it is not known.
    """

    __slots__ = (
        "_games",
        "_joins",
        "_policy",
        "_stale",
        "_unblocked",
        "address",
        "connection",
        "draining",
        "place",
        "state",
        "state_since",
    )

    def __init__(
        self,
        output: ClientStream,
        games: GameTier,
        policy: SocketPolicy,
        counts: ClientCounts,
        hang_up: Callable[[], None],
        *,
        address: str = "",
    ) -> None:
        now = trio.current_time()
        self._games = games
        self._joins = TokenBucket(policy.burst_joins, policy.joins_per_second, now)
        self._policy = policy
        self._stale = StaleInputGuard()
        self._unblocked: trio.Event | None = None
        self.address = address
        self.connection = ClientConnection(output, policy, counts, hang_up)
        self.draining = False
        """The node drains: the client is moved as soon as it is in no room."""
        self.place: OwnPlace | None = None
        self.state = State.FREE
        self.state_since = now
        """When it came to its present state (trio time)."""

    # From the client.

    def hear(self, message: str | bytes, now: float) -> bool:
        """Takes a message of the client; returns whether it can take another one now.

        Whatever is wrong with the message is answered, and nothing is raised. ``now`` is trio's
        time, which the caller reads once for many messages.
        """
        match self.connection.read(message, now):
            case frames.Say() as frame:
                self._say(frame)
            case frames.Got() as frame:
                if self._stale.watched:
                    self._stale.got(frame.room, frame.seq)
                if self.place is not None and not self.place.confirmed:
                    self._confirm(self.place)
            case frames.Join() as frame:
                self._join(frame)
            case frames.Leave():
                self._leave()
            case frames.Resume() as frame:
                self._resume(frame)
        place = self.place
        return self.connection.close_code is None and (place is None or not place.window.full)

    def _confirm(self, place: OwnPlace) -> None:
        """A frame about a place shows that the client has its ticket, unless the frame is stale."""
        if not self._stale.stale(trio.current_time()):
            place.confirm()

    def _say(self, frame: frames.Say) -> None:
        place = self.place
        if place is None:
            if not self._stale.forgiven:
                message = "join a room before you say something"
                self.connection.error(ErrorCode.NOT_IN_A_ROOM, message, frame.n)
        elif self._stale.watched and self._stale.stale(trio.current_time()):
            pass  # it was meant for the previous room, and crossed the second joined
        else:
            if not place.confirmed:
                self._confirm(place)
            if place.say(frame.n, bytes(frame.d)) is SequenceCheck.GAP:
                expected = place.window.last + 1
                self.connection.strike(ErrorCode.BAD_FRAME, f"expected n={expected}", frame.n)

    def _join(self, request: frames.Join) -> None:
        if not (request.kind or request.room):
            self.connection.strike(ErrorCode.BAD_FRAME, 'join: names a "kind" or a "room"')
        elif self._begins(
            Event.JOIN, "leave your room before you join another", bytes(request.options)
        ):
            self._games.join(self, request)

    def _resume(self, request: frames.Resume) -> None:
        if self._begins(Event.RESUME, "resume on a socket that is in no room"):
            self._games.resume(self, Ticket.read(request.ticket) or NO_TICKET, request.seen)

    def _begins(self, event: Event, otherwise: str, options: bytes = b"") -> bool:
        """Begins a join or a resume; if the client may not ask now, it is told so or moved."""
        connection, limit = self.connection, self._policy.options_bytes
        if event not in TABLE[self.state]:
            connection.error(ErrorCode.ALREADY_IN_A_ROOM, otherwise)
        elif self.draining:
            connection.move_now()
        elif len(options) > limit:
            connection.error(ErrorCode.TOO_BIG, f"options hold {limit} bytes at the most")
        elif not self._joins.take(trio.current_time()):
            message = f"too many {event.value}s; wait a second before the next"
            connection.error(ErrorCode.TOO_MANY, message)
        else:
            self._stale.join_requested()
            self._on(event)
            return True
        return False

    def _leave(self) -> None:
        if self.place is not None:
            self.place.leave()
        elif self.state is State.REGROUPING:
            self._games.forget(self)
            self.ended(self._stale.room, EndReason.LEFT)
        elif not self._stale.forgiven:
            self.connection.error(ErrorCode.NOT_IN_A_ROOM, "there is no room to leave")

    # From the game tier.

    def seated(self, place: OwnPlace, news: nodes.Seated) -> None:
        """The join is answered with a place; for a session in a room, this one replaces it."""
        if self.place is not None:
            self.place.socket_closed(moved=False)
        self._placed(place, news.room, news.seq)
        self.connection.send(
            frames.Joined(
                room=news.room,
                kind=news.kind,
                you=news.player,
                seq=news.seq,
                ticket=str(Ticket(news.room, news.player, news.secret)),
                players=[frames.Player(player.id, player.name) for player in news.players],
                complete=msgspec.UNSET if news.complete else False,
                state=msgspec.Raw(news.state) if news.state else msgspec.UNSET,
            )
        )

    def resumed(self, place: OwnPlace, news: nodes.Resumed) -> None:
        """The place is found again; what the client has missed follows."""
        self.connection.counts.resumed += 1
        self._placed(place, news.room, news.seq)
        self.connection.send(
            frames.Resumed(
                room=news.room,
                seq=news.seq,
                n=news.n,
                ticket=str(Ticket(news.room, news.player, news.secret)),
                complete=news.complete,
                state=msgspec.Raw(news.state) if news.state else msgspec.UNSET,
            )
        )

    def _placed(self, place: OwnPlace, room: RoomId, seq: int) -> None:
        again = self.state is State.REGROUPING
        self._on(Event.PLACED, place)
        self._stale.joined(room, seq, trio.current_time(), again=again)

    def no_such_place(self) -> None:
        """Each game node has said that it does not know the place: final."""
        self._on(Event.NO_PLACE)
        self.connection.close(Close.NO_SUCH_PLACE, "no such place")

    def not_found(self) -> None:
        """No game node could say whether there is such a place: the client tries again."""
        self._on(Event.NO_PLACE)
        self.connection.close(Close.TRY_AGAIN_LATER, "your place cannot be looked for now")

    def bad_resume(self, message: str) -> None:
        """The place exists, but the resume cannot be right; the socket stays open, and free."""
        self._on(Event.NO_PLACE)
        self.connection.strike(ErrorCode.BAD_FRAME, message)
        if self.draining:
            self.connection.move_now()

    def refused(self, code: ErrorCode, message: str) -> None:
        """The join is refused. A socket that has gone meanwhile need not know."""
        if self.state is State.REGROUPING:
            self.ended(self._stale.room, EndReason.ABANDONED)
        elif self.state is not State.GONE:
            self._on(Event.NO_PLACE)
            self.connection.error(code, message)
            if self.draining:
                self.connection.move_now()

    def ended(self, room: RoomId, reason: EndReason, result: bytes = b"") -> None:
        """The place is over. Inputs that cross this are dropped, until the next join."""
        self._on(Event.NO_PLACE)
        self._stale.place_over()
        ended = frames.Ended(room, reason)
        if result:
            ended = frames.Ended(room, reason, msgspec.Raw(result))
        self.connection.send(ended)
        if self.draining:
            self.connection.move_now()

    def regrouped(self) -> None:
        """The room was given up before it had started; another is being sought.

        One of :meth:`seated` (the client gets a second ``joined``) and :meth:`refused` (its place
        ends as *abandoned*) follows. Inputs are dropped until the client has answered the second
        ``joined`` with ``got``, or for two seconds: they were meant for the previous room.
        """
        self._on(Event.REGROUPED)
        self._stale.place_over()

    def taken_over(self) -> None:
        """A newer socket has this place now; the place is not told that this one goes."""
        self._on(Event.NO_PLACE)
        self.connection.close(Close.TAKEN_OVER, "taken over by a newer socket")

    # From the gateway, and the end.

    def wake(self) -> None:
        """Ends or restarts the wait of :meth:`wait_unblocked`."""
        if self._unblocked is not None:
            self._unblocked.set()
            self._unblocked = None

    async def wait_unblocked(self) -> None:
        """Waits while the room is so far behind that this socket must not be read.

        May be cancelled. After each ``blocked_seconds`` without a wake the place decides.
        """
        while (place := self.place) is not None and place.window.full:
            unblocked = self._unblocked = trio.Event()
            with trio.move_on_after(self._policy.blocked_seconds):
                await unblocked.wait()
            if not unblocked.is_set() and self.place is not None:
                self.place.blocked_too_long()
                if self.connection.close_code is not None:
                    return

    def closed(self) -> None:
        """The socket is closed: the room hears so, or whoever seeks one does. Called once."""
        place, was = self.place, self.state
        self._on(Event.CLOSED)
        if place is not None:
            place.socket_closed(moved=self.connection.close_code == Close.SERVICE_RESTART)
        elif was is not State.FREE:
            self._games.forget(self)

    def _on(self, event: Event, place: OwnPlace | None = None) -> None:
        """Takes the table's step; from then on the client has ``place``, or none."""
        if event not in TABLE[self.state]:
            raise WrongEvent(f"a session that is {self.state.value} cannot take {event.value!r}")
        self.state = TABLE[self.state][event]
        self.state_since = trio.current_time()
        self.place = place
        self.wake()
