"""Finds out whether a process listens at an address, by a bare connection without nng."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from socket import AF_UNIX

import trio

from lastcall.bus.address import parse_ipc, parse_url
from lastcall.bus.base import Probe


async def probe(address: str, timeout_seconds: float) -> Probe:
    """Connects to ``address`` and closes at once; sends nothing on the connection.

    The kernel accepts for a frozen process too, so ``REACHED`` does not prove that the process
    runs; only ``REFUSED`` proves something. Raises :class:`lastcall.errors.BadAddress` only.
    """
    dial = _dialler(address)
    with trio.move_on_after(timeout_seconds):
        try:
            stream = await dial()
        except OSError as error:
            return _verdict(error)
        with stream.socket as socket:
            # Rarely, a connection to a port of the ephemeral range connects to itself.
            local = socket.family != AF_UNIX and socket.getsockname()
            return Probe.REFUSED if local == socket.getpeername() else Probe.REACHED
    return Probe.SILENT


def _dialler(address: str) -> Callable[[], Awaitable[trio.SocketStream]]:
    path = parse_ipc(address)
    if path is not None:
        return partial(trio.open_unix_socket, path)
    where = parse_url(address, dialled=True)
    return partial(trio.open_tcp_stream, where.host, where.port)


def _verdict(error: OSError) -> Probe:
    """The result of a failed connection: refused only if each of the host's addresses refused."""
    causes: tuple[BaseException, ...] = (error,)
    if isinstance(error.__cause__, BaseExceptionGroup):
        causes = error.__cause__.exceptions
    gone = (ConnectionRefusedError, FileNotFoundError)  # the latter: a Unix socket's path
    return Probe.REFUSED if all(isinstance(c, gone) for c in causes) else Probe.SILENT
