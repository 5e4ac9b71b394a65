"""Where one client stands: in no room, on its way into one, or in one.

Everything here is synchronous but :meth:`Session.wait_until_free`. The conversation brings the
frames in and takes what goes out, the relay brings what rooms say; :meth:`Session.gone` is told
when the conversation is over.

A place outlives the socket: whatever closes it, also a node that leaves, the client may resume
with its ticket. So a drain has nothing to wait for in a resume: one that comes while the node
leaves is moved at once, and one that was under way before is seated, as a join is, and stays until
its room ends or all are moved.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Protocol

import msgspec
import trio

from lastcall.api.sessions.client_connection import ClientConnection, ClientCounts
from lastcall.api.sessions.own_place import OwnPlace
from lastcall.api.socket.client_stream import ClientStream
from lastcall.api.socket.frame_builder import text_frame
from lastcall.core.edge.stale_inputs import StaleInputGuard
from lastcall.core.edge.token_bucket import TokenBucket
from lastcall.core.sequence import SequenceCheck
from lastcall.ids import PlayerId, RoomId, Ticket
from lastcall.policy import SocketPolicy
from lastcall.reasons import Close, EndReason, ErrorCode
from lastcall.wire import frames, nodes

__all__ = ["GameTier", "Session", "State"]

NO_TICKET = Ticket(RoomId(""), PlayerId(""), "")


class GameTier(Protocol):
    """What a session asks of the game tier; :class:`lastcall.api.games.games.Games`."""

    def join(self, session: Session, request: frames.Join) -> None:
        """Finds a seat: one of :meth:`Session.seated` and ``refused`` follows, now or later."""

    def resume(self, session: Session, ticket: Ticket, seen: int) -> None:
        """Finds the place again; ``seen`` is the last number the client has.

        Exactly one of :meth:`Session.resumed`, ``no_such_place``, ``not_found`` and
        ``bad_resume`` follows, now or later. A ticket without a room stands for a text that is
        none: there is no such place, but it counts as a guess.
        """

    def forget(self, session: Session) -> None:
        """The session is gone while its join or resume is under way."""


class State(enum.Enum):
    """Where a client stands."""

    FREE = "free"
    JOINING = "joining"
    RESUMING = "resuming"
    SEATED = "seated"
    GONE = "gone"


class Session(ClientConnection):
    """One client, and its place.

    ``address`` is where it comes from, as far as guesses are counted; "" if that is not known.
    """

    __slots__ = (
        "_freed",
        "_games",
        "_joins",
        "_regrouped_from",
        "_stale",
        "_unconfirmed",
        "address",
        "leaving",
        "place",
        "since",
        "state",
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
        super().__init__(output, policy, counts, hang_up)
        now = trio.current_time()
        self._stale = StaleInputGuard()
        self._freed: trio.Event | None = None
        self._games = games
        self._joins = TokenBucket(policy.burst_joins, policy.joins_per_second, now)
        self._regrouped_from: RoomId | None = None
        self._unconfirmed = False
        self.address = address
        self.leaving = False
        """The node drains: as soon as the client is in no room, it is moved."""
        self.place: OwnPlace | None = None
        self.state = State.FREE
        self.since = now
        """When it came to its present state (trio time)."""

    # From the client.

    def take(self, frame: frames.FromClient) -> None:
        """Does what the frame asks, or says why not."""
        match frame:
            case frames.Say():
                self._say(frame)
            case frames.Got():
                if self._stale.watched:
                    self._stale.got(frame.room, frame.seq)
                if self._unconfirmed:
                    self._confirm()
            case frames.Join():
                self._join(frame)
            case frames.Leave():
                self._leave()
            case frames.Resume():
                self._resume(frame)

    def _confirm(self) -> None:
        """The client speaks of its place, so it has the ticket; unless it is of a room before."""
        stale = self._stale.stale(trio.current_time())
        if self.place is not None and not stale:
            self._unconfirmed = False
            self.place.confirm()

    def _say(self, frame: frames.Say) -> None:
        if self.place is None:
            if not self._stale.forgiven:
                self.error(ErrorCode.NOT_IN_A_ROOM, "join a room before you say something", frame.n)
        elif self._stale.watched and self._stale.stale(trio.current_time()):
            pass  # said to the room of before: it crossed the second joined
        else:
            if self._unconfirmed:
                self._confirm()
            if self.place.say(frame.n, bytes(frame.d)) is SequenceCheck.GAP:
                self.strike(ErrorCode.BAD_FRAME, f"expected n={self.place.expected}", frame.n)

    def _join(self, request: frames.Join) -> None:
        if not (request.kind or request.room):
            self.strike(ErrorCode.BAD_FRAME, 'join: names a "kind" or a "room"')
        elif self.state is not State.FREE:
            self.error(ErrorCode.ALREADY_IN_A_ROOM, "leave your room before you join another")
        elif self.leaving:
            self.move_now()
        elif len(bytes(request.options)) > self._policy.options_bytes:
            limit = self._policy.options_bytes
            self.error(ErrorCode.TOO_BIG, f"options hold {limit} bytes at the most")
        elif not self._joins.take(trio.current_time()):
            self.error(ErrorCode.TOO_MANY, "too many joins; wait a second before the next")
        else:
            self._stale.join_asked()
            self._become(State.JOINING)
            self._games.join(self, request)

    def _resume(self, request: frames.Resume) -> None:
        if self.state is not State.FREE:
            self.error(ErrorCode.ALREADY_IN_A_ROOM, "resume on a socket that is in no room")
        elif self.leaving:
            self.move_now()
        elif not self._joins.take(trio.current_time()):
            self.error(ErrorCode.TOO_MANY, "too many resumes; wait a second before the next")
        else:
            self._stale.join_asked()
            self._become(State.RESUMING)
            self._games.resume(self, Ticket.read(request.ticket) or NO_TICKET, request.seen)

    def _leave(self) -> None:
        if self.place is not None:
            self.place.leave()
        elif self._regrouped_from is not None:
            self._games.forget(self)
            self.ended(self._regrouped_from, EndReason.LEFT)
        elif not self._stale.forgiven:
            self.error(ErrorCode.NOT_IN_A_ROOM, "there is no room to leave")

    # From the game tier.

    def seated(self, place: OwnPlace, news: nodes.Seated) -> None:
        """The join is answered with a place; for a session in a room, this one replaces it."""
        if self.place is not None:
            self.place.absent()
        again = self._regrouped_from is not None
        self._regrouped_from = None
        self._sit(place, news.room, news.seq, again=again)
        self.send(
            frames.Joined(
                room=news.room,
                kind=news.kind,
                you=news.player,
                seq=news.seq,
                ticket=str(Ticket(news.room, news.player, news.secret)),
                players=[frames.Player(player.id, player.name) for player in news.players],
            )
        )

    def resumed(self, place: OwnPlace, news: nodes.Resumed) -> None:
        """The place is found again; what the client has missed follows."""
        self._counts.resumed += 1
        self._sit(place, news.room, news.seq, again=False)
        self.send(
            frames.Resumed(
                room=news.room,
                seq=news.seq,
                n=news.n,
                ticket=str(Ticket(news.room, news.player, news.secret)),
                complete=news.complete,
                state=msgspec.Raw(news.state) if news.state else msgspec.UNSET,
            )
        )

    def _sit(self, place: OwnPlace, room: RoomId, seq: int, *, again: bool) -> None:
        self._stale.joined(room, seq, trio.current_time(), again=again)
        self.place = place
        self._unconfirmed = True
        self._become(State.SEATED)
        self.freed()

    def no_such_place(self) -> None:
        """Each game node has said that it does not know the place: final."""
        self.place = None
        self._become(State.FREE)
        self.freed()
        self.close(Close.NO_SUCH_PLACE, "no such place")

    def not_found(self) -> None:
        """Nobody could say whether there is such a place: the client tries again."""
        self._become(State.FREE)
        self.close(Close.TRY_AGAIN_LATER, "your place cannot be looked for now")

    def bad_resume(self, message: str) -> None:
        """The place is there, but what the client said of it cannot be; the socket stays free."""
        self._become(State.FREE)
        self.strike(ErrorCode.BAD_FRAME, message)
        if self.leaving:
            self.move_now()

    def refused(self, code: ErrorCode, message: str) -> None:
        """The join is answered with a no."""
        if self.state is State.GONE:
            return
        if self._regrouped_from is not None:
            self.ended(self._regrouped_from, EndReason.ABANDONED)
            return
        self._become(State.FREE)
        self.error(code, message)
        if self.leaving:
            self.move_now()

    def freed(self) -> None:
        """The room may have taken inputs, or is left: a session that was held may go on."""
        if self._freed is not None and not self.blocked:
            self._freed.set()
            self._freed = None

    def acked(self, n: int) -> None:
        """The room has every input up to ``n``."""
        self.send_built(text_frame(frames.ack(n)))

    def renewed(self) -> None:
        """Our link is back: the room's time to take more begins anew."""
        if self._freed is not None:
            self._freed.set()
            self._freed = None

    def ended(self, room: RoomId, reason: EndReason, result: bytes = b"") -> None:
        """The place is over. Inputs that cross this are dropped, until the next join."""
        self.place = None
        self._regrouped_from = None
        self._stale.left()
        self._become(State.FREE)
        self.freed()
        self.send(
            frames.Ended(room, reason, msgspec.Raw(result))
            if result
            else frames.Ended(room, reason)
        )
        if self.leaving:
            self.move_now()

    def regrouped(self, room: RoomId) -> None:
        """The room was given up before it had started; another is being sought.

        One of :meth:`seated` (the client gets a second ``joined``) and :meth:`refused` (its place
        ends as *abandoned*) follows. Inputs are dropped until the client has answered the second
        ``joined`` with ``got``, or for two seconds: they were said to the room of before.
        """
        self.place = None
        self._regrouped_from = room
        self._stale.left()
        self._become(State.JOINING)
        self.freed()

    def taken_over(self) -> None:
        """A newer socket has this place now; the place is not told that this one goes."""
        self.place = None
        self._become(State.FREE)
        self.freed()
        self.close(Close.TAKEN_OVER, "taken over by a newer socket")

    # The conversation's driver.

    @property
    def blocked(self) -> bool:
        """Whether the room is so far behind that this socket must not be read."""
        return self.place is not None and self.place.full

    async def wait_until_free(self) -> None:
        """Waits while :attr:`held`; may be cancelled.

        Closes with 4101 after ``blocked_seconds``, unless the link is at fault and not the client:
        a suspended place is renewed, moved or lost before long. A leave that was kept back for so
        long goes to the room without what was said before.
        """
        while self.blocked:
            freed = self._freed = trio.Event()
            with trio.move_on_after(self._policy.blocked_seconds):
                await freed.wait()
            if freed.is_set() or self.place is None or self.place.suspended:
                continue
            if self.place.leaving:
                self.place.give_up()
            else:
                self.close(Close.TOO_MANY_MESSAGES, "more than the room takes")
                return

    def gone(self) -> None:
        """The socket is no more: the room, or whoever looks for one, is told. Called once."""
        if self.state in {State.JOINING, State.RESUMING}:
            self._games.forget(self)
        elif self.place is not None:
            self.place.absent(moved=self.close_code == Close.SERVICE_RESTART)
        self.place = None
        self._become(State.GONE)

    def _become(self, state: State) -> None:
        self.state = state
        self.since = trio.current_time()
