"""The clients of a bench: thousands of WebSockets in one task.

A client costs this process as little as possible (one epoll set, frames cut in place), so that the
cores are left to the servers.
"""

from __future__ import annotations

import contextlib
import gc
import select
import socket
import time
from collections.abc import Callable, Iterator

import trio

from lastcall.bench.load.dial import Dialer, DialFailed
from lastcall.bench.load.frame_builder import CLOSE, PING, PONG, TEXT, masked, take_frames
from lastcall.errors import LastcallError
from lastcall.ids import PlayerId, RoomId
from lastcall.wire import frames

HANDSHAKE_SECONDS = 10.0
JOIN_SECONDS = 10.0
READ_BYTES = 64 * 1024
EVENTS_PER_POLL = 1024

LOST = 1006


class LoadFailed(LastcallError):
    """A client lost its socket or was refused, so the run has no valid figures."""


class Client:
    """One client with a socket, and with a seat once :meth:`join` has returned.

    A move or the end of its room fails the run, unless :attr:`on_close` or :attr:`on_ended` is set.
    """

    __slots__ = (
        "_answer",
        "_answered",
        "_buffer",
        "_socket",
        "close_code",
        "move_due",
        "on_close",
        "on_ended",
        "player",
        "room",
    )

    def __init__(self, connected: socket.socket, rest: bytes) -> None:
        self._socket = connected
        self._buffer = bytearray(rest)
        self._answer: frames.Joined | frames.Error | None = None
        self._answered: trio.Event | None = None
        self.on_ended: Callable[[frames.Ended], None] | None = None
        """Called when the room ends."""
        self.on_close: Callable[[Client], None] | None = None
        """Called once when the server ends the connection; :attr:`close_code` is set by then."""
        self.close_code = 0
        """The server's close code; 1006 for a socket that ended without a close frame."""
        self.move_due: float | None = None
        """When the server announced to close, in the seconds of ``time.monotonic``."""
        self.player = PlayerId("")
        self.room = RoomId("")

    async def join(self, *, kind: str = "", room: str = "", **options: int) -> None:
        """Takes a seat in a new room of ``kind``, or in ``room``; raises :class:`LoadFailed`."""
        self._answered = trio.Event()
        new = {"t": "join", "kind": kind, "new": True, "options": options}
        self.send(frames.encode(new if kind else {"t": "join", "room": room}))
        with trio.move_on_after(JOIN_SECONDS):
            await self._answered.wait()
        answer, self._answer, self._answered = self._answer, None, None
        if not isinstance(answer, frames.Joined):
            raise LoadFailed(f"a join was not answered with a seat, but with {answer}")
        self.room, self.player = answer.room, answer.you

    def send(self, text: bytes) -> None:
        """Sends a text frame; raises :class:`LoadFailed` if the server does not take it."""
        self._send(masked(TEXT, text))

    def receive(self) -> bool:
        """Handles what has arrived; False once the socket has ended. Raises :class:`LoadFailed`."""
        try:
            data = self._socket.recv(READ_BYTES)
        except BlockingIOError:
            return True
        except OSError as error:
            self._closed(LOST, str(error))
            return False
        if not data:
            self._closed(LOST, "the socket ended")
            return False
        self._buffer += data
        self.handle_frames()
        return True

    def handle_frames(self) -> None:
        """Handles the whole frames in the buffer."""
        for opcode, payload in take_frames(self._buffer):
            if opcode == TEXT:
                self._on_frame(frames.decode_server(payload))
            elif opcode == PING:
                self._send(masked(PONG, payload))
            elif opcode == CLOSE:
                code, reason = payload[:2], payload[2:]
                self._closed(int.from_bytes(code, "big"), reason.decode(errors="replace"))
                self._send_close(code)  # as browsers do

    def _closed(self, code: int, reason: str) -> None:
        if self.close_code:
            return
        self.close_code = code
        if self.on_close is None:
            raise LoadFailed(f"the server closed a client: {code} {reason}")
        self.on_close(self)

    def close(self) -> None:
        """Sends a close frame, unless the server did, and closes the socket."""
        if not self.close_code:
            self._send_close((1000).to_bytes(2, "big"))
        self._socket.close()

    def fileno(self) -> int:
        """The socket's descriptor."""
        return self._socket.fileno()

    def _send_close(self, code: bytes) -> None:
        with contextlib.suppress(OSError):  # it may have ended already
            self._socket.send(masked(CLOSE, code))

    def _send(self, frame: bytes) -> None:
        try:
            sent = self._socket.send(frame)
        except OSError as error:
            raise LoadFailed(f"the server takes no more from a client: {error}") from error
        if sent < len(frame):
            raise LoadFailed("the server does not read: a client's socket is full")

    def _on_frame(self, frame: frames.FromServer | None) -> None:
        match frame:
            case frames.Joined() | frames.Error():
                if self._answered is None:
                    raise LoadFailed(f"a client got {frame}")
                self._answer = frame
                self._answered.set()
            case frames.Ended() if self.on_ended is not None:
                self.on_ended(frame)
            case frames.Move() if self.on_close is not None:
                self.move_due = time.monotonic() + frame.after
            case frames.Ended() | frames.Move():
                raise LoadFailed(f"a client got {frame}")
            case _:
                pass  # hello, messages, acks, beats and notices


@contextlib.contextmanager
def no_collections() -> Iterator[None]:
    """Collects garbage before the block, not in it, where a pause would look like a node's."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


class ClientPool:
    """All clients of one server. They live while :meth:`run` does."""

    def __init__(self, url: str) -> None:
        self._door = Dialer(url)
        self._epoll = select.epoll()
        self._clients: dict[int, Client] = {}

    async def run(self) -> None:
        """Reads the sockets of all clients until cancelled; closes them at the end."""
        try:
            while True:
                await trio.lowlevel.wait_readable(self._epoll.fileno())
                for descriptor, _ in self._epoll.poll(0, EVENTS_PER_POLL):
                    if not self._clients[descriptor].receive():
                        self._epoll.unregister(descriptor)
                        self._clients.pop(descriptor).close()
        finally:
            for client in self._clients.values():
                client.close()
            self._clients.clear()
            self._epoll.close()

    async def connect(self) -> Client:
        """A client after its handshake; raises :class:`LoadFailed`. May be cancelled."""
        try:
            client = Client(*await self._door.dial(HANDSHAKE_SECONDS))
        except DialFailed as error:
            raise LoadFailed(str(error)) from error
        self._clients[client.fileno()] = client
        client.handle_frames()
        self._epoll.register(client.fileno(), select.EPOLLIN)
        return client
