"""A player's place in a room: what is said there, what is heard there, and how it ends.

A place does not know sockets: it has a line (``line.py``) or, between two, none. Who dials is
``connection.py`` (one socket) or ``client.py`` (one after the other).
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
import trio

from lastcall.client.line import Line
from lastcall.client.values import Ended, InputRefused, Message, Picture, PlaceState
from lastcall.core.client.place_state import ResumeState
from lastcall.errors import ConnectionLost, MessageTooBig
from lastcall.ids import KindName, PlayerId, RoomId
from lastcall.policy import SocketPolicy
from lastcall.reasons import Close, EndReason
from lastcall.wire import frames
from lastcall.wire.frames import Player

__all__ = ["Carrier", "Place"]

INPUT_BYTES_MAX = SocketPolicy().frame_bytes
UNREAD_MAX = 1024
ERRORS_KEPT = 64
BACKLOG_MAX = 8


Carrier = Callable[["Place", PlaceState], None]
"""Is told each new state of a place whose socket it replaces when it is lost."""


class Place:
    """A seat in a room, from ``joined`` to its end, over one socket or many.

    Iterate it for the room's messages: the loop ends when the place has :attr:`ended`, and raises
    what :attr:`lost` holds when it is lost. Each message for this player comes exactly once and in
    order, over any number of sockets; only after an absence longer than the room's history comes a
    :class:`lastcall.client.Picture` instead of some. Up to 1024 messages wait to be read; beyond
    that the socket is not read, and a server closes it (4100): one who only speaks must still
    listen.

    A room that had not started may be **regrouped** while its node drains: the same place then
    is in another room, with another :attr:`you`, and :attr:`regroups` has gone up. What had not
    been read from the old room, and not been acknowledged by it, is dropped.

    An input that the room's kind refuses is no exception, since its answer comes when the caller
    is elsewhere: look at :attr:`refused` and :attr:`errors`.
    """

    __slots__ = (
        "_carrier",
        "_changed",
        "_heard",
        "_leaving",
        "_line",
        "_messages",
        "_read",
        "_standing",
        "_window",
        "away_seconds",
        "away_since",
        "ended",
        "errors",
        "incomplete",
        "kind",
        "lost",
        "node",
        "picture",
        "players",
        "refused",
        "regroups",
        "resumes",
        "state",
        "you",
    )

    def __init__(self, joined: frames.Joined, line: Line, carrier: Carrier | None = None) -> None:
        self._carrier = carrier
        self._heard = trio.lowlevel.ParkingLot()
        self._read = trio.lowlevel.ParkingLot()
        self._window = trio.lowlevel.ParkingLot()
        self._changed = trio.lowlevel.ParkingLot()
        self._messages: deque[Message | Picture] = deque()
        self._leaving = False
        self._line: Line | None = line
        self._standing = ResumeState(joined)
        self.state = PlaceState.HERE
        self.node = line.node
        """The api node that the place is, or was last, reached through."""
        self.ended: Ended | None = None
        """How the place ended; None until then, and when it is lost."""
        self.lost: ConnectionLost | None = None
        """Why the place is lost before its end."""
        self.errors: deque[InputRefused] = deque(maxlen=ERRORS_KEPT)
        """The last 64 inputs that were refused."""
        self.refused = 0
        """How many inputs were refused."""
        self.regroups = 0
        """How often this place was moved into another room."""
        self.resumes = 0
        """How often it was taken again on another socket."""
        self.incomplete = 0
        """How often the room's history was too short for an absence."""
        self.picture: Picture | None = None
        """What came instead, the last time."""
        self.away_since: float | None = None
        """When the socket was lost, by trio's clock; None while there is one."""
        self.away_seconds = 0.0
        """How long the last absence lasted, from the loss to ``resumed``."""
        self._sit(joined)

    def _sit(self, joined: frames.Joined) -> None:
        self.kind: KindName = joined.kind
        self.you: PlayerId = joined.you
        self.players: tuple[Player, ...] = tuple(joined.players)
        """Who had a seat when this place was taken, as the server told it."""
        self._post(self._standing.got())

    def __repr__(self) -> str:
        return f"<Place {self.you} in {self.room} ({self.kind}), seq {self.seq}, {self.state}>"

    @property
    def room(self) -> RoomId:
        """The room."""
        return self._standing.room

    @property
    def ticket(self) -> str:
        """The newest capability to take this place again: keep it to yourself."""
        return self._standing.ticket

    @property
    def seq(self) -> int:
        """The last number received, read or not."""
        return self._standing.seq

    @property
    def holes(self) -> int:
        """How many numbers were jumped over: other players' private messages."""
        return self._standing.holes

    @property
    def repeats(self) -> int:
        """Messages whose ``seq`` did not rise: the server's fault; they are dropped."""
        return self._standing.repeats

    @property
    def unacked(self) -> int:
        """How many inputs the room has not acknowledged yet."""
        return self._standing.inputs.last - self._standing.inputs.acked

    # For the player.

    def __aiter__(self) -> AsyncIterator[Message | Picture]:
        return self

    async def __anext__(self) -> Message | Picture:
        await trio.lowlevel.checkpoint_if_cancelled()
        while not self._messages:
            if self.ended is not None:
                raise StopAsyncIteration
            self._check_lost()
            await self._heard.park()
        self._read.unpark_all()
        return self._messages.popleft()

    async def say(self, value: object) -> None:
        """Says ``value``, which JSON can hold, to the room; it hears it exactly once.

        Waits while the place is away, and while 64 inputs are not acknowledged; cancelled there,
        nothing was said. After the end it is dropped in silence: nobody can know of the end in
        time. Raises :class:`lastcall.errors.ConnectionLost` (:class:`lastcall.errors.PlaceLost`)
        when the place is lost, :class:`lastcall.errors.MessageTooBig` over 64 KiB, and
        ``TypeError`` for what JSON cannot hold.
        """
        body = msgspec.json.encode(value)
        if len(body) > INPUT_BYTES_MAX - 64:
            raise MessageTooBig(
                f"an input of {len(body)} bytes; a frame holds {INPUT_BYTES_MAX} with its envelope"
            )
        await trio.lowlevel.checkpoint_if_cancelled()
        while self.open and (self._standing.inputs.full or self.state is PlaceState.AWAY):
            await self._window.park()
        if self.ended is None and not self._leaving:
            self._check_lost()
            self._post(self._standing.say(body))

    async def leave(self) -> None:
        """Gives the seat up, if away once it is back, and waits for the room's word on it;
        messages still to come are dropped. Does nothing after the end. Cancelled, it is given up.
        """
        self.leave_soon()
        await self.wait_over()

    def leave_soon(self) -> None:
        """Gives the seat up, without waiting."""
        if self.open:
            self._leaving = True
            self._post(frames.Leave())
            self._read.unpark_all()
            self._window.unpark_all()

    @property
    def open(self) -> bool:
        """Whether the seat is ours, here or away: not ended, not lost, not being left."""
        return self.state is not PlaceState.OVER and not self._leaving

    @property
    def leaving(self) -> bool:
        """Whether the seat is given up and the answer is still to come."""
        return self._leaving and self.state is not PlaceState.OVER

    async def wait_state(self, *states: PlaceState) -> PlaceState:
        """Returns when the place is in one of ``states``, or over, with the state it is in.

        An absence may be shorter than a task's sleep: who needs each change takes ``on_state``.
        """
        while self.state not in states and self.state is not PlaceState.OVER:
            await self._changed.park()
        return self.state

    async def wait_over(self) -> None:
        """Returns when the place has ended or is lost."""
        await self.wait_state(PlaceState.OVER)

    def _check_lost(self) -> None:
        if self.lost is not None:
            raise type(self.lost)(self.lost.code, self.lost.reason)

    # For who dials.

    def resume(self) -> frames.Resume:
        """What to say on another socket to have this place there."""
        return self._standing.resume()

    def take(self, frame: frames.FromServer, line: Line) -> None:
        """A frame for this place has come on ``line``; ``resumed`` takes the place there."""
        if self.state is PlaceState.OVER:
            return
        if line is not self._line:
            self._take_again(frame, line)
            return
        match frame:
            case frames.Message():
                self._on_message(frame)
            case frames.Ack(n):
                self._standing.inputs.ack(n)
                self._window.unpark_all()
            case frames.Error(code, message, retry, int(n)):
                self.refused += 1
                self.errors.append(InputRefused(n, code, message, retry))
            case frames.Ended():
                self._on_ended(frame)
            case frames.Joined():
                self._on_regrouped(frame)
            case _:
                pass

    def lose_line(self, line: Line, lost: ConnectionLost) -> None:
        """The socket is gone: the place is away, or without a carrier lost."""
        if line is not self._line:
            return
        self._line = None
        if self._carrier is None:
            self.lose(lost)
        elif self.state is not PlaceState.OVER:
            self.away_since = trio.current_time()
            self._enter(PlaceState.AWAY)

    def lose(self, lost: ConnectionLost) -> None:
        """The place is lost for good; or it was left, and only the answer to that is lost."""
        if self.state is PlaceState.OVER:
            return
        if self._leaving and lost.code == Close.NO_SUCH_PLACE:
            self.ended = Ended(EndReason.LEFT)
        else:
            self.lost = lost
        self._enter(PlaceState.OVER)

    async def wait_read(self) -> None:
        """Returns when there is space for more messages."""
        while len(self._messages) >= UNREAD_MAX and self.open:
            await self._read.park()

    def _take_again(self, frame: frames.FromServer, line: Line) -> None:
        """What answers a ``resume``: the place, another place (regrouped), or the end."""
        if isinstance(frame, frames.Ended):
            self._on_ended(frame)
        if not isinstance(frame, frames.Resumed | frames.Joined):
            return
        self._line, self.node = line, line.node
        self.resumes += 1
        if self.away_since is not None:
            self.away_seconds, self.away_since = trio.current_time() - self.away_since, None
        if isinstance(frame, frames.Resumed):
            self._on_resumed(frame)
        else:
            self._on_regrouped(frame)
        if self._leaving:
            self._post(frames.Leave())
        self._enter(PlaceState.HERE)

    def _on_resumed(self, frame: frames.Resumed) -> None:
        again = self._standing.resumed(frame)
        self._post(self._standing.got())  # first of all: it confirms the new ticket
        for say in again:
            self._post(say)
        if not frame.complete:
            self.incomplete += 1
            self.picture = Picture(frame.seq, _decoded(frame.state))
            self._deliver(self.picture)

    def _on_regrouped(self, frame: frames.Joined) -> None:
        self.regroups += 1
        self._messages.clear()
        self._standing.joined(frame)
        self._sit(frame)
        self._window.unpark_all()

    def _on_message(self, frame: frames.Message) -> None:
        if not self._standing.hear(frame.seq):
            return
        self._deliver(Message(frame.seq, msgspec.json.decode(frame.d)))
        if self._standing.got_due and self._line is not None and self._line.backlog < BACKLOG_MAX:
            self._post(self._standing.got())

    def _on_ended(self, frame: frames.Ended) -> None:
        if frame.room == self.room:  # else it is an old word about the room before
            self.ended = Ended(frame.reason, _decoded(frame.result))
            self._enter(PlaceState.OVER)

    def _deliver(self, item: Message | Picture) -> None:
        if not self._leaving:
            self._messages.append(item)
            self._heard.unpark()

    def _post(self, frame: frames.FromClient) -> None:
        if self._line is not None:
            self._line.post(frame)

    def _enter(self, state: PlaceState) -> None:
        self.state = state
        for lot in (self._heard, self._read, self._window, self._changed):
            lot.unpark_all()
        if self._carrier is not None:
            self._carrier(self, state)


def _decoded(body: msgspec.Raw | msgspec.UnsetType) -> Any:
    return msgspec.json.decode(body) if isinstance(body, msgspec.Raw) else None
