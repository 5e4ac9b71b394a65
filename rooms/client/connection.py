"""One socket: read, written, and lost; opened in :mod:`lastcall.client.opening`."""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import msgspec
import trio
from trio_websocket import ConnectionClosed, WebSocketConnection

from lastcall.client.place import Carrier, Place
from lastcall.client.values import PlaceState
from lastcall.errors import (
    BadFrame,
    ConnectionLost,
    JoinRefused,
    LocalProtocolError,
    NodeGone,
)
from lastcall.ids import KindName, RoomId
from lastcall.reasons import ErrorCode
from lastcall.wire import frames

__all__ = ["Connection", "State", "next_frame"]

SILENCE_SECONDS = 25.0
"""A server sends a ``beat`` after 10 s without a frame; one that is silent for longer is lost."""
CLOSE_SECONDS = 0.5
ERRORS_KEPT = 64
NO_CLOSE_FRAME = 1006
PROTOCOL_ERROR = 1002


class State(enum.StrEnum):
    """How a connection is."""

    OPEN = "open"
    MOVING = "moving"
    """The node leaves and will close this socket: see :attr:`Connection.move`."""
    CLOSED = "closed"


class _Asked:
    """A ``join``, or a ``resume`` of a place, that is not answered yet."""

    def __init__(self, resuming: Place | None = None) -> None:
        self.resuming = resuming
        self.answered = trio.Event()
        self.given_up = False
        self.refusal: JoinRefused | None = None
        self.place: Place | None = None


class Connection:
    """One open socket, with at most one place at a time.

    Made by ``open_connection``: then a place is lost with it. Or by a
    :class:`lastcall.client.Client`, the ``carrier`` that takes its places to another when it is
    lost.
    """

    def __init__(
        self,
        url: str,
        hello: frames.Hello,
        socket: WebSocketConnection,
        cut: Callable[[], None],
        carrier: Carrier | None = None,
    ) -> None:
        self._socket = socket
        self._cut = cut
        self._carrier = carrier
        self._asked: _Asked | None = None
        self._outbox, self._to_send = trio.open_memory_channel[str](float("inf"))
        self._written = trio.Event()
        self._closed = trio.Event()
        self.url = url
        self.node = hello.node
        """The api node's name."""
        self.version = hello.version
        self.state = State.OPEN
        self.place: Place | None = None
        """The place taken last, if any."""
        self.draining: frames.Draining | None = None
        """The last notice that a node drains: its tier, and the seconds to the cut."""
        self.move: frames.Move | None = None
        """The notice that this socket will be closed, and in how many seconds."""
        self.lost: ConnectionLost | None = None
        """Why the socket is closed."""
        self.lost_at: float | None = None
        """Since when, by trio's clock."""
        self.errors: deque[frames.Error] = deque(maxlen=ERRORS_KEPT)
        """The last 64 error frames that answer neither a join nor an input."""

    async def join(
        self,
        *,
        kind: str = "",
        room: str = "",
        new: bool = False,
        options: Mapping[str, Any] | None = None,
        name: str = "",
        key: str = "",
    ) -> Place:
        """Takes a seat: in a room of ``kind``, or in the one that ``room`` names.

        ``new`` opens a room of its own, ``options`` go to a room that is opened for it, ``name``
        is shown to others, and the same ``key`` again gives the same place. Raises
        :class:`JoinRefused`, :class:`ConnectionLost`, and :class:`LocalProtocolError` while there
        is a place already. No time limit of its own; when it is cancelled and a seat is granted
        all the same, that seat is given up.
        """
        await self._wait_for_earlier_answers()
        if self.lost is not None:
            raise ConnectionLost(self.lost.code, self.lost.reason)
        if self.place is not None and self.place.state is not PlaceState.OVER:
            raise LocalProtocolError(
                f"this socket has a place in {self.place.room}: leave it first"
            )
        asked = self._asked = _Asked()
        self.post(
            frames.Join(
                kind=KindName(kind),
                room=RoomId(room),
                new=new,
                options=msgspec.Raw(msgspec.json.encode(dict(options or {}))),
                name=name,
                key=key,
            )
        )
        try:
            await asked.answered.wait()
        finally:
            asked.given_up = not asked.answered.is_set()
        if asked.place is not None:
            return asked.place
        raise self._why_not(asked)

    async def resume(self, place: Place) -> None:
        """Takes ``place``, whose socket is lost, on this one; or learns of its end.

        Raises :class:`ConnectionLost`, with a code that is final if the place is no more, and
        :class:`JoinRefused` when the answer is an error. Then, and when cancelled, this socket is
        cut, so that it cannot have the place while another is tried.
        """
        if self.lost is not None:
            raise ConnectionLost(self.lost.code, self.lost.reason)
        asked = self._asked = _Asked(place)
        self.place = place
        self.post(place.resume())
        try:
            await asked.answered.wait()
        finally:
            if self.lost is None and place.state is PlaceState.AWAY:
                self.abandon("no place for a resume")
        if place.state is PlaceState.AWAY:
            raise self._why_not(asked)

    def _why_not(self, asked: _Asked) -> ConnectionLost | JoinRefused:
        lost = self.lost or ConnectionLost(NO_CLOSE_FRAME)
        return asked.refusal or ConnectionLost(lost.code, lost.reason)

    async def _wait_for_earlier_answers(self) -> None:
        """A cancelled join and a place that is being left are answered before the next join."""
        while self._asked is not None:
            await self._asked.answered.wait()
        if self.place is not None and self.place.leaving:
            await self.place.wait_over()

    async def wait_closed(self) -> ConnectionLost:
        """Returns when the socket is closed, with the reason."""
        await self._closed.wait()
        return self.lost or ConnectionLost(NO_CLOSE_FRAME)

    async def aclose(self) -> None:
        """Sends what is still to send and closes the socket, within 0.5 s."""
        self._outbox.close()
        with trio.move_on_after(CLOSE_SECONDS):
            await self._written.wait()

    def abandon(self, reason: str) -> None:
        """Cuts the socket without a word; nothing is taken from it any more."""
        self.lose(ConnectionLost(NO_CLOSE_FRAME, reason))
        self._cut()

    def post(self, frame: frames.FromClient) -> None:
        """Sends a frame soon, in order; drops it when the socket is gone.

        Frames are written by one task, never by the caller: a cancelled write tears a frame. The
        queue is bounded by what can be unanswered: a join, a leave, and a place's inputs.
        """
        with suppress(trio.ClosedResourceError):
            self._outbox.send_nowait(frames.encode(frame).decode())

    @property
    def backlog(self) -> int:
        """How many frames wait to be written."""
        return self._outbox.statistics().current_buffer_used

    # Tasks, run by opening.serve.

    async def write(self) -> None:
        """Sends what is posted; closes the socket when this connection is closed."""
        try:
            async for text in self._to_send:
                await self._socket.send_message(text)
            await self._socket.aclose()
        except ConnectionClosed:
            pass  # the reader knows why
        finally:
            self._written.set()

    async def read(self) -> ConnectionLost:
        """Takes frames until the socket is lost; returns why."""
        try:
            while True:
                frame = await next_frame(self._socket)
                if frame is not None:
                    self._take(frame)
                    if self.place is not None:
                        await self.place.wait_read()
        except ConnectionClosed as closed:
            return _lost(closed)
        except trio.TooSlowError:
            return ConnectionLost(NO_CLOSE_FRAME, f"nothing heard for {SILENCE_SECONDS:g} s")
        except BadFrame as bad:
            return ConnectionLost(PROTOCOL_ERROR, f"a frame that cannot be read: {bad}")

    def lose(self, lost: ConnectionLost) -> None:
        """The socket is gone: tells everybody who waits for something from it."""
        if self.lost is not None:
            return
        self.state, self.lost, self.lost_at = State.CLOSED, lost, trio.current_time()
        self._closed.set()
        self._outbox.close()
        if self.place is not None:
            self.place.lose_line(self, lost)
        self._answer()

    def _take(self, frame: frames.FromServer) -> None:
        match frame:
            case frames.Joined():
                self._on_joined(frame)
            case frames.Resumed() | frames.Ended():
                self._to_place(frame)
                self._on_resumed()
            case frames.Error(n=int()):
                self._to_place(frame)
            case frames.Error():
                self._on_error(frame)
            case frames.Draining():
                self.draining = frame
            case frames.Move():
                self.move, self.state = frame, State.MOVING
            case _:
                self._to_place(frame)

    def _on_joined(self, frame: frames.Joined) -> None:
        asked = self._asked
        if asked is None or asked.resuming is not None:
            self._to_place(frame)
            self._on_resumed()
            return
        carrier = None if asked.given_up else self._carrier
        self.place = asked.place = Place(frame, self, carrier)
        if asked.given_up:
            self.place.leave_soon()
        self._answer()

    def _on_resumed(self) -> None:
        """Something may have answered a resume: the place is here again, or over."""
        resuming = self._asked.resuming if self._asked is not None else None
        if resuming is not None and resuming.state is not PlaceState.AWAY:
            self._answer()

    def _on_error(self, frame: frames.Error) -> None:
        if self._asked is None or frame.code == ErrorCode.NOT_IN_A_ROOM:  # of a leave before
            self.errors.append(frame)
            return
        refused = NodeGone if frame.code == ErrorCode.NO_GAME_NODE else JoinRefused
        self._asked.refusal = refused(frame.code, frame.message, retry=frame.retry)
        self._answer()

    def _answer(self) -> None:
        if self._asked is not None:
            self._asked.answered.set()
            self._asked = None

    def _to_place(self, frame: frames.FromServer) -> None:
        if self.place is not None:
            self.place.take(frame, self)


async def next_frame(socket: WebSocketConnection) -> frames.FromServer | None:
    """The next frame, or None for a type that we don't know. TooSlowError after 25 s."""
    with trio.fail_after(SILENCE_SECONDS):
        text = await socket.get_message()
    return frames.decode_server(text)


def _lost(closed: ConnectionClosed) -> ConnectionLost:
    if closed.reason is None:
        return ConnectionLost(NO_CLOSE_FRAME)
    return ConnectionLost(closed.reason.code, closed.reason.reason or "")
