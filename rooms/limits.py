"""How much one client, address or identity may use: the table ``[limits]`` of ``--config``.

An *address* is an IPv4 address, or an IPv6 /64 network, which one subscriber has as a whole. An
*identity* is what ``--auth`` makes of a token. Nodes count on their own: what is allowed twice on
two nodes is allowed twice. A reconnect gives nothing back.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from enum import StrEnum
from functools import lru_cache
from typing import Any

import msgspec

from lastcall.errors import UsageError
from lastcall.nearest import did_you_mean

KIB = 1024
MIB = 1024 * 1024


class Rate(msgspec.Struct, frozen=True, rename="kebab"):
    """``burst`` at once, and ``per_second`` in the long run; both above 0."""

    burst: float
    per_second: float

    def __post_init__(self) -> None:
        if not (1 <= self.burst < float("inf") and 0 < self.per_second < float("inf")):
            raise ValueError("burst is at least 1, and per-second above 0")


class Limit(StrEnum):
    """The label ``limit`` of the metric ``lastcall_limited_total``: which limit refused."""

    SOCKETS = "sockets"
    SOCKETS_PER_ADDRESS = "sockets_per_address"
    SOCKETS_PER_IDENTITY = "sockets_per_identity"
    HANDSHAKES = "handshakes"
    HANDSHAKES_PER_ADDRESS = "handshakes_per_address"
    JOINS = "joins"
    FAILED_RESUMES = "failed_resumes"
    INPUTS = "inputs"
    INPUT_BYTES = "input_bytes"
    ROOMS = "rooms"
    ROOMS_OPENED = "rooms_opened"
    SEATS_PER_ADDRESS = "seats_per_address"
    SEATS_PER_IDENTITY = "seats_per_identity"
    LINKS = "links"
    ADMIN_CONNECTIONS = "admin_connections"


class Limits(msgspec.Struct, frozen=True, rename="kebab", forbid_unknown_fields=True):
    """The limits of a node, api or game; each is the key of the same name, with dashes.

    The defaults are wide: many players share an address at a school, at a carrier, or behind a
    balancer that ``--trusted-proxies`` does not name.
    """

    sockets: int = 50_000
    """Clients of an api node; at most as many as it has descriptors for. Beyond it: 503."""
    sockets_per_address: int = 10_000
    sockets_per_identity: int = 16
    handshakes_per_address: int = 1_000
    """Handshakes under way; a connection beyond them is closed."""
    handshakes: Rate = Rate(5_000, 200)
    """New handshakes of an address. Beyond it: 503."""
    joins_per_client: Rate = Rate(100, 50)
    joins: Rate = Rate(5_000, 200)
    """Joins of an address, and of an identity. Beyond it: ``too_many``."""
    failed_resumes: Rate = Rate(20, 5)
    """Resumes of an address or identity that fail, and joins with a wrong key. Beyond it: 1013."""
    inputs: Rate = Rate(4_000, 2_000)
    """Frames of a client. Beyond it: 4101."""
    input_bytes: Rate = Rate(64 * MIB, 32 * MIB)
    """Bytes of a client's frames. Beyond it: 4101."""
    rooms: int = 100_000
    """Rooms of a game node. Beyond it: ``full``."""
    rooms_opened: Rate = Rate(1_000, 20)
    """Rooms that an address, or an identity, opens on a game node. Beyond it: ``too_many``."""
    seats_per_address: int = 10_000
    """Seats at once on a game node, of players who are away too. Beyond it: ``too_many``."""
    seats_per_identity: int = 64
    links: int = 512
    """Connections at the port for other nodes (``--listen`` of a game node, ``--feed`` of an api
    node). Beyond it: the connection is closed."""
    links_per_address: int = 64
    admin_connections: int = 64
    """Connections at the admin port. Beyond it, the oldest of the address with the most ends."""
    accounts: int = 20_000
    """Addresses and identities whose rates are remembered; the longest quiet is forgotten first."""

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if isinstance(value, int) and value < 1:
                raise ValueError(f"{name.replace('_', '-')} is {value}; it is at least 1")


def read_limits(table: Mapping[str, Any], source: str) -> Limits:
    """The limits that ``table`` sets, and the defaults of the others.

    Raises :class:`UsageError` with the key that is wrong; ``source`` is named in it.
    """
    keys = Limits.__struct_encode_fields__
    for key in table.keys() - keys:
        hint = did_you_mean(key, keys) or f"; its keys: {', '.join(keys)}"
        raise UsageError(f"{source} [limits]: there is no limit {key!r}{hint}")
    try:
        return msgspec.convert(table, Limits)
    except msgspec.ValidationError as error:
        raise UsageError(f"{source} [limits]: {error}") from error


def write_limits(limits: Limits) -> str:
    """The text of a file from which :func:`read_limits` gets equal limits."""
    lines = ["[limits]"]
    for key, value in msgspec.to_builtins(limits).items():
        if isinstance(value, dict):
            rate = ", ".join(f"{name} = {number!r}" for name, number in value.items())
            lines.append(f"{key} = {{ {rate} }}")
        else:
            lines.append(f"{key} = {value}")
    return "\n".join(lines) + "\n"


@lru_cache(maxsize=1024)  # of a client it is asked several times in a row, and takes 10 µs
def address_account(host: str) -> str:
    """The account of a peer: its IPv4 address, or its IPv6 /64 network, which one subscriber has
    as a whole; ``""`` for anything else.
    """
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return ""
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if (mapped := address.ipv4_mapped) is not None:
        return str(mapped)
    return str(ipaddress.IPv6Address(int(address) >> 64 << 64))
