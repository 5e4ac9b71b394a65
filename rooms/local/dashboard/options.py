"""Names the nodes that a command asks: their admin addresses, or a name that has them all."""

from __future__ import annotations

import msgspec

from lastcall.bus.address import HostPort, parse_host_port


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
