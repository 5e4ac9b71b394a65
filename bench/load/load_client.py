"""One client of a load process: a socket, a service's protocol, and the check of its messages."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit

from lastcall.bench.load.frame_builder import (
    CLOSE,
    PING,
    PONG,
    masked,
    take_frames,
    upgrade_request,
)
from lastcall.bench.load.messages import MICROS, LoadFailed
from lastcall.bench.load.payloads import HEAD_BYTES, MARK, DeliveryCheck, make_payload
from lastcall.bench.load.protocols import ClientProtocol

READ_BYTES = 256 * 1024
DIAL_SECONDS = 5.0


class LoadClient:
    """One client and its socket."""

    __slots__ = ("_buffer", "_is_open", "_socket", "check", "n", "protocol")

    def __init__(self, protocol: ClientProtocol, check: DeliveryCheck, url: str) -> None:
        where = urlsplit(url)
        self.protocol = protocol
        self.check = check
        self.n = 0
        """The number of its last input."""
        self._is_open = False
        """True once the handshake is done."""
        self._buffer = bytearray()
        path = protocol.path() + (f"?{where.query}" if where.query else "")
        request = upgrade_request(where.netloc, protocol.subprotocol, path, compression=False)
        address = (where.hostname or "127.0.0.1", where.port or 80)
        try:
            self._socket = socket.create_connection(address, DIAL_SECONDS)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._socket.setblocking(False)
            self._socket.send(request)
        except OSError as error:
            raise LoadFailed(f"a client could not connect to {url}: {error}") from error

    def fileno(self) -> int:
        """The socket's descriptor."""
        return self._socket.fileno()

    @property
    def unheard(self) -> int:
        """The number of its own inputs that it has not heard yet."""
        return self.check.missing(self.check.own_slot, self.n)

    def say(self, pad: bytes, now: float) -> None:
        """Says the next input; raises :class:`LoadFailed` if the server does not take it."""
        self.n += 1
        text = make_payload(self.check.speaker, self.n, int(now * MICROS), pad)
        self._send(self.protocol.say(text))

    def receive(self) -> list[int]:
        """Handles the frames that have arrived; returns the times of the client's own texts, in µs.

        Raises :class:`LoadFailed`.
        """
        try:
            data = self._socket.recv(READ_BYTES)
        except BlockingIOError:
            return []
        except OSError as error:
            raise LoadFailed(f"a client lost its socket: {error}") from error
        if not data:
            raise LoadFailed("a server ended a socket without a close frame")
        self._buffer += data
        if not self._is_open and not self._finish_handshake():
            return []
        return self._handle_frames()

    def _finish_handshake(self) -> bool:
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return False
        if not self._buffer.startswith(b"HTTP/1.1 101 "):
            raise LoadFailed(f"a server refused a client: {bytes(self._buffer[:200])!r}")
        del self._buffer[: end + 4]
        self._is_open = True
        self._send(self.protocol.opened())
        return True

    def _handle_frames(self) -> list[int]:
        own = []
        check, seated = self.check, self.protocol.seated
        for opcode, payload in take_frames(self._buffer):
            at = payload.find(MARK) if seated else -1
            if at >= 0 and opcode < CLOSE:
                said_at = check.hear(payload[at : at + HEAD_BYTES])
                if said_at is not None:
                    own.append(said_at)
            elif opcode == PING:
                self._send(masked(PONG, payload))
            elif opcode == CLOSE:
                code, reason = int.from_bytes(payload[:2], "big"), payload[2:]
                raise LoadFailed(f"a server closed a client: {code} {reason!r}")
            elif opcode != PONG:
                self._send(self.protocol.receive(payload))
                seated = self.protocol.seated
        return own

    def _send(self, frame: bytes) -> None:
        try:
            sent = self._socket.send(frame) if frame else 0
        except OSError as error:
            raise LoadFailed(f"a server takes no more from a client: {error}") from error
        if sent < len(frame):
            raise LoadFailed("a server does not read: a client's socket is full")

    def close(self) -> None:
        """Closes the socket without a close frame: the servers are ended next."""
        self._socket.close()
