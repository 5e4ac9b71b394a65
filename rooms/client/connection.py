"""One socket, from its opening in :mod:`lastcall.client.opening` to its loss."""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import trio
from trio_websocket import ConnectionClosed, WebSocketConnection

from lastcall.client.place import OnState, Place
from lastcall.client.receiver import PlaceReceiver
from lastcall.client.values import PlaceState
from lastcall.client.writer import FrameWriter
from lastcall.errors import (
    AuthRefused,
    BadFrame,
    ConnectionLost,
    JoinRefused,
    LocalProtocolError,
    NodeGone,
)
from lastcall.ids import KindName, RoomId
from lastcall.reasons import Close, ErrorCode
from lastcall.wire import frames
from lastcall.wire.values import encode_value

SILENCE_SECONDS = 25.0
"""A server sends a ``beat`` after 10 s without a frame; one that is silent for longer is lost."""
ERRORS_KEPT = 64
NO_CLOSE_FRAME = 1006
PROTOCOL_ERROR = 1002


class State(enum.StrEnum):
    """The state of a connection."""

    OPEN = "open"
    MOVING = "moving"
    """The node is leaving and will close this socket: see :attr:`Connection.move`."""
    CLOSED = "closed"


class _PendingRequest:
    """A ``join``, or the ``resume`` of a place, that has no answer yet."""

    def __init__(self, resuming: Place | None = None) -> None:
        self.resuming = resuming
        self.answered = trio.Event()
        self.given_up = False
        self.refusal: JoinRefused | None = None
        self.place: Place | None = None

    def failure(self, lost: ConnectionLost | None) -> ConnectionLost | JoinRefused:
        """The error to raise: the refusal, or the loss of the socket."""
        return self.refusal or (lost or ConnectionLost(NO_CLOSE_FRAME)).again()


class Connection:
    """One open socket, with at most one place at a time.

    Made by ``open_connection``: then a place is lost with its socket. Or by a
    :class:`lastcall.client.Client`, which gives ``on_state`` and moves its place to another
    connection when this one is lost.
    """

    def __init__(
        self,
        url: str,
        hello: frames.Hello,
        socket: WebSocketConnection,
        cut: Callable[[], None],
        on_state: OnState | None = None,
    ) -> None:
        self._socket = socket
        self._cut = cut
        self._on_state = on_state
        self._pending: _PendingRequest | None = None
        self._receiver: PlaceReceiver | None = None
        self._closed = trio.Event()
        self.writer = FrameWriter(socket)
        self.url = url
        self.node = hello.node
        """The api node's name."""
        self.version = hello.version
        self.state = State.OPEN
        self.draining: frames.Draining | None = None
        """The last notice that a node drains: its tier, and the seconds to the cut."""
        self.move: frames.Move | None = None
        """The notice that this socket will be closed, and in how many seconds."""
        self.lost: ConnectionLost | None = None
        """Why the socket is closed."""
        self.lost_at: float | None = None
        """When the socket was closed, by trio's clock."""
        self.errors: deque[frames.Error] = deque(maxlen=ERRORS_KEPT)
        """The last 64 error frames that answer neither a join nor an input."""

    @property
    def place(self) -> Place | None:
        """The place taken last, if any."""
        return None if self._receiver is None else self._receiver.place

    async def join(
        self,
        *,
        kind: str = "",
        room: str = "",
        new: bool = False,
        private: bool = False,
        options: Mapping[str, Any] | None = None,
        name: str = "",
        key: str = "",
    ) -> Place:
        """Takes a seat: in a room of ``kind``, or in the one that ``room`` names.

        ``new`` opens a room for this join, and ``private`` one in which nobody gets a seat without
        its id. ``options`` go to a room that is opened for it, ``name`` is shown to others, and the
        same ``key`` again gives the same place. Raises :class:`JoinRefused`,
        :class:`ConnectionLost`, and :class:`LocalProtocolError` while there is a place already.
        Has no time limit of its own; if it is cancelled and the seat is granted all the same, that
        seat is given up.
        """
        await self._wait_for_earlier_answers()
        if self.lost is not None:
            raise self.lost.again()
        if self.place is not None and self.place.state is not PlaceState.OVER:
            raise LocalProtocolError(
                f"this socket has a place in {self.place.room}: leave it first"
            )
        pending = self._pending = _PendingRequest()
        self.writer.post(
            frames.Join(
                kind=KindName(kind),
                room=RoomId(room),
                new=new,
                private=private,
                options=msgspec.Raw(encode_value(dict(options or {}))),
                name=name,
                key=key,
            )
        )
        try:
            await pending.answered.wait()
        finally:
            pending.given_up = not pending.answered.is_set()
        if pending.place is None:
            raise pending.failure(self.lost)
        return pending.place

    async def resume(self, place: Place) -> None:
        """Takes ``place``, whose socket is lost, on this one, or learns that it has ended.

        Raises :class:`ConnectionLost`, with a final code if the place no longer exists, and
        :class:`JoinRefused` when the answer is an error. Then, and when cancelled, this socket is
        cut, so that it cannot have the place while another one is tried.
        """
        if self.lost is not None:
            raise self.lost.again()
        pending = self._pending = _PendingRequest(place)
        self._receiver = PlaceReceiver(place, self.node, self.writer)
        self.writer.post(place.progress.resume())
        try:
            await pending.answered.wait()
        finally:
            if self.lost is None and place.state is PlaceState.AWAY:
                self.abandon("no place for a resume")
        if place.state is PlaceState.AWAY:
            raise pending.failure(self.lost)

    async def _wait_for_earlier_answers(self) -> None:
        """A cancelled join and a place that is being left are answered before the next join."""
        while self._pending is not None:
            await self._pending.answered.wait()
        if self.place is not None and self.place.leaving:
            await self.place.wait_over()

    async def wait_closed(self) -> ConnectionLost:
        """Returns when the socket is closed, with the reason."""
        await self._closed.wait()
        return self.lost or ConnectionLost(NO_CLOSE_FRAME)

    async def aclose(self) -> None:
        """Sends what is still queued and closes the socket, within 0.5 s."""
        await self.writer.aclose()

    def abandon(self, reason: str) -> None:
        """Cuts the socket without a close frame; nothing is received from it any more."""
        self.lose(ConnectionLost(NO_CLOSE_FRAME, reason))
        self._cut()

    async def read(self) -> ConnectionLost:
        """Receives frames until the socket is lost; returns why. A task of ``opening.py``."""
        try:
            while True:
                frame = await next_frame(self._socket)
                if frame is not None:
                    self._receive(frame)
                    if self.place is not None:
                        await self.place.unread.wait_for_space()
        except ConnectionClosed as closed:
            return _loss(closed)
        except trio.TooSlowError:
            return ConnectionLost(NO_CLOSE_FRAME, f"nothing heard for {SILENCE_SECONDS:g} s")
        except BadFrame as bad:
            return ConnectionLost(PROTOCOL_ERROR, f"a frame that cannot be read: {bad}")

    def lose(self, lost: ConnectionLost) -> None:
        """The socket is gone: wakes everything that waits for something from it."""
        if self.lost is not None:
            return
        self.state, self.lost, self.lost_at = State.CLOSED, lost, trio.current_time()
        self._closed.set()
        self.writer.close()
        if self._receiver is not None:
            self._receiver.lose_socket(lost)
        self._answer()

    def _receive(self, frame: frames.FromServer) -> None:
        match frame:
            case frames.Joined():
                self._on_joined(frame)
            case frames.Error() if not isinstance(frame.n, int):
                self._on_error(frame)
            case frames.Draining():
                self.draining = frame
            case frames.Move():
                self.move, self.state = frame, State.MOVING
            case _:
                self._to_place(frame)

    def _on_joined(self, frame: frames.Joined) -> None:
        pending = self._pending
        if pending is None or pending.resuming is not None:
            self._to_place(frame)  # regrouped
            return
        on_state = None if pending.given_up else self._on_state
        place = pending.place = Place(frame, self.node, self.writer, on_state)
        self._receiver = PlaceReceiver(place, self.node, self.writer)
        self._receiver.begin(frame)
        if pending.given_up:
            place.leave_soon()
        self._answer()

    def _on_error(self, frame: frames.Error) -> None:
        if self._pending is None or frame.code == ErrorCode.NOT_IN_A_ROOM:  # of an earlier leave
            self.errors.append(frame)
            return
        refused = NodeGone if frame.code == ErrorCode.NO_GAME_NODE else JoinRefused
        self._pending.refusal = refused(frame.code, frame.message, retry=frame.retry)
        self._answer()

    def _answer(self) -> None:
        if self._pending is not None:
            self._pending.answered.set()
            self._pending = None

    def _to_place(self, frame: frames.FromServer) -> None:
        if self._receiver is not None:
            self._receiver.receive(frame)
        resuming = self._pending.resuming if self._pending is not None else None
        if resuming is not None and resuming.state is not PlaceState.AWAY:
            self._answer()  # the frame has brought the place back, or ended it


async def next_frame(socket: WebSocketConnection) -> frames.FromServer | None:
    """The next frame, or None for one of an unknown type. TooSlowError after 25 s."""
    with trio.fail_after(SILENCE_SECONDS):
        text = await socket.get_message()
    return frames.decode_server(text)


def _loss(closed: ConnectionClosed) -> ConnectionLost:
    if closed.reason is None:
        return ConnectionLost(NO_CLOSE_FRAME)
    code, reason = closed.reason.code, closed.reason.reason or ""
    return (AuthRefused if code == Close.NOT_ALLOWED else ConnectionLost)(code, reason)
