"""How many connections a port for other nodes takes, before it knows who they are.

Each costs a descriptor, and up to a whole unread message of memory. One that is over a bound is
closed at once, and counted. Connections that have not yet said that they speak nng's protocol are
not counted here: see :mod:`lastcall.bus.silent_connections`.
"""

from __future__ import annotations

from collections import Counter

import msgspec

from lastcall.limits import Limits, address_account


class ConnectionBounds(msgspec.Struct, frozen=True):
    """``per_address``: from one IPv4 address, or one /64 of IPv6."""

    total: int = Limits().links
    per_address: int = Limits().links_per_address


class Connections:
    """The connections of one port, by id. nng calls this from threads of its own, one at a time."""

    def __init__(self, bounds: ConnectionBounds) -> None:
        self._bounds = bounds
        self._origins: dict[int, tuple[str, int]] = {}
        self._counts: Counter[str] = Counter()
        self.refused = 0

    def __len__(self) -> int:
        return len(self._origins)

    def ports(self) -> set[int]:
        """The remote ports of the connections."""
        return {port for _, port in list(self._origins.values())}

    def admit(self, number: int, host: str, port: int = 0) -> bool:
        """Whether connection ``number`` from there may stay; it is counted then."""
        origin = address_account(host)
        full = len(self._origins) >= self._bounds.total
        if full or self._counts[origin] >= self._bounds.per_address:
            self.refused += 1
            return False
        self._origins[number] = origin, port
        self._counts[origin] += 1
        return True

    def gone(self, number: int) -> None:
        """The connection is closed; nothing happens if it was not admitted."""
        origin, _ = self._origins.pop(number, (None, 0))
        if origin is not None:
            self._counts[origin] -= 1
            if not self._counts[origin]:
                del self._counts[origin]
