"""How much of a client's output its kernel buffer takes, and the room that is kept in it.

A client that does not read fills our kernel's buffer, which grows to megabytes. Then a close frame
would not leave before the client reads again, and a socket cannot be kept for that long: the client
would see a bare end where it should see 4100. So the buffer takes :data:`UNSENT_BYTES` beyond what
is on its way, and a client that is closed for not reading gets all the rest of it. The kernel
delivers that after our close, as long as it tries (about a minute on Linux).
"""

from __future__ import annotations

import contextlib
import socket

import trio
import trio.abc

from lastcall.api.socket.pumped_stream import PumpedStream

UNSENT_BYTES = 128 * 1024
"""At least one chunk of the flusher; a healthy client has hardly anything unsent."""
NO_LIMIT = 0x7FFF_FFFF
LAST_BYTES = 512 * 1024
"""The frames that have begun to leave: a chunk, a message of the largest size, a close."""


def tcp_socket(stream: trio.abc.Stream) -> trio.socket.SocketType | None:
    """The socket under ``stream``, also under TLS; None for one in memory."""
    while isinstance(stream, trio.SSLStream):
        stream = stream.transport_stream
    return stream.socket if isinstance(stream, trio.SocketStream | PumpedStream) else None


def keep_room(end: trio.socket.SocketType | None) -> None:
    """Limits what waits in the kernel. Changes nothing where the system cannot do that."""
    _limit_unsent(end, UNSENT_BYTES)


def use_room(end: trio.socket.SocketType | None) -> None:
    """Lets the kernel take what is left; a task that waits to write is woken."""
    if end is None:
        return
    with contextlib.suppress(OSError):
        if end.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) < LAST_BYTES:
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, LAST_BYTES)
    _limit_unsent(end, NO_LIMIT)


def _limit_unsent(end: trio.socket.SocketType | None, size: int) -> None:
    if end is not None and hasattr(socket, "TCP_NOTSENT_LOWAT"):
        with contextlib.suppress(OSError):  # a Unix socket, or one that is closed already
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, size)
