"""Parses the addresses in options: a host to advertise, and a port for clients."""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address
from typing import TypeAlias

import msgspec

from lastcall.bus.address import HostPort, is_host, is_wildcard, parse_host_port
from lastcall.errors import BadAddress


class InheritedSocket(msgspec.Struct, frozen=True):
    """``fd:N``: a listening socket that the process has inherited."""

    descriptor: int

    def __str__(self) -> str:
        return f"fd:{self.descriptor}"


ListenAddress: TypeAlias = HostPort | InheritedSocket
"""Where a node listens for clients."""


def parse_host(text: str) -> str:
    """Parses a host name or IP address for ``--advertise``: one that other nodes can dial."""
    bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    if is_wildcard(bare):
        raise BadAddress(
            f"{text!r} means every interface, which nobody can dial: give the name or IP address "
            "by which other nodes reach this node, such as 10.0.0.5"
        )
    if not is_host(bare) or "%" in bare:  # a zone is valid on this machine only, and nng refuses it
        raise BadAddress(f"{text!r} is not a host: give a name or an IP address without a port")
    return bare


def parse_listen(text: str) -> ListenAddress:
    """Parses ``HOST:PORT`` or ``fd:N``, for a client port."""
    if text.startswith("fd:"):
        number = text.removeprefix("fd:")
        if not (number.isascii() and number.isdigit()):
            raise BadAddress(f"{text!r}: give fd:N with the number of an open socket, such as fd:3")
        return InheritedSocket(int(number))
    return parse_host_port(text, example="127.0.0.1:8080, or fd:3 for an inherited socket")


def unmapped(host: str) -> str:
    """The IPv4 address of ``::ffff:10.0.0.5``, as which a socket for both protocols shows it; any
    other host as it is.
    """
    try:
        address = ip_address(host)
    except ValueError:
        return host
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return host if mapped is None else str(mapped)


def is_loopback(host: str) -> bool:
    """Whether the host is this machine's own: ``localhost``, or a loopback address."""
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return host.lower() == "localhost"
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)
