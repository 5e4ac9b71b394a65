"""A gateway over real sockets, on either path; and clients who speak bytes."""

from __future__ import annotations

import contextlib
import gc
import socket
import struct
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import pytest
import trio

from lastcall.api.gateway import gateway
from lastcall.api.gateway.handshake import EntryRules
from lastcall.api.sessions.relays import Relays
from lastcall.api.sessions.session import Session
from lastcall.api.socket.cork import Cork
from lastcall.api.socket.frame_builder import text_frame
from lastcall.api.socket.pump import Pump
from lastcall.limits import Limits, Rate
from lastcall.policy import SocketPolicy
from lastcall.wire import frames
from tests.api.conftest import UPGRADE, FakeGames, FakeLink

PATIENCE_SECONDS = 20
TEXT, BINARY, CLOSE, PING, PONG = 0x81, 0x82, 0x88, 0x89, 0x8A
MASK = b"\x01\x02\x83\x84"
Frame = tuple[int, bytes | int | None]
"""The first byte, and the payload; of a close frame its code, if it has one."""


def frame(payload: bytes = b"", first: int = TEXT, *, width: int = 0, mask: bytes = MASK) -> bytes:
    """A client's frame; ``width`` forces a length of 2 or 8 bytes."""
    size = len(payload)
    if width == 8 or size > 65_535:
        head = struct.pack("!BBQ", first, 0x80 | 127, size)
    elif width == 2 or size > 125:
        head = struct.pack("!BBH", first, 0x80 | 126, size)
    else:
        head = struct.pack("!BB", first, 0x80 | size)
    pattern = (mask * (size // 4 + 1))[:size]
    plain = int.from_bytes(payload, "big") ^ int.from_bytes(pattern, "big")
    return head + mask + plain.to_bytes(size, "big")


def closing(code: int, reason: bytes = b"") -> bytes:
    return frame(struct.pack("!H", code) + reason, CLOSE)


class Notes(dict[Session, list[str | bytes]]):
    """The messages that each session was given, and how many all of them are."""

    count = 0

    def add(self, session: Session, message: str | bytes) -> None:
        self.setdefault(session, []).append(message)
        self.count += 1


class Echo(Session):
    """Notes what it is given and says it back; three words have it do something else."""

    __slots__ = ()
    noted: Notes
    others: Callable[[], list[Session]]

    def hear(self, message: str | bytes, now: float) -> bool:
        if self.connection.close_code is not None:
            return False
        self.noted.add(self, message)
        if isinstance(message, bytes) or len(message.encode()) > self._policy.frame_bytes:
            return super().hear(message, now)
        if message == "boom":
            raise RuntimeError("a bug")
        if message == "kick me":
            self.connection.close(4003)
        elif message == "move the others":
            for session in self.others():
                if session is not self:
                    session.connection.move_now()
        else:
            self.connection.send_built(text_frame(message.encode()))
        return self.connection.close_code is None


class Noted(Session):
    """The real session; it notes the messages that it is given."""

    __slots__ = ()
    noted: Notes

    def hear(self, message: str | bytes, now: float) -> bool:
        if self.connection.close_code is None:
            self.noted.add(self, message)
        return super().hear(message, now)


class Peer:
    """A client's end of a connection: bytes out, frames in."""

    def __init__(self, end: socket.socket) -> None:
        end.setblocking(False)
        if end.family == socket.AF_INET:  # else a part may wait until the other end has closed
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = trio.socket.from_stdlib_socket(end)
        self._seen = b""

    async def send(self, *pieces: bytes) -> None:
        """Each piece is read before the next is sent."""
        for piece in pieces:
            while piece:
                piece = piece[await self.socket.send(piece) :]  # noqa: PLW2901
            await turns()

    async def head(self) -> bytes:
        """The answer to the opening request."""
        while b"\r\n\r\n" not in self._seen:
            data = await self.socket.recv(65_536)
            if not data:
                break
            self._seen += data
        head, _, self._seen = self._seen.partition(b"\r\n\r\n")
        return head

    async def next(self) -> Frame | None:
        """The next frame; None at the end. Fails if the end comes within a frame."""
        while (found := self._whole()) is None:
            try:
                data = await self.socket.recv(65_536)
            except ConnectionResetError:
                data = b""
            if not data:
                assert self._seen == b"", "a torn frame"
                return None
            self._seen += data
        return found

    def _whole(self) -> Frame | None:
        seen = self._seen
        if len(seen) < 2:
            return None
        first, size, at = seen[0], seen[1], 2
        assert first in {TEXT, CLOSE, PING, PONG}, "a torn frame"
        if size >= 126:
            at = 4 if size == 126 else 10
            if len(seen) < at:
                return None
            size = int.from_bytes(seen[2:at], "big")
        if len(seen) < at + size:
            return None
        payload, self._seen = seen[at : at + size], seen[at + size :]
        if first != CLOSE:
            return first, payload
        return first, int.from_bytes(payload[:2], "big") if payload else None

    async def take(self, count: int) -> list[Frame | None]:
        return [await self.next() for _ in range(count)]

    async def rest(self) -> list[Frame]:
        """All frames to the end of the connection; then our side ends, too."""
        frames = []
        while (one := await self.next()) is not None:
            frames.append(one)
        with contextlib.suppress(OSError):
            self.finish()
        return frames

    def send_nowait(self, data: bytes) -> None:
        """All of ``data``, without letting anybody run."""
        assert socket.socket.send(self.socket._sock, data) == len(data)

    def fill(self, data: bytes) -> int:
        """Sends ``data`` again and again, until nobody reads it; returns how many bytes."""
        sent = 0
        with contextlib.suppress(BlockingIOError):
            while sent < 64 << 20:
                sent += socket.socket.send(self.socket._sock, data)
        return sent

    def finish(self) -> None:
        self.socket.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()


class Server:
    """One gateway, on one path."""

    def __init__(
        self, nursery: trio.Nursery, *, pumped: bool, rules: EntryRules | None = None, **policy: Any
    ) -> None:
        self.nursery = nursery
        limits = Limits(inputs=Rate(1 << 30, 1 << 30), input_bytes=Rate(1 << 30, 1 << 30))
        self.policy = SocketPolicy(**({"limits": limits, "close_seconds": 0.2} | policy))
        self.cork = Cork()
        self.pump = Pump(self.cork) if pumped else None
        self.link = FakeLink()
        self.relays = Relays(self.policy, nursery.start_soon)
        self.games = FakeGames(self.relays, self.link)
        self.gateway = gateway.Gateway(
            self.games,
            self.policy,
            hello=frames.Hello(1, "api-1", "7"),
            cork=self.cork,
            pump=self.pump,
            rules=rules,
        )
        self.noted = Notes()
        self.peers: list[Peer] = []
        self.pump_scope = trio.CancelScope()
        if self.pump is not None:
            nursery.start_soon(self._run_pump, self.pump)

    async def _run_pump(self, pump: Pump) -> None:
        with self.pump_scope:
            await pump.run()

    @property
    def sessions(self) -> list[Session]:
        return list(self.gateway._sessions)

    @property
    def codes(self) -> dict[int, int]:
        return dict(self.gateway.counts.closed)

    @property
    def heard(self) -> list[str | bytes]:
        """The messages that the sessions were given, one session after the other."""
        return [message for messages in self.noted.values() for message in messages]

    def dial(self, buffer_bytes: int = 0) -> Peer:
        """A connection without a handshake; ``buffer_bytes`` makes the kernel's small."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            mine = socket.socket()
            if buffer_bytes:
                mine.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_bytes)
            mine.connect(listener.getsockname())
            theirs, _ = listener.accept()
        if buffer_bytes:
            theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffer_bytes)
        mine.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        theirs.setblocking(False)
        stream = trio.SocketStream(trio.socket.from_stdlib_socket(theirs))
        self.nursery.start_soon(self.gateway.serve_stream, stream)
        self.peers.append(Peer(mine))
        return self.peers[-1]

    async def client(self, buffer_bytes: int = 0) -> Peer:
        """A client that has had its hello."""
        peer = self.dial(buffer_bytes)
        await peer.send(UPGRADE)
        assert b" 101 " in await peer.head()
        hello = await peer.next()
        assert hello is not None
        assert b'"hello"' in hello[1]
        return peer

    async def seated(self) -> Peer:
        peer = await self.client()
        await peer.send(frame(b'{"t":"join","kind":"den"}'))
        assert b'"joined"' in (await peer.next())[1]
        return peer


@asynccontextmanager
async def serving(
    monkeypatch: pytest.MonkeyPatch, kind: type[Session] = Echo, **settings: Any
) -> AsyncIterator[Server]:
    """A server whose sessions are of ``kind``; at the end all is closed."""
    peers: list[Peer] = []
    try:
        with trio.fail_after(PATIENCE_SECONDS):
            async with trio.open_nursery() as nursery:
                server = Server(nursery, **settings)
                server.peers = peers
                monkeypatch.setattr(gateway, "Session", _noting(kind, server))
                yield server
                nursery.cancel_scope.cancel()
    finally:
        for peer in peers:
            peer.socket.close()


def _noting(kind: type[Session], server: Server) -> type[Session]:
    class Ours(kind):  # type: ignore[misc, valid-type]
        __slots__ = ()
        noted = server.noted

        def others(self) -> list[Session]:
            return server.sessions

    return Ours


async def turns(count: int = 6) -> None:
    """Lets what has come be read."""
    for _ in range(count):
        await trio.lowlevel.checkpoint()


class LongestStep(trio.abc.Instrument):
    """The longest that a task has held the loop, in seconds of this thread's CPU; and the most that
    ``count()`` has grown meanwhile, which a loaded machine does not change.
    """

    def __init__(self, count: Callable[[], int]) -> None:
        self.seconds = 0.0
        self.counted = 0
        self._count = count
        self._begun = time.thread_time()
        self._before = count()

    def before_task_step(self, _task: trio.lowlevel.Task) -> None:
        self._before = self._count()
        self._begun = time.thread_time()

    def after_task_step(self, _task: trio.lowlevel.Task) -> None:
        self.seconds = max(self.seconds, time.thread_time() - self._begun)
        self.counted = max(self.counted, self._count() - self._before)


@contextmanager
def longest_step(count: Callable[[], int] = int) -> Iterator[LongestStep]:
    """Watches the block, with what the tests before have left out of the collector's sight.

    A node freezes at its start what is there; here a full collection of everybody's leftovers
    takes 30 to 70 ms, and would look like a step of the node.
    """
    gc.collect()
    gc.freeze()
    watch = LongestStep(count)
    trio.lowlevel.add_instrument(watch)
    try:
        yield watch
    finally:
        trio.lowlevel.remove_instrument(watch)
        gc.unfreeze()
