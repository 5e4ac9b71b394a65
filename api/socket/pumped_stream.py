"""A client's TCP stream, as the library sees it while the pump reads the socket."""

from __future__ import annotations

import trio
import trio.abc

from lastcall.api.socket.pump import Pump, PumpedClient


class PumpedStream(trio.abc.HalfCloseableStream):
    """Gives the library what the pump has left for it; a plain stream while the pump does not read
    :attr:`client`.
    """

    __slots__ = ("_stream", "client")

    def __init__(self, stream: trio.SocketStream, pump: Pump, *, frame_bytes: int) -> None:
        self._stream = stream
        self.client = PumpedClient(stream.socket.fileno(), pump, frame_bytes=frame_bytes)

    @property
    def socket(self) -> trio.socket.SocketType:
        """The TCP stream's socket."""
        return self._stream.socket

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        """Returns the next bytes for the library, or none at the end."""
        await trio.lowlevel.checkpoint()
        data = await self.client.for_library(max_bytes)
        return await self._stream.receive_some(max_bytes) if data is None else data

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """As the TCP stream does."""
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        """As the TCP stream does."""
        await self._stream.wait_send_all_might_not_block()

    async def send_eof(self) -> None:
        """As the TCP stream does."""
        await self._stream.send_eof()

    async def aclose(self) -> None:
        """Closes the connection, and ends the library's reader if it still waits."""
        self.client.close()
        await self._stream.aclose()
