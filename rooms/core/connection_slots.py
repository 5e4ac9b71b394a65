"""Decides which connection gives way when a port has as many as it may have.

A newcomer always gets a slot, since a probe that waits behind idle strangers is a failed probe. The
one that gives way belongs to the address with the most connections, and is its oldest: an address
cannot take a slot from one that holds fewer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)


class ConnectionSlots(Generic[Key]):
    """The open connections of a port, by key, at most ``limit``."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._addresses: dict[Key, str] = {}
        self._counts: Counter[str] = Counter()
        self.gave_way = 0
        """How many connections had to end for another."""

    def __len__(self) -> int:
        return len(self._addresses)

    def add(self, key: Key, address: str) -> Key | None:
        """Adds a connection; returns the one that gives way to it, which is removed already."""
        victim = self._victim(address) if len(self) >= self._limit else None
        if victim is not None:
            self.remove(victim)
            self.gave_way += 1
        self._addresses[key] = address
        self._counts[address] += 1
        return victim

    def _victim(self, newcomer: str) -> Key:
        counts = self._counts
        most = max(counts, key=lambda address: (counts[address], address == newcomer))
        return next(key for key, address in self._addresses.items() if address == most)

    def remove(self, key: Key) -> None:
        """Frees the slot of a connection that has ended; it may be gone already."""
        address = self._addresses.pop(key, None)
        if address is None:
            return
        self._counts[address] -= 1
        if not self._counts[address]:
            del self._counts[address]
