"""The address of a client behind proxies.

A proxy writes in a header for whom it asks: in ``Forwarded`` (RFC 7239) or in ``X-Forwarded-For``,
each at the right end of what it was sent itself. Anybody can send such a header. So it is read from
the right, and believed only as far as those who wrote it are trusted: the address that counts is
the first one that is not a trusted proxy's. Entries to the left of it are not read.

A hop that is hidden (``unknown``, ``_name``) or cannot be read ends the walk at the proxy that
wrote it. A proxy usually knows one of the two headers, and passes the other on as a client has sent
it; so where both are there, they count only if they say the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

import msgspec

from lastcall.errors import UsageError

FORWARDED = "forwarded"
X_FORWARDED_FOR = "x-forwarded-for"

_NAME = r"[-!#$%&'*+.^_`|~0-9A-Za-z]+"
_QUOTED = r'"(?:[^"\\]|\\.)*"'
_PAIR = re.compile(rf"[ \t]*(?:({_NAME})=({_NAME}|{_QUOTED})[ \t]*)?([;,]|\Z)")
"""A pair of an element, or none, and what ends it. No two parts that can take the same characters
follow each other, or a header of many spaces would take seconds. Possessive quantifiers would say
the same, but Python 3.11.2 reads them wrong."""
_NODE = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([0-9.]+))(?::(?:[0-9]{1,5}|_[-._0-9A-Za-z]+))?")
"""An address with or without a port; IPv6 in brackets (RFC 7239 §6)."""


@lru_cache(maxsize=1024)
def plain_address(text: str) -> str | None:
    """``text`` as an IPv4 or IPv6 address in its one spelling; None if it is neither."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if not isinstance(address, IPv6Address):
        return str(address)
    if address.scope_id is not None:
        return None
    return str(address.ipv4_mapped or address)


class TrustedProxies(msgspec.Struct, frozen=True):
    """The networks of ``--trusted-proxies``; none by default, so that nothing is believed."""

    networks: tuple[IPv4Network | IPv6Network, ...] = ()

    def trusts(self, address: str) -> bool:
        """Whether a trusted proxy has this address, in the spelling of :func:`plain_address`."""
        if not self.networks or not address:
            return False
        parsed = ip_address(address)
        return any(parsed in network for network in self.networks)

    def client(self, peer: str, forwarded: Sequence[str], x_forwarded_for: Sequence[str]) -> str:
        """The address that counts for a request that came from ``peer`` with these headers."""
        if not self.trusts(peer):
            return peer
        said = {
            self._walk(peer, hops(values))
            for hops, values in ((_forwarded, forwarded), (_x_forwarded_for, x_forwarded_for))
            if values
        }
        return said.pop() if len(said) == 1 else peer

    def _walk(self, peer: str, hops: Iterable[str | None]) -> str:
        for hop in hops:
            if hop is None or not self.trusts(peer):
                break
            peer = hop
        return peer


def parse_networks(text: str) -> TrustedProxies:
    """Parses ``--trusted-proxies``; raises :class:`UsageError`."""
    networks = []
    for part in map(str.strip, text.split(",")):
        try:
            networks.append(_plain_network(part))
        except ValueError as error:
            raise UsageError(
                f"{part!r} is not a network ({error}): write addresses or CIDR blocks, comma "
                "separated, such as 10.0.0.0/8,fd00::/8"
            ) from None
    return TrustedProxies(tuple(networks))


def _plain_network(text: str) -> IPv4Network | IPv6Network:
    """The network in the spelling of :func:`plain_address`: IPv4 in IPv6 is IPv4."""
    network = ip_network(text)
    mapped = network.network_address.ipv4_mapped if isinstance(network, IPv6Network) else None
    if mapped is None or network.prefixlen < 96:
        return network
    return IPv4Network((mapped, network.prefixlen - 96))


def _x_forwarded_for(values: Sequence[str]) -> Iterator[str | None]:
    """The hops, the last one first; None for one that cannot be read."""
    for one in reversed(",".join(values).split(",")):
        if hop := one.strip():
            yield plain_address(hop) or _address(hop)


def _forwarded(values: Sequence[str]) -> Iterator[str | None]:
    """The hops, the last one first; None for one that is hidden, or where a line is malformed."""
    for line in reversed(values):
        for senders in reversed(_senders(line)):
            yield _address(_unquoted(senders[0])) if len(senders) == 1 else None


def _senders(line: str) -> list[list[str]]:
    """The values of ``for`` in each element of one header; no value at all if it is malformed.

    A quotation mark that a client has opened must not hide what a proxy has added.
    """
    elements: list[list[str]] = []
    at, named, senders = 0, False, []
    while at < len(line):
        match = _PAIR.match(line, at)
        if match is None:
            return [[]]
        name, value, end = match.groups()
        named |= name is not None
        if name and name.lower() == "for":
            senders.append(value)
        at = match.end()
        if end == "," or at == len(line):
            elements += [senders] if named else []
            named, senders = False, []
    return elements


def _unquoted(value: str) -> str:
    return re.sub(r"\\(.)", r"\1", value[1:-1]) if value.startswith('"') else value


def _address(node: str) -> str | None:
    match = _NODE.fullmatch(node)
    return None if match is None else plain_address(match[1] or match[2])
