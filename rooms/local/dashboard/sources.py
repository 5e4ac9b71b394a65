"""The addresses of the nodes that a command asks, as they are now."""

from __future__ import annotations

import socket
from collections.abc import Sequence

import trio

from lastcall.bus.address import HostPort
from lastcall.local.admin_client import ask_all
from lastcall.local.dashboard.options import AdminDns, AdminSource

DNS_EVERY_SECONDS = 2.0
DNS_SECONDS = 1.0
"""A name server that has not answered by then is asked again the next time."""


class Addresses:
    """The addresses of ``sources`` now. A name that cannot be resolved keeps those it had."""

    def __init__(self, sources: Sequence[AdminSource]) -> None:
        self._sources = sources
        self._found: dict[AdminDns, tuple[str, ...]] = {}
        self._due_at = 0.0
        self.unresolved: dict[AdminDns, str] = {}
        """The names that could not be resolved when they were last asked, and why."""

    async def read(self) -> list[str]:
        """Each address once, in the order of the sources; names are asked again every two
        seconds, all at the same time, for one second at most. May be cancelled.
        """
        if trio.current_time() >= self._due_at:
            names = [source for source in self._sources if isinstance(source, AdminDns)]
            await ask_all(names, self._resolve)
            self._due_at = trio.current_time() + DNS_EVERY_SECONDS
        found: dict[str, None] = {}
        for source in self._sources:
            if isinstance(source, AdminDns):
                found |= dict.fromkeys(self._found.get(source, ()))
            else:
                found[str(source)] = None
        return list(found)

    async def _resolve(self, source: AdminDns) -> None:
        host, port = source.address.host, source.address.port
        try:
            with trio.fail_after(DNS_SECONDS):
                found = await trio.socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError, trio.TooSlowError) as error:
            self.unresolved[source] = str(error) or f"no answer within {DNS_SECONDS:g} s"
        else:
            self.unresolved.pop(source, None)
            self._found[source] = tuple(
                sorted({str(HostPort(str(where[0]), port)) for *_, where in found})
            )
