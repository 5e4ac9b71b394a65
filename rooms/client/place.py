"""A player's place in a room: what is said there, what is heard there, and how it ends."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
import trio

from rooms.errors import ConnectionLost, MessageTooBig
from rooms.ids import KindName, PlayerId, RoomId
from rooms.policy import SocketPolicy
from rooms.reasons import EndReason, ErrorCode
from rooms.wire import frames
from rooms.wire.frames import Player

__all__ = ["Ended", "InputRefused", "Message", "Place", "Player"]

UNACKED_MAX = SocketPolicy().held_inputs
INPUT_BYTES_MAX = SocketPolicy().frame_bytes
UNREAD_MAX = 1024
ERRORS_KEPT = 64


class Message(msgspec.Struct, frozen=True):
    """From the room. ``seq`` rises strictly; a hole is another player's private message."""

    seq: int
    data: Any


class Ended(msgspec.Struct, frozen=True):
    """How a place ended; ``result`` is what the room's function returned, if it did."""

    reason: EndReason
    result: Any = None


class InputRefused(msgspec.Struct, frozen=True):
    """The room did not see input ``n``; ``retry`` if the same may pass later."""

    n: int
    code: ErrorCode
    message: str
    retry: bool


class Place:
    """A seat in a room, from ``joined`` to ``ended``. Made by ``Connection.join``.

    Iterate it for the room's messages: the loop ends when the place has ended (see
    :attr:`ended`) and raises :class:`rooms.errors.ConnectionLost` when the socket is gone.
    Up to 1024 messages wait to be read; beyond that the socket is not read until some are, and a
    server closes a socket that isn't read (4100). So one who only speaks must still listen.

    A room that had not started may be **regrouped** while its node drains: the same place then
    is in another room, with another :attr:`you`, and :attr:`regroups` has gone up. What had not
    been read from the old room, and not been acknowledged by it, is dropped.

    An input that the room's kind refuses is no exception, since its answer comes when the caller
    is elsewhere: look at :attr:`refused` and :attr:`errors`.
    """

    __slots__ = (
        "_heard",
        "_leaving",
        "_messages",
        "_over",
        "_post",
        "_read",
        "_said",
        "_unacked",
        "_window",
        "ended",
        "errors",
        "holes",
        "kind",
        "lost",
        "players",
        "refused",
        "regroups",
        "repeats",
        "room",
        "seq",
        "ticket",
        "you",
    )

    def __init__(self, joined: frames.Joined, post: Callable[[frames.FromClient], None]) -> None:
        self._post = post
        self._heard = trio.lowlevel.ParkingLot()
        self._read = trio.lowlevel.ParkingLot()
        self._window = trio.lowlevel.ParkingLot()
        self._over = trio.Event()
        self._messages: deque[Message] = deque()
        self._leaving = False
        self.ended: Ended | None = None
        self.lost: ConnectionLost | None = None
        """Set when the socket was lost before the place ended."""
        self.errors: deque[InputRefused] = deque(maxlen=ERRORS_KEPT)
        """The last 64 inputs that were refused."""
        self.refused = 0
        """How many inputs were refused."""
        self.regroups = 0
        """How often this place was moved into another room."""
        self.repeats = 0
        """Messages whose ``seq`` did not rise: the server's fault; they are dropped."""
        self.holes = 0
        """How many numbers were jumped over: other players' private messages."""
        self._sit(joined)

    def _sit(self, joined: frames.Joined) -> None:
        self.room: RoomId = joined.room
        self.kind: KindName = joined.kind
        self.you: PlayerId = joined.you
        self.players: tuple[Player, ...] = tuple(joined.players)
        """Who had a seat when this place was taken, as the server told it."""
        self.ticket = joined.ticket
        self.seq = joined.seq
        """The last number received, read or not."""
        self._said = 0
        self._unacked: deque[frames.Say] = deque()

    def __repr__(self) -> str:
        return f"<Place {self.you} in {self.room} ({self.kind}), seq {self.seq}>"

    # For the player.

    def __aiter__(self) -> AsyncIterator[Message]:
        return self

    async def __anext__(self) -> Message:
        await trio.lowlevel.checkpoint_if_cancelled()
        while not self._messages:
            if self.ended is not None:
                raise StopAsyncIteration
            self._check_socket()
            await self._heard.park()
        self._read.unpark_all()
        return self._messages.popleft()

    async def say(self, value: object) -> None:
        """Says ``value``, which JSON can hold, to the room.

        Waits while 64 inputs are not acknowledged; cancelled there, nothing was said. After the
        end it is dropped in silence: nobody can know of the end in time. Raises
        :class:`rooms.errors.ConnectionLost`, :class:`rooms.errors.MessageTooBig` over 64 KiB, and
        ``TypeError`` for what JSON cannot hold.
        """
        body = msgspec.json.encode(value)
        if len(body) > INPUT_BYTES_MAX - 64:
            raise MessageTooBig(
                f"an input of {len(body)} bytes; a frame holds {INPUT_BYTES_MAX} with its envelope"
            )
        await trio.lowlevel.checkpoint_if_cancelled()
        while len(self._unacked) >= UNACKED_MAX and self.here:
            await self._window.park()
        if self.ended is None and not self._leaving:
            self._check_socket()
            self._said += 1
            self._unacked.append(frames.Say(n=self._said, d=msgspec.Raw(body)))
            self._post(self._unacked[-1])

    async def leave(self) -> None:
        """Gives the seat up and waits for the room's word on it; messages still to come are
        dropped. Does nothing after the end. Cancelled, the seat is given up all the same.
        """
        self.leave_soon()
        await self.wait_over()

    def leave_soon(self) -> None:
        """Gives the seat up, without waiting."""
        if self.here:
            self._leaving = True
            self._post(frames.Leave())
            self._read.unpark_all()
            self._window.unpark_all()

    @property
    def here(self) -> bool:
        """Whether the seat is ours: not ended, not lost, not being left."""
        return self.ended is None and self.lost is None and not self._leaving

    @property
    def leaving(self) -> bool:
        """Whether the seat is given up and the answer is still to come."""
        return self._leaving and not self._over.is_set()

    async def wait_over(self) -> None:
        """Returns when the place has ended or the socket is lost."""
        await self._over.wait()

    @property
    def unacked(self) -> int:
        """How many inputs the room has not acknowledged yet."""
        return len(self._unacked)

    def _check_socket(self) -> None:
        if self.lost is not None:
            raise ConnectionLost(self.lost.code, self.lost.reason)

    # For the connection.

    def take(self, frame: frames.FromServer) -> None:
        """A frame for this place has arrived. Called by the connection."""
        match frame:
            case frames.Message():
                self._on_message(frame)
            case frames.Ack(n):
                self._on_ack(n)
            case frames.Error(code, message, retry, int(n)):
                self.refused += 1
                self.errors.append(InputRefused(n, code, message, retry))
            case frames.Ended(room) if room == self.room:
                result = None
                if isinstance(frame.result, msgspec.Raw):
                    result = msgspec.json.decode(frame.result)
                self.ended = Ended(frame.reason, result)
                self._wake_all()
            case frames.Joined():
                self.regroups += 1
                self._messages.clear()
                self._sit(frame)
                self._window.unpark_all()
            case _:
                pass

    def lose(self, lost: ConnectionLost) -> None:
        """The socket is gone. Called by the connection."""
        if self.ended is None:
            self.lost = lost
        self._wake_all()

    async def wait_read(self) -> None:
        """Returns when there is space for more messages. Called by the connection."""
        while len(self._messages) >= UNREAD_MAX and self.here:
            await self._read.park()

    def _on_message(self, frame: frames.Message) -> None:
        if frame.seq <= self.seq:
            self.repeats += 1
            return
        self.holes += frame.seq - self.seq - 1
        self.seq = frame.seq
        if not self._leaving:
            self._messages.append(Message(frame.seq, msgspec.json.decode(frame.d)))
            self._heard.unpark()

    def _on_ack(self, n: int) -> None:
        while self._unacked and self._unacked[0].n <= n:
            self._unacked.popleft()
        self._window.unpark_all()

    def _wake_all(self) -> None:
        self._unacked.clear()
        self._over.set()
        for lot in (self._heard, self._read, self._window):
            lot.unpark_all()
