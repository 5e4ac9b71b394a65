"""Opens a WebSocket as cheaply as a load needs it: connect, upgrade."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit

import trio

from lastcall.bench.load.frame_builder import upgrade_request
from lastcall.errors import LastcallError
from lastcall.wire import frames

READ_BYTES = 64 * 1024


class DialFailed(LastcallError):
    """The dial was refused, closed during the handshake, answered with another status, or late."""


class Dialer:
    """Dials one server; ``request`` takes the place of a good handshake."""

    def __init__(self, url: str, request: bytes = b"") -> None:
        where = urlsplit(url)
        self._address = (where.hostname or "127.0.0.1", where.port or 80)
        path = f"{where.path or '/'}?{where.query}" if where.query else where.path or "/"
        self._request = request or upgrade_request(where.netloc, frames.SUBPROTOCOL, path)

    async def dial(self, limit_seconds: float) -> tuple[socket.socket, bytes]:
        """A non-blocking socket after its handshake, and the bytes that followed the answer.

        Raises :class:`DialFailed`. May be cancelled.
        """
        stream = socket.socket()
        try:
            stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            stream.setblocking(False)
            with trio.move_on_after(limit_seconds):
                return stream, await self._shake_hands(stream)
        except OSError as error:
            stream.close()
            raise DialFailed(f"a client could not connect: {error}") from error
        except BaseException:
            stream.close()
            raise
        stream.close()
        raise DialFailed(f"no handshake within {limit_seconds:g} s")

    async def _shake_hands(self, stream: socket.socket) -> bytes:
        waiting = trio.socket.from_stdlib_socket(stream)
        await waiting.connect(self._address)
        await waiting.send(self._request)
        answer = b""
        while b"\r\n\r\n" not in answer:
            data = await waiting.recv(READ_BYTES)
            if not data:
                raise DialFailed("the server closed a socket during the handshake")
            answer += data
        head, _, rest = answer.partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 101 "):
            raise DialFailed(f"the server refused a client: {head.splitlines()[0]!r}")
        return rest
