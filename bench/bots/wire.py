"""A bot's socket: bytes out, whole frames in, and an end that may come at any time."""

from __future__ import annotations

import socket
import struct

from lastcall.bench.load.frame_builder import take_frames

__all__ = ["Wire"]

READ_BYTES = 64 * 1024
RESET = struct.pack("ii", 1, 0)
"""``SO_LINGER`` for 0 s: the close is a reset."""


class Wire:
    """A non-blocking socket that has shaken hands; ``rest`` is what came with that."""

    __slots__ = ("_buffer", "_socket")

    def __init__(self, connected: socket.socket, rest: bytes) -> None:
        self._socket = connected
        self._buffer = bytearray(rest)

    def fileno(self) -> int:
        """The socket's descriptor."""
        return self._socket.fileno()

    @property
    def ports(self) -> tuple[int, int] | None:
        """The local port and the other end's: only both together name the connection.

        None when it is over.
        """
        try:
            return self._socket.getsockname()[1], self._socket.getpeername()[1]
        except OSError:
            return None

    def send(self, data: bytes) -> bool:
        """Sends all of ``data``; False when the other end does not read.

        On a socket that is over it goes nowhere: the next :meth:`read` says so.
        """
        try:
            return self._socket.send(data) == len(data)
        except BlockingIOError:
            return False
        except OSError:
            return True

    def read(self) -> bool:
        """Takes in what has come; False when the socket is over."""
        try:
            data = self._socket.recv(READ_BYTES)
        except BlockingIOError:
            return True
        except OSError:
            return False
        self._buffer += data
        return bool(data)

    def frames(self) -> list[tuple[int, bytes]]:
        """The whole frames that were taken in: opcode and payload of each."""
        return take_frames(self._buffer)

    def close(self) -> None:
        """Closes the socket."""
        self._socket.close()

    def reset(self) -> None:
        """Has the close be a reset, as when a network breaks."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
