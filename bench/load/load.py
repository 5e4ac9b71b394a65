"""The clients of a bench: thousands of WebSockets in one task of one process.

A client costs the load as little as can be (one epoll set, frames cut in place), so that two cores
are the servers' and what is measured is theirs.
"""

from __future__ import annotations

import contextlib
import gc
import select
import socket
import time
from collections.abc import Callable, Iterator

import trio

from lastcall.bench.load.dial import DialFailed, Door
from lastcall.bench.load.frame_builder import CLOSE, PING, PONG, TEXT, masked, take_frames
from lastcall.errors import LastcallError
from lastcall.ids import PlayerId, RoomId
from lastcall.wire import frames

__all__ = ["Client", "Load", "LoadFailed", "no_collections"]

HANDSHAKE_SECONDS = 10.0
JOIN_SECONDS = 10.0
READ_BYTES = 64 * 1024
STEPS_PER_BATCH = 1024

OnMessage = Callable[[frames.Message], None]
OnEnded = Callable[[frames.Ended], None]
OnLeave = Callable[["Client"], None]

CLOSE_CODE_BYTES = 2
LOST = 1006


class LoadFailed(LastcallError):
    """A client lost its socket, or was refused: the figures would be of something else."""


class Client:
    """One client with a socket, and with a seat once :meth:`join` has returned.

    To be moved, or to see its room end, is a failure, unless :attr:`on_close` is set.
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
        "on_message",
        "player",
        "room",
    )

    def __init__(self, connected: socket.socket, rest: bytes) -> None:
        self._socket = connected
        self._buffer = bytearray(rest)
        self._answer: frames.Joined | frames.Error | None = None
        self._answered: trio.Event | None = None
        self.on_message: OnMessage | None = None
        """Called with each ``msg`` frame."""
        self.on_ended: OnEnded | None = None
        """Called when its room has ended."""
        self.on_close: OnLeave | None = None
        """Called once when the server ends the conversation; :attr:`close_code` says how."""
        self.close_code = 0
        """What the server closed with; 1006 for a socket that ended without a word."""
        self.move_due: float | None = None
        """When the server said that it would close, in the seconds of ``time.monotonic``."""
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
        """Sends a text frame; raises :class:`LoadFailed` when the server does not take it."""
        self._send(masked(TEXT, text))

    def receive(self) -> bool:
        """Takes what has come, and says whether more may; raises :class:`LoadFailed`."""
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
        self.take()
        return True

    def take(self) -> None:
        """Acts on the frames that are whole."""
        for opcode, payload in take_frames(self._buffer):
            if opcode == TEXT:
                self._on_frame(frames.decode_server(payload))
            elif opcode == PING:
                self._send(masked(PONG, payload))
            elif opcode == CLOSE:
                code = int.from_bytes(payload[:CLOSE_CODE_BYTES], "big")
                self._closed(code, payload[CLOSE_CODE_BYTES:].decode(errors="replace"))
                self._say_close(payload[:CLOSE_CODE_BYTES])  # as browsers do

    def _closed(self, code: int, reason: str) -> None:
        if self.close_code:
            return
        self.close_code = code
        if self.on_close is None:
            raise LoadFailed(f"the server closed a client: {code} {reason}")
        self.on_close(self)

    def close(self) -> None:
        """Says goodbye, unless the server did, and closes."""
        if not self.close_code:
            self._say_close((1000).to_bytes(2, "big"))
        self._socket.close()

    def fileno(self) -> int:
        """The socket's descriptor."""
        return self._socket.fileno()

    def _say_close(self, code: bytes) -> None:
        with contextlib.suppress(OSError):  # it may be gone already
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
            case frames.Message():
                if self.on_message is not None:
                    self.on_message(frame)
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
                pass  # hello, acks, beats and notices


@contextlib.contextmanager
def no_collections() -> Iterator[None]:
    """Collects garbage before, and not inside: a pause of ours would pass for one of the nodes'."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


class Load:
    """All clients of one server. They live while :meth:`run` does."""

    def __init__(self, url: str) -> None:
        self._door = Door(url)
        self._epoll = select.epoll()
        self._clients: dict[int, Client] = {}

    def __len__(self) -> int:
        return len(self._clients)

    async def run(self) -> None:
        """Reads for all clients until cancelled; closes them at the end."""
        try:
            while True:
                await trio.lowlevel.wait_readable(self._epoll.fileno())
                for descriptor, _ in self._epoll.poll(0, STEPS_PER_BATCH):
                    if not self._clients[descriptor].receive():
                        self._epoll.unregister(descriptor)
                        self._clients.pop(descriptor).close()
        finally:
            for client in self._clients.values():
                client.close()
            self._clients.clear()
            self._epoll.close()

    async def connect(self) -> Client:
        """A client that has shaken hands; raises :class:`LoadFailed`. May be cancelled."""
        try:
            client = Client(*await self._door.dial(HANDSHAKE_SECONDS))
        except DialFailed as error:
            raise LoadFailed(str(error)) from error
        self._clients[client.fileno()] = client
        client.take()
        self._epoll.register(client.fileno(), select.EPOLLIN)
        return client
