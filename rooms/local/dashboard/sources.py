"""Which nodes a dashboard shows: their admin addresses, or a name that has them all."""

from __future__ import annotations

import socket
from collections.abc import Sequence

import msgspec
import trio

from lastcall.bus.address import HostPort, parse_host_port

DNS_EVERY_SECONDS = 2.0


class AdminDns(msgspec.Struct, frozen=True):
    """``dns://HOST:PORT``: a node at each address that the name has now."""

    address: HostPort

    def __str__(self) -> str:
        return f"dns://{self.address}"


AdminSource = HostPort | AdminDns


def parse_admin(text: str) -> AdminSource:
    """Parses ``HOST:PORT`` or ``dns://HOST:PORT``; raises :class:`lastcall.errors.BadAddress`."""
    if text.startswith("dns://"):
        rest = text.removeprefix("dns://")
        return AdminDns(parse_host_port(rest, example="dns://game.default.svc:9101"))
    return parse_host_port(text)


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
