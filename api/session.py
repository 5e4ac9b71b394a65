"""One client's side of the protocol: frames in, frames out, and where it stands.

Everything here is synchronous but :meth:`Session.wait_until_free`; the gateway brings the frames
in, the relay brings what rooms say, and the outlet takes what goes out. Nothing here closes a
stream or ends a task: :meth:`Session.close` says the close frame and asks the gateway to hang up,
and :meth:`Session.gone` is told when that is done. So a room's fan-out may find a client too slow
in the middle of its loop without a place vanishing under it.

A place outlives the socket: whatever closes it, also a node that leaves, the client may resume
with its ticket. So a drain has nothing to wait for in a resume: one that comes while the node
leaves is moved at once, and one that was under way before is seated, as a join is, and stays until
its room ends or all are moved.
"""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Callable
from typing import Protocol

import msgspec
import trio

from api.outlet import Outlet, text_frame
from rooms.core.crossing import Crossing
from rooms.core.delivery import Verdict
from rooms.core.throttle import Bucket
from rooms.errors import BadFrame
from rooms.ids import PlayerId, RoomId, Ticket
from rooms.policy import SocketPolicy
from rooms.reasons import RETRY, Close, EndReason, ErrorCode
from rooms.wire import frames, nodes

__all__ = ["LOST", "Counts", "Games", "Seat", "Session", "State"]

LOST = 1006
"""Stands for a socket that ended without a close frame (RFC 6455 §7.1.5)."""
STRIKES = 3
NO_TICKET = Ticket(RoomId(""), PlayerId(""), "")


class Seat(Protocol):
    """A session's end of its place in a room; :class:`api.relay.Place`."""

    @property
    def full(self) -> bool:
        """Whether the room is so far behind that no more should be said."""

    @property
    def suspended(self) -> bool:
        """Whether it is our own link that holds the inputs back, and not the room."""

    @property
    def expected(self) -> int:
        """The number of the next input."""

    def say(self, n: int, body: bytes) -> Verdict:
        """Passes an input on, if it is the next."""

    def leave(self) -> None:
        """Gives the place up."""

    def absent(self) -> None:
        """The socket is gone."""

    def confirm(self) -> None:
        """The client has shown that it has its ticket: its first frame about the place has come."""


class Games(Protocol):
    """What a session asks of the game tier."""

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


class Counts(msgspec.Struct):
    """What an api node has done, for its metrics; ``closed`` by close code."""

    frames_in: int = 0
    frames_out: int = 0
    opened: int = 0
    refused: int = 0
    resumed: int = 0
    closed: Counter[int] = msgspec.field(default_factory=Counter)


class State(enum.Enum):
    """Where a client stands."""

    FREE = "free"
    JOINING = "joining"
    RESUMING = "resuming"
    SEATED = "seated"
    GONE = "gone"


class Session:
    """One client; ``hang_up`` ends its conversation, after the close frame.

    ``address`` is where it comes from, as far as guesses are counted; "" if that is not known.
    """

    __slots__ = (
        "_bucket",
        "_counts",
        "_crossing",
        "_freed",
        "_games",
        "_hang_up",
        "_joins",
        "_pinged_at",
        "_policy",
        "_regrouped_from",
        "_strikes",
        "_unconfirmed",
        "address",
        "close_code",
        "leaving",
        "output",
        "seat",
        "since",
        "state",
    )

    def __init__(
        self,
        output: Outlet,
        games: Games,
        policy: SocketPolicy,
        counts: Counts,
        hang_up: Callable[[], None],
        *,
        address: str = "",
    ) -> None:
        now = trio.current_time()
        self._bucket = Bucket(policy.burst_frames, policy.frames_per_second, now)
        self._counts = counts
        self._crossing = Crossing()
        self._freed: trio.Event | None = None
        self._games = games
        self._hang_up = hang_up
        self._joins = Bucket(policy.burst_joins, policy.joins_per_second, now)
        self._pinged_at = 0.0
        self._policy = policy
        self._regrouped_from: RoomId | None = None
        self._strikes = 0
        self._unconfirmed = False
        self.address = address
        self.output = output
        self.close_code: int | None = None
        """The code that ended the conversation; 1006 for a lost socket."""
        self.leaving = False
        """The node drains: as soon as the client is in no room, it is moved."""
        self.seat: Seat | None = None
        self.state = State.FREE
        self.since = now
        """When it came to its present state (trio time)."""

    # From the client.

    def hear(self, text: str) -> bool:
        """Takes a message as :meth:`handle` does; returns whether it can take one more now."""
        if self.close_code is not None:
            return False
        self.handle(text)
        return self.close_code is None and not self.held

    def handle(self, message: str | bytes) -> None:
        """Takes one message; whatever is wrong with it is told, and raises nothing."""
        self._counts.frames_in += 1
        if not self._bucket.take(trio.current_time()):
            self.error(ErrorCode.TOO_MANY, "too many frames; slow down and reconnect")
            self.close(Close.TOO_MANY_MESSAGES, "too many frames")
        elif isinstance(message, bytes):
            self.close(Close.UNSUPPORTED, "text frames only")
        elif self._too_big(message):
            self.close(Close.TOO_BIG, f"a frame holds {self._policy.frame_bytes} bytes")
        else:
            try:
                frame = frames.decode(message)
            except BadFrame as bad:
                self._strike(ErrorCode(bad.code), str(bad))
            else:
                self._take(frame)

    def _too_big(self, message: str) -> bool:
        """The library counts characters; ``isascii`` is a look at a flag, so this is cheap."""
        return not message.isascii() and len(message.encode()) > self._policy.frame_bytes

    def _take(self, frame: frames.FromClient) -> None:
        match frame:
            case frames.Say():
                self._say(frame)
            case frames.Got():
                self._crossing.got(frame.room, frame.seq)
                self._confirm()
            case frames.Join():
                self._join(frame)
            case frames.Leave():
                self._leave()
            case frames.Resume():
                self._resume(frame)

    def _confirm(self) -> None:
        """The client speaks of its place, so it has the ticket; unless it is of a room before."""
        stale = self._crossing.stale(trio.current_time())
        if self._unconfirmed and self.seat is not None and not stale:
            self._unconfirmed = False
            self.seat.confirm()

    def _say(self, frame: frames.Say) -> None:
        if self.seat is None:
            if not self._crossing.forgiven:
                self.error(ErrorCode.NOT_IN_A_ROOM, "join a room before you say something", frame.n)
        elif self._crossing.watched and self._crossing.stale(trio.current_time()):
            pass  # said to the room of before: it crossed the second joined
        else:
            if self._unconfirmed:
                self._confirm()
            if self.seat.say(frame.n, bytes(frame.d)) is Verdict.GAP:
                self._strike(ErrorCode.BAD_FRAME, f"expected n={self.seat.expected}", frame.n)

    def _join(self, request: frames.Join) -> None:
        if not (request.kind or request.room):
            self._strike(ErrorCode.BAD_FRAME, 'join: names a "kind" or a "room"')
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
            self._crossing.join_asked()
            self._become(State.JOINING)
            self._games.join(self, request)

    def _resume(self, request: frames.Resume) -> None:
        if self.state is not State.FREE:
            self.error(ErrorCode.ALREADY_IN_A_ROOM, "resume on a socket that is in no room")
        elif self.leaving:
            self.move_now()
        elif not self._joins.take(trio.current_time()):
            self.error(ErrorCode.TOO_MANY, "too many resumes; wait a second before the next")
        elif self.close_code is None:  # else a place would come to a socket that ends
            self._crossing.join_asked()
            self._become(State.RESUMING)
            self._games.resume(self, Ticket.read(request.ticket) or NO_TICKET, request.seen)

    def _leave(self) -> None:
        if self.seat is not None:
            self.seat.leave()
        elif self._regrouped_from is not None:
            self._games.forget(self)
            self.ended(self._regrouped_from, EndReason.LEFT)
        else:
            self.error(ErrorCode.NOT_IN_A_ROOM, "there is no room to leave")

    def _strike(self, code: ErrorCode, message: str, n: int | None = None) -> None:
        self.error(code, message, n)
        self._strikes += 1
        if self._strikes == STRIKES:
            self.close(Close.BROKE_PROTOCOL, f"the third bad frame ({code})")

    # From the game tier.

    def seated(self, seat: Seat, news: nodes.Seated) -> None:
        """The join is answered with a place; for a session in a room, this one replaces it."""
        if self.seat is not None:
            self.seat.absent()
        again = self._regrouped_from is not None
        self._regrouped_from = None
        self._sit(seat, news.room, news.seq, again=again)
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

    def resumed(self, seat: Seat, news: nodes.Resumed) -> None:
        """The place is found again; what the client has missed follows."""
        self._counts.resumed += 1
        self._sit(seat, news.room, news.seq, again=False)
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

    def _sit(self, seat: Seat, room: RoomId, seq: int, *, again: bool) -> None:
        self._crossing.joined(room, seq, trio.current_time(), again=again)
        self.seat = seat
        self._unconfirmed = True
        self._become(State.SEATED)
        self.freed()

    def no_such_place(self) -> None:
        """Each game node has said that it does not know the place: final."""
        self.seat = None
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
        self._strike(ErrorCode.BAD_FRAME, message)
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
        if self._freed is not None and not self.held:
            self._freed.set()
            self._freed = None

    def acked(self, n: int) -> None:
        """The room has every input up to ``n``."""
        self.send(frames.Ack(n))
        self.freed()

    def renewed(self) -> None:
        """Our link is back: the room's time to take more begins anew."""
        if self._freed is not None:
            self._freed.set()
            self._freed = None

    def ended(self, room: RoomId, reason: EndReason, result: bytes = b"") -> None:
        """The place is over. Inputs that cross this are dropped, until the next join."""
        self.seat = None
        self._regrouped_from = None
        self._crossing.left()
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
        self.seat = None
        self._regrouped_from = room
        self._crossing.left()
        self._become(State.JOINING)
        self.freed()

    def taken_over(self) -> None:
        """A newer socket has this place now; the place is not told that this one goes."""
        self.seat = None
        self._become(State.FREE)
        self.freed()
        self.close(Close.TAKEN_OVER, "taken over by a newer socket")

    # To the client.

    def send(self, frame: frames.FromServer) -> None:
        """Sends a frame to this client alone."""
        self.send_built(text_frame(frames.encode(frame)))

    def send_built(self, frame: bytes) -> None:
        """Sends a WebSocket frame that was built once for many."""
        self._counts.frames_out += 1
        self.output.send_nowait(frame)

    def error(self, code: ErrorCode, message: str, n: int | None = None) -> None:
        """Says what is wrong; ``n`` where a say did it."""
        number = msgspec.UNSET if n is None else n
        self.send(frames.Error(code, message, retry=code in RETRY, n=number))

    def move(self, after_seconds: float) -> None:
        """Announces the move; :meth:`close` with 1012 is the mover's to call in time."""
        self.send(frames.Move(round(after_seconds, 3)))

    def move_now(self) -> None:
        """Moves the client at once."""
        self.move(0)
        self.close(Close.SERVICE_RESTART, "this node is leaving")

    def close(self, code: Close, reason: str = "") -> None:
        """Says the close frame and hangs up; the first code counts, a second call does nothing."""
        if self.close_code is None:
            self.close_code = int(code)
            self.output.say_close(code, reason)
            self._hang_up()

    def too_slow(self) -> None:
        """The client does not read."""
        self.close(Close.SLOW_READER, "too slow a reader")

    def tick(self, now: float) -> None:
        """What the clock asks for, about once a second: a beat, a ping, or to give it up."""
        policy, output = self._policy, self.output
        if now - output.sent_at >= policy.beat_seconds:
            self.send(frames.Beat())
        if now - output.heard_at < policy.ping_seconds:
            return
        if self._pinged_at <= output.heard_at:
            self._pinged_at = now
            output.ping()
        elif now - self._pinged_at >= policy.pong_seconds and self.close_code is None:
            self.close_code = LOST
            self._hang_up()

    # The conversation's driver.

    @property
    def held(self) -> bool:
        """Whether the room is so far behind that this socket must not be read."""
        return self.seat is not None and self.seat.full

    async def wait_until_free(self) -> None:
        """Waits while :attr:`held`; may be cancelled.

        Closes with 4101 after ``held_seconds``, unless the link is at fault and not the client: a
        suspended place is renewed, moved or lost before long.
        """
        while self.held:
            freed = self._freed = trio.Event()
            with trio.move_on_after(self._policy.held_seconds):
                await freed.wait()
            if not freed.is_set() and self.seat is not None and not self.seat.suspended:
                self.close(Close.TOO_MANY_MESSAGES, "more than the room takes")
                return

    def gone(self) -> None:
        """The socket is no more: the room, or whoever looks for one, is told. Called once."""
        if self.state in {State.JOINING, State.RESUMING}:
            self._games.forget(self)
        elif self.seat is not None:
            self.seat.absent()
        self.seat = None
        self._become(State.GONE)

    def _become(self, state: State) -> None:
        self.state = state
        self.since = trio.current_time()
