"""A TCP proxy between clients and a node; the test can cut its connections."""

from __future__ import annotations

import re
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import trio

__all__ = ["Cable", "cable"]

TICKET = re.compile(rb'"ticket":"([^"]+)"')
RESET = struct.pack("ii", 1, 0)
"""SO_LINGER with a time of 0: the system then closes the connection with a reset."""


class Cable:
    """Passes bytes in both directions, and records the tickets that it sees.

    :meth:`cut` resets the open connections. With ``down`` it also resets each new one, until
    :meth:`mend`.
    """

    def __init__(self, listener: trio.SocketListener, target: str) -> None:
        self._listener = listener
        host, _, port = target.rpartition(":")
        self._target = (host, int(port))
        self._streams: set[trio.SocketStream] = set()
        self._down = False
        self.opened = 0
        """The number of connections that were accepted and passed on."""
        self.tickets: list[str] = []
        """The tickets that the node has issued, oldest first."""

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self._listener.socket.getsockname()[1]}"

    def cut(self, *, down: bool = False) -> None:
        """Resets the open connections on both sides."""
        self._down = down
        for stream in list(self._streams):
            _reset(stream)

    def mend(self) -> None:
        """Lets new connections pass again."""
        self._down = False

    async def serve(self) -> None:
        await trio.serve_listeners(self._forward, [self._listener])

    async def _forward(self, client: trio.SocketStream) -> None:
        if self._down:
            _reset(client)
            return
        self.opened += 1
        try:
            node = await trio.open_tcp_stream(*self._target)
        except OSError:
            _reset(client)
            return
        pair = {client, node}
        self._streams |= pair
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._copy, client, node)
                nursery.start_soon(self._copy, node, client)
        finally:
            self._streams -= pair
            for stream in pair:
                stream.socket.close()

    async def _copy(self, source: trio.SocketStream, sink: trio.SocketStream) -> None:
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            async for data in source:
                self.tickets += [ticket.decode() for ticket in TICKET.findall(data)]
                await sink.send_all(data)
            await sink.send_eof()


def _reset(stream: trio.SocketStream) -> None:
    with suppress(OSError):
        stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    stream.socket.close()


@asynccontextmanager
async def cable(target: str) -> AsyncIterator[Cable]:
    """A running cable to ``HOST:PORT``."""
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with trio.open_nursery() as nursery:
        proxy = Cable(listener, target)
        nursery.start_soon(proxy.serve)
        yield proxy
        nursery.cancel_scope.cancel()
