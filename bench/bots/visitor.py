"""Clients that come and go, each in one of the ways that a node meets in a day."""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, Self

import msgspec
import trio

from lastcall.bench.bots.connection import RESET
from lastcall.bench.load.dial import READ_BYTES, Dialer, DialFailed
from lastcall.bench.load.frame_builder import CLOSE, TEXT, masked, take_frames
from lastcall.bench.load.messages import LoadFailed
from lastcall.bench.rooms.kinds import RELAY

DIAL_SECONDS = 10.0
CLOSE_NORMAL = masked(CLOSE, b"\x03\xe8")

Visit = Callable[[str], Awaitable[None]]
"""One visit to the node at a URL; raises :class:`LoadFailed` and :class:`DialFailed`."""


class Visitor:
    """One client on one socket; ``async with`` closes it at the end of the block."""

    def __init__(self, url: str) -> None:
        self._dialer = Dialer(url)
        self._buffer = bytearray()
        self._unread: list[tuple[int, bytes]] = []
        self._socket: trio.socket.SocketType

    async def __aenter__(self) -> Self:
        """Connects; raises :class:`DialFailed`."""
        connected, rest = await self._dialer.dial(DIAL_SECONDS)
        self._buffer += rest
        self._unread = take_frames(self._buffer)
        self._socket = trio.socket.from_stdlib_socket(connected)
        return self

    async def __aexit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _where: TracebackType | None,
    ) -> None:
        self._socket.close()

    async def send(self, **frame: object) -> None:
        """Sends a frame."""
        await self._socket.send(masked(TEXT, msgspec.json.encode(frame)))

    async def until(self, kind: str) -> dict[str, Any]:
        """The next frame of this type; raises :class:`LoadFailed` if the connection ends."""
        while True:
            while self._unread:
                opcode, payload = self._unread.pop(0)
                if opcode == TEXT and (frame := msgspec.json.decode(payload))["t"] == kind:
                    found: dict[str, Any] = frame
                    return found
            data = await self._socket.recv(READ_BYTES)
            if not data:
                raise LoadFailed(f"a client was closed while it waited for {kind!r}")
            self._buffer += data
            self._unread = take_frames(self._buffer)

    async def close(self) -> None:
        """Sends a close frame, and waits until the node has closed."""
        await self._socket.send(CLOSE_NORMAL)
        while await self._socket.recv(READ_BYTES):
            pass

    def reset(self) -> None:
        """Makes the end of the block a reset, as when a network breaks."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)

    async def join(self) -> str:
        """Joins a new room, and says something that comes back; returns the ticket."""
        await self.send(t="join", kind=RELAY, new=True)
        ticket: str = (await self.until("joined"))["ticket"]
        await self.send(t="say", n=1, d="hello")
        await self.until("msg")
        return ticket


async def closes(url: str) -> None:
    """Connects and closes."""
    async with Visitor(url) as visitor:
        await visitor.until("hello")
        await visitor.close()


async def resets(url: str) -> None:
    """Connects, and is lost."""
    async with Visitor(url) as visitor:
        await visitor.until("hello")
        visitor.reset()


async def leaves(url: str) -> None:
    """Joins a room and leaves it."""
    async with Visitor(url) as visitor:
        await visitor.join()
        await visitor.send(t="leave")
        await visitor.until("ended")
        await visitor.close()


async def vanishes(url: str) -> None:
    """Joins a room and is lost for good: the room waits for the player."""
    async with Visitor(url) as visitor:
        await visitor.join()
        visitor.reset()


async def resumes(url: str) -> None:
    """Joins a room, is lost, resumes, and leaves."""
    async with Visitor(url) as visitor:
        ticket = await visitor.join()
        visitor.reset()
    async with Visitor(url) as visitor:
        await visitor.send(t="resume", ticket=ticket, seen=1)
        await visitor.until("resumed")
        await visitor.send(t="say", n=2, d="back")
        await visitor.until("msg")
        await visitor.send(t="leave")
        await visitor.until("ended")
        await visitor.close()


async def breaks_the_protocol(url: str) -> None:
    """Sends three frames that this protocol does not know, and is closed."""
    async with Visitor(url) as visitor:
        for _ in range(3):
            await visitor.send(t="nonsense")
        await visitor.close()


async def is_no_websocket(url: str) -> None:
    """Sends bytes that are not a handshake, and is refused."""
    try:
        await Dialer(url, b"\x16\x03\x01\r\n\r\n").dial(DIAL_SECONDS)
    except DialFailed as refused:
        if "400" not in str(refused):
            raise
    else:
        raise LoadFailed("a node has accepted a malformed handshake")


VISITS: tuple[Visit, ...] = (
    closes,
    leaves,
    resumes,
    resets,
    leaves,
    breaks_the_protocol,
    resumes,
    vanishes,
    leaves,
    is_no_websocket,
)
"""A tenth of all visits each."""
