"""The addresses of the nodes that a command asks, as they are now."""

from __future__ import annotations

import socket
from collections.abc import Sequence

import trio

from lastcall.bus.address import HostPort
from lastcall.local.dashboard.options import AdminDns, AdminSource

DNS_EVERY_SECONDS = 2.0


class Addresses:
    """The addresses of ``sources`` now. A name that cannot be resolved keeps those it had."""

    def __init__(self, sources: Sequence[AdminSource]) -> None:
        self._sources = sources
        self._found: dict[AdminDns, tuple[str, ...]] = {}
        self._due_at = 0.0

    async def read(self) -> list[str]:
        """Each address once, in the order of the sources; names are asked again every two
        seconds. May be cancelled.
        """
        if trio.current_time() >= self._due_at:
            self._due_at = trio.current_time() + DNS_EVERY_SECONDS
            for source in self._sources:
                if isinstance(source, AdminDns):
                    self._found[source] = await _resolve(source, self._found.get(source, ()))
        found: dict[str, None] = {}
        for source in self._sources:
            if isinstance(source, AdminDns):
                found |= dict.fromkeys(self._found.get(source, ()))
            else:
                found[str(source)] = None
        return list(found)


async def _resolve(source: AdminDns, before: tuple[str, ...]) -> tuple[str, ...]:
    host, port = source.address.host, source.address.port
    try:
        found = await trio.socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError:
        return before
    return tuple(sorted({str(HostPort(str(where[0]), port)) for *_, where in found}))
