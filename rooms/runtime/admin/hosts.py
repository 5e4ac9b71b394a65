"""The hosts by which a node is asked, and those that a page has rebound to its address.

A page may resolve its own name to our address (DNS rebinding), and then read what we answer as its
own. But its name is in ``Host``: so names are right only if they were configured. IP addresses
always are, since nobody can rebind them, and kubelet and Prometheus ask by address.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import ip_address

from lastcall.bus.address import is_host
from lastcall.errors import BadAddress

_HOST = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<name>[A-Za-z0-9_.-]+))(?::[0-9]{1,5})?")


class KnownHosts:
    """The names of one node. ``names`` are compared without case and without a final dot."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._names = frozenset({"localhost", *map(_normal, names)})

    def __contains__(self, header: object) -> bool:
        """Whether the value of a ``Host`` header, with or without a port, is right."""
        found = _HOST.fullmatch(header) if isinstance(header, str) else None
        if found is None:
            return False
        host = found["v6"] or found["name"]
        return _is_address(host) or _normal(host) in self._names


def parse_hosts(text: str) -> tuple[str, ...]:
    """Parses ``NAME,…`` for ``--admin-hosts``; raises :class:`BadAddress`."""
    names = tuple(part.strip() for part in text.split(",")) if text else ()
    for name in names:
        if not is_host(name):
            raise BadAddress(
                f"{name!r} is not a host: give names without a port, comma separated, such as "
                "game-1.example.com"
            )
    return names


def _normal(name: str) -> str:
    return name.lower().removesuffix(".")


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
