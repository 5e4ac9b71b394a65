"""Whether a client reads, as far as its kernel shows."""

from __future__ import annotations

import socket
import struct

import trio

ACKED = struct.Struct("@120xQ")
"""``tcpi_bytes_acked`` in Linux's ``struct tcp_info`` (since 4.1)."""


class Reading:
    """Notes when a client last read something while something waited for it.

    Over TCP, a client reads while its kernel takes bytes: for a program that does not read, it
    takes no more than a buffer. Our own kernel takes megabytes at once, and then nothing until a
    third of them has left; so what it takes counts only where the client's kernel is not known.
    A kernel says that it takes more by whole segments: 1.4 KiB, or 64 KiB over loopback.
    """

    __slots__ = ("_bytes", "_socket", "at")

    def __init__(self, end: trio.socket.SocketType | None, now: float) -> None:
        self._socket = end if hasattr(socket, "TCP_INFO") else None
        """None if the client's kernel cannot be asked."""
        self._bytes = -1
        self.at = now
        """When the client last read, as :meth:`note` has seen it (trio time)."""

    def note(self, sent: int, now: float) -> None:
        """Something waits, and ``sent`` bytes of what waited have left; call it once a second."""
        taken = self.taken(sent)
        if taken != self._bytes:
            self._bytes, self.at = taken, now

    def forget(self) -> None:
        """Nothing waits: the next :meth:`note` begins anew."""
        self._bytes = -1

    def taken(self, sent: int) -> int:
        """A number that grows when the client reads."""
        if self._socket is None:
            return sent
        try:
            info = self._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, ACKED.size)
            return int(ACKED.unpack(info)[0])
        except (OSError, struct.error):  # not TCP, an old kernel, or closed already
            self._socket = None
            return sent
