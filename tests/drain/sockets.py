"""Connections to an api node without the client: handshakes byte by byte, and bare frames."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio
from trio_websocket import WebSocketConnection, wrap_client_stream

from tests.harness.cluster import ApiProcess

REST_OF_REQUEST = (
    b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


async def begin_handshake(api: ApiProcess) -> trio.abc.Stream:
    """Connects and sends the beginning of a handshake request."""
    stream = await api.listener.connect()
    await stream.send_all(b"GET / HTTP/1.1\r\nHost: api\r\n")
    await trio.sleep(0.01)
    return stream


@asynccontextmanager
async def websocket_over(stream: trio.abc.Stream) -> AsyncIterator[WebSocketConnection]:
    async with trio.open_nursery() as nursery:
        yield await wrap_client_stream(nursery, stream, "api", "/")  # type: ignore[arg-type]
        nursery.cancel_scope.cancel()


async def read_answer(stream: trio.abc.Stream) -> bytes:
    """Reads the head of the answer, for at most 5 s."""
    data = b""
    with trio.move_on_after(5):
        while b"\r\n\r\n" not in data and (more := await stream.receive_some(4096)):
            data += more
    return data
