"""Which address a game node dials for another node's feed.

An attach names the address. A stranger must not be able to make a node connect to whatever they
like, so only three kinds of host are dialled:

* the address from which the attach came, or a name that resolves to it;
* a host of this machine, if the attach came from this machine;
* what ``--apis`` lists: names, addresses, and networks in CIDR notation (RFC 4632).
"""

from __future__ import annotations

import enum
from collections.abc import Collection
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)

import msgspec

from lastcall.errors import UsageError
from lastcall.peer import Peer

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


class AllowedApis(msgspec.Struct, frozen=True):
    """The hosts that ``--apis`` lists."""

    names: frozenset[str] = frozenset()
    networks: tuple[Network, ...] = ()

    def contains(self, address: Address) -> bool:
        """Whether a listed address or network has ``address``."""
        return any(address in network for network in self.networks)


class Answer(enum.Enum):
    """The cases without an address to dial."""

    LOOK_UP = "look up"
    """The host is a name: resolve it and ask again."""
    REFUSE = "refuse"


def parse_apis(text: str) -> AllowedApis:
    """Parses the value of ``--apis``; raises :class:`lastcall.errors.UsageError`."""
    names, networks = set(), []
    for part in filter(None, (part.strip() for part in text.split(","))):
        try:
            networks.append(ip_network(part.strip("[]")))
        except ValueError as error:
            if "/" in part or ":" in part or part.replace(".", "").isdigit():
                raise UsageError(
                    f"--apis: {part!r} is not a host name, an address or a network such as "
                    f"10.0.0.0/8 ({error})"
                ) from error
            names.add(part.lower())
    return AllowedApis(frozenset(names), tuple(networks))


def feed_host(
    host: str, peer: Peer, allowed: AllowedApis, resolved: Collection[str] | None = None
) -> str | Answer:
    """The host to dial for a feed at ``host``: an IP address, or a name from ``--apis``.

    ``resolved`` are the addresses of ``host``, if they were looked up. A name that resolves to
    several addresses is dialled by the one that is allowed, so that it cannot change later.
    """
    if host.lower() in allowed.names:
        return host
    known = [host] if _address(host) else resolved
    if host.lower() == "localhost":  # RFC 6761 §6.3
        known = ["127.0.0.1"]
    if known is None:
        return Answer.LOOK_UP
    for text in known:
        address = _address(text)
        if address is not None and _may_dial(address, peer, allowed):
            return host if host.lower() == "localhost" else str(address)
    return Answer.REFUSE


def _may_dial(address: Address, peer: Peer, allowed: AllowedApis) -> bool:
    if allowed.contains(address) or address == _address(peer.host):
        return True
    own = _address(peer.host)
    here = peer.same_machine or (own is not None and own.is_loopback)
    return here and address.is_loopback


def _address(text: str) -> Address | None:
    """The IP address; an IPv4 address inside an IPv6 one (RFC 4291 §2.5.5.2) is the IPv4 one."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
