"""One client's session: in no room, joining or resuming, or in a room.

Everything here is synchronous but :meth:`Session.wait_unblocked`. The client's frames come in
through :meth:`Session.hear`; the game tier and the relay call the rest.
:mod:`lastcall.api.sessions.states` says which event may follow which.

A place outlives its socket: whatever closes the socket, the client may resume with its ticket. So
a drain does not wait for a resume: one that comes while the node drains is moved at once. One that
was under way before is seated, as a join is, and stays until its room ends or all are moved.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import msgspec
import trio

from lastcall.api.limits import ClientLimits
from lastcall.api.sessions.client_connection import ClientConnection, ClientCounts
from lastcall.api.sessions.guest import Guest
from lastcall.api.sessions.place_frames import joined, resumed
from lastcall.api.sessions.states import TABLE, Event, State
from lastcall.api.socket.client_stream import ClientStream
from lastcall.core.edge.input_window import InputWindow
from lastcall.core.edge.stale_inputs import StaleInputGuard
from lastcall.core.edge.token_bucket import TokenBucket
from lastcall.errors import WrongEvent
from lastcall.ids import Incarnation, PlayerId, RoomId, Ticket
from lastcall.policy import SocketPolicy
from lastcall.reasons import Close, EndReason, ErrorCode
from lastcall.wire import frames, nodes

ANONYMOUS = Guest()
NO_TICKET = Ticket(RoomId(""), PlayerId(""), "")
CLOSES = {
    Close.NO_SUCH_PLACE: "no such place",
    Close.TRY_AGAIN_LATER: "your place cannot be looked for now",
    Close.TAKEN_OVER: "taken over by a newer socket",
}
"""How :meth:`Session.lose` ends a socket, and the reason that the client usually reads."""
ONE_ROOM = {
    Event.JOIN: "leave your room before you join another",
    Event.RESUME: "resume on a socket that is in no room",
}


class GameTier(Protocol):
    """The game tier, as a session uses it; :class:`lastcall.api.games.games.Games`."""

    def join(self, session: Session, request: frames.Join) -> None:
        """Finds a seat: one of :meth:`Session.placed` and ``refused`` follows, now or later."""

    def resume(self, session: Session, ticket: Ticket, seen: int) -> None:
        """Finds the place again; ``seen`` is the last number the client has.

        Exactly one of :meth:`Session.placed`, ``lose`` and ``refused`` follows, now or later. A
        ticket without a room stands for a text that is not a ticket: there is no such place, but
        the resume counts as a failed one.
        """

    def forget(self, session: Session) -> None:
        """The session is gone while its join or resume is under way."""


class OwnPlace(Protocol):
    """A place as its session sees it; :class:`lastcall.api.sessions.place.Place`, which imports
    this module.
    """

    window: InputWindow
    confirmed: bool

    @property
    def owner(self) -> Incarnation:
        """The game process that has its room."""

    def say(self, n: int, body: bytes) -> bool:
        """Passes an input on if it is the next; returns whether it is."""

    def confirm(self) -> None:
        """The client has shown that it has its ticket: its first frame about the place is here."""

    def leave(self, *, at_once: bool = False) -> None:
        """Gives the seat up once the room has all inputs; the window is full until then."""

    def blocked_too_long(self) -> None:
        """The room has taken too little for ``blocked_seconds``."""

    def socket_closed(self, *, moved: bool) -> None:
        """The socket is gone; a client that was ``moved`` comes back and sends all again."""


class Session:
    """One client and its place; ``guest`` is who the client is, ``limits`` count what it does."""

    __slots__ = (
        "_games",
        "_joins",
        "_limits",
        "_policy",
        "_stale",
        "_unblocked",
        "connection",
        "draining",
        "guest",
        "leaving",
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
        limits: ClientLimits,
        guest: Guest = ANONYMOUS,
    ) -> None:
        now = trio.current_time()
        self._games = games
        self._joins = TokenBucket(policy.limits.joins_per_client, now)
        self._limits = limits
        self._policy = policy
        self._stale = StaleInputGuard()
        self._unblocked: trio.Event | None = None
        self.guest = guest
        self.connection = ClientConnection(output, policy, counts, hang_up)
        self.draining = False
        """The node drains: the client is moved as soon as it is in no room."""
        self.leaving = False
        """The client gives up the place that it is about to get."""
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
                if self.place is not None and not self.place.confirmed:
                    self._stale.got(frame.room, frame.seq)
                    self._confirm(self.place)
            case frames.Join() as frame:
                self._begin(Event.JOIN, frame)
            case frames.Leave():
                self._leave()
            case frames.Resume() as frame:
                self._begin(Event.RESUME, frame)
        if self.connection.close_code is not None:
            return self.connection.last_words
        return (place := self.place) is None or not place.window.full

    def _confirm(self, place: OwnPlace) -> bool:
        """A frame about a place shows that the client has its ticket, unless the frame is stale;
        returns whether it shows that.
        """
        if self._stale.stale(trio.current_time()):
            return False
        place.confirm()
        return True

    def _say(self, frame: frames.Say) -> None:
        place = self.place
        if place is None:
            if not self._stale.forgiven:
                message = "join a room before you say something"
                self.connection.error(ErrorCode.NOT_IN_A_ROOM, message, frame.n)
        elif not (place.confirmed or self._confirm(place)):
            pass  # it was meant for the previous room, and crossed the second joined
        elif not place.say(frame.n, bytes(frame.d)) and frame.n > (last := place.window.last):
            self.connection.strike(ErrorCode.BAD_FRAME, f"expected n={last + 1}", frame.n)

    def _begin(self, event: Event, request: frames.Join | frames.Resume) -> None:
        """Begins a join or a resume; if the client may not ask now, it is told so or moved."""
        connection, limit = self.connection, self._policy.options_bytes
        join = request if isinstance(request, frames.Join) else None
        if join and not (join.kind or join.room):
            connection.strike(ErrorCode.BAD_FRAME, 'join: names a "kind" or a "room"')
        elif event not in TABLE[self.state]:
            connection.error(ErrorCode.ALREADY_IN_A_ROOM, ONE_ROOM[event])
        elif self.draining:
            connection.move_now()
        elif join and len(bytes(join.options)) > limit:
            connection.error(ErrorCode.TOO_BIG, f"options hold {limit} bytes at the most")
        elif not self._limits.may_ask(self.guest, self._joins, join=join is not None):
            message = f"too many {event.value}s; wait a second before the next"
            connection.error(ErrorCode.TOO_MANY, message)
        else:
            self._stale.join_requested()
            self._on(event)
            if isinstance(request, frames.Join):
                self._games.join(self, request)
            else:
                self._games.resume(self, Ticket.read(request.ticket) or NO_TICKET, request.seen)

    def _leave(self) -> None:
        if self.place is not None:
            self.place.leave(at_once=self.connection.last_words)
        elif self.state is State.REGROUPING:
            self.leaving = True  # so that a seat that is found by now is not kept
            self._games.forget(self)
            self.ended(self._stale.room, EndReason.LEFT)
        elif self.state in {State.JOINING, State.RESUMING}:
            self.leaving = True
        elif not self._stale.forgiven:
            self.connection.error(ErrorCode.NOT_IN_A_ROOM, "there is no room to leave")

    # From the game tier.

    def placed(self, place: OwnPlace, news: nodes.Seated | nodes.Resumed) -> None:
        """The join or the resume has a place; for a session in a room, it replaces its place.

        The messages that a resumed client has missed follow.
        """
        if self.place is not None:
            self.place.socket_closed(moved=False)
        again = self.state is State.REGROUPING
        if self.state is State.JOINING:
            self.connection.counts.joined += 1
        self._on(Event.PLACED, place)
        self._stale.joined(news.room, news.seq, trio.current_time(), again=again)
        if isinstance(news, nodes.Seated):
            self.connection.send(joined(news))
        else:
            self.connection.counts.resumed += 1
            self.connection.send(resumed(news))
        if self.leaving:
            self.leaving = False
            place.leave()

    def lose(self, close: Close, why: str = "") -> None:
        """The client has no place: closes its socket with one of :data:`CLOSES`, and ``why``.

        4004: each game node has said that it does not know the place; final. 1013: none could say
        so, and the client tries again. 4005: a newer socket has the place, which is not told.
        """
        self._on(Event.NO_PLACE)
        self.connection.close(close, why or CLOSES[close])

    def refused(self, code: ErrorCode, message: str) -> None:
        """The join is refused, or the place exists but the resume cannot be right.

        The socket stays open. A client that is gone by now is told nothing.
        """
        if self.state is State.REGROUPING:
            self.ended(self._stale.room, EndReason.ABANDONED)
        elif self.state is not State.GONE:
            connection = self.connection
            tell = connection.strike if self.state is State.RESUMING else connection.error
            self._on(Event.NO_PLACE)
            tell(code, message)
            if self.draining:
                self.connection.move_now()

    def ended(self, room: RoomId, reason: EndReason, result: bytes = b"") -> None:
        """The place is over. Inputs that cross this are dropped, until the next join."""
        self._on(Event.NO_PLACE)
        self._stale.place_over()
        self.connection.counts.places_ended[reason] += 1
        ended = frames.Ended(room, reason)
        if result:
            ended = frames.Ended(room, reason, msgspec.Raw(result))
        self.connection.send(ended)
        if self.draining:
            self.connection.move_now()

    def regrouped(self) -> None:
        """The room was given up before it had started; the node looks for another one.

        One of :meth:`placed` (the client gets a second ``joined``) and :meth:`refused` (its place
        ends as *abandoned*) follows. Inputs are dropped until the client has answered the second
        ``joined`` with ``got``, or for two seconds: they were meant for the previous room.
        """
        self._on(Event.REGROUPED)
        self._stale.place_over()

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
        """The socket is closed: tells the place, or ends a pending join or resume. Called once."""
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
        if event is Event.NO_PLACE:
            self.leaving = False
        self.state = TABLE[self.state][event]
        self.state_since = trio.current_time()
        self.place = place
        self.wake()
