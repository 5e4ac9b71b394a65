"""Limits failed resumes by address and by identity, so that guessing tickets is slow.

A ticket has 128 random bits, so this does not protect places: it keeps the load of guesses off the
game nodes, and off other clients' resumes.

* Each address has a count of failed resumes, which decreases by ``per_second``. While it leaves no
  room for one more below ``burst``, attempts are refused. So in any ``w`` seconds at most
  ``burst + w * per_second`` attempts of an address fail, and those that were under way already when
  the count became full. These count too: the address waits all the longer.
* Only failures count: 10 000 honest clients of one address may come at the same instant. The ticket
  of a place that has ended is not a failure, if the game node remembers the place.
* Behind a proxy or one public address many clients share a count. Honest clients are refused (to
  try again later) only while somebody at their address guesses, and never lose their place by it.
* An identity has a count like an address has: a guesser who comes from many addresses meets it.
* A join whose key another identity's seat has is a failed resume. A key that finds no seat is
  mostly that of a first join. But one that names a room, and is refused there as full or locked,
  may be a guess: those have counts of their own, so that nobody's resume waits for them.
* At most ``addresses_max`` addresses are remembered; the one without a failure for longest is
  forgotten first. To gain by an early forgetting takes more than ``addresses_max * per_second``
  failures a second (20 480), each on a socket of its own.
"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from collections.abc import Sequence

import msgspec

ADDRESSES_MAX = 4_096


def origin(host: str) -> str:
    """The address that failures of a peer are counted by: its IPv4 address, or its IPv6 /64
    network, which one subscriber has as a whole. ``""`` for anything else (a Unix socket's peer).
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


def counted_by(address: str, identity: str | None) -> tuple[str, ...]:
    """The names of a client's counts: its address, and the identity with that id if it has one."""
    return (address,) if identity is None else (address, f"identity {identity}")


class _Count(msgspec.Struct, frozen=True):
    failed: float
    at: float


class FailedResumeLimiter:
    """The counts; ``now`` (seconds) must not decrease. The address ``""`` has no count."""

    def __init__(self, burst: int, per_second: float, addresses_max: int = ADDRESSES_MAX) -> None:
        self.burst = burst
        self.per_second = per_second
        self.addresses_max = addresses_max
        self._counts: OrderedDict[str, _Count] = OrderedDict()

    def __len__(self) -> int:
        return len(self._counts)

    def admits(self, address: str, now: float) -> bool:
        """Whether a resume from there may be tried now. If it fails, :meth:`charge` it."""
        return self._leaked(address, now) + 1 <= self.burst

    def charge(self, address: str, now: float) -> None:
        """A resume from there has failed, or looks as if it will."""
        if not address:
            return
        self._counts[address] = _Count(self._leaked(address, now) + 1, now)
        self._counts.move_to_end(address)
        self._forget_quiet(now)

    def give_back(self, address: str, now: float) -> None:
        """A resume that was charged has not failed."""
        failed = self._leaked(address, now) - 1
        if failed > 0:
            self._counts[address] = _Count(failed, now)
        else:
            self._counts.pop(address, None)

    def _leaked(self, address: str, now: float) -> float:
        count = self._counts.get(address)
        return 0.0 if count is None else self._left(count, now)

    def _left(self, count: _Count, now: float) -> float:
        return max(0.0, count.failed - (now - count.at) * self.per_second)

    def _forget_quiet(self, now: float) -> None:
        """Forgets the longest quiet addresses: those without a count, or too many."""
        while self._counts:
            address, count = next(iter(self._counts.items()))
            if len(self._counts) <= self.addresses_max and self._left(count, now) > 0:
                return
            del self._counts[address]


class ClientFailures:
    """The failures of one client, by all of its counts (see :func:`counted_by`)."""

    __slots__ = ("_limiter", "_names")

    def __init__(self, limiter: FailedResumeLimiter, names: Sequence[str]) -> None:
        self._limiter = limiter
        self._names = names

    def admit(self, now: float) -> bool:
        """Whether the client may try now."""
        return all(self._limiter.admits(name, now) for name in self._names)

    def charge(self, now: float) -> None:
        """The client has failed, or looks as if it will."""
        for name in self._names:
            self._limiter.charge(name, now)

    def give_back(self, now: float) -> None:
        """A charge was wrong."""
        for name in self._names:
            self._limiter.give_back(name, now)
