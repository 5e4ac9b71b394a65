"""A bot's socket: bytes out, whole frames in, and an end that may come at any time."""

from __future__ import annotations

import socket
import struct

import trio

from lastcall.bench.load.frame_builder import take_frames

READ_BYTES = 64 * 1024
RESET = struct.pack("ii", 1, 0)
"""``SO_LINGER`` of 0 s: closing the socket sends a reset."""


class Connection:
    """A non-blocking WebSocket after its handshake; ``rest`` are the bytes that followed it."""

    __slots__ = ("_buffer", "_socket", "answered")

    def __init__(self, connected: socket.socket, rest: bytes) -> None:
        self._socket = connected
        self._buffer = bytearray(rest)
        self.answered = trio.Event()
        """Set when the join or resume is answered, and when the connection ends."""

    def fileno(self) -> int:
        """The socket's descriptor."""
        return self._socket.fileno()

    @property
    def ports(self) -> tuple[int, int] | None:
        """The local and the remote port, which name the connection only together; None once the
        socket has ended.
        """
        try:
            return self._socket.getsockname()[1], self._socket.getpeername()[1]
        except OSError:
            return None

    def send(self, data: bytes) -> bool:
        """Sends all of ``data``; False if the peer does not read.

        On a socket that has ended the data is discarded: the next :meth:`read` reports the end.
        """
        try:
            return self._socket.send(data) == len(data)
        except BlockingIOError:
            return False
        except OSError:
            return True

    def read(self) -> bool:
        """Buffers the bytes that have arrived; False if the socket has ended."""
        try:
            data = self._socket.recv(READ_BYTES)
        except BlockingIOError:
            return True
        except OSError:
            return False
        self._buffer += data
        return bool(data)

    def frames(self) -> list[tuple[int, bytes]]:
        """Removes the whole frames from the buffer: opcode and payload of each."""
        return take_frames(self._buffer)

    def close(self) -> None:
        """Closes the socket."""
        self._socket.close()

    def reset_on_close(self) -> None:
        """Makes :meth:`close` send a reset, as when a network breaks."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
