"""The limits of an api node, counted by address and by identity."""

from __future__ import annotations

from collections import Counter

import trio

from lastcall.api.sessions.guest import Guest
from lastcall.core.accounts import ClientCharges, RateLimiter, Tally
from lastcall.core.edge.token_bucket import TokenBucket
from lastcall.limits import Limit, Limits


class ClientLimits:
    """The counts of one api node; a client that reconnects finds them as they were.

    ``refused`` gets the number of refusals of each limit.
    """

    def __init__(self, limits: Limits, refused: Counter[Limit]) -> None:
        self.refused = refused
        self.failed_resumes = RateLimiter(limits.failed_resumes, limits.accounts)
        self.refused_keys = RateLimiter(limits.failed_resumes, limits.accounts)
        self.half_open = Tally(limits.handshakes_per_address)
        self._joins = RateLimiter(limits.joins, limits.accounts)
        self._handshakes = RateLimiter(limits.handshakes, limits.accounts)
        self._of_addresses = Tally(limits.sockets_per_address)
        self._of_identities = Tally(limits.sockets_per_identity)

    def may_begin(self, address: str) -> bool:
        """Whether another handshake from there may be under way."""
        return self.half_open.admits(address) or self._refuse(Limit.HANDSHAKES_PER_ADDRESS)

    def take_handshake(self, address: str) -> bool:
        """Counts a handshake from there; returns whether it may go on."""
        admitted = self._handshakes.take((address,), trio.current_time())
        return admitted or self._refuse(Limit.HANDSHAKES)

    def may_connect(self, guest: Guest) -> bool:
        """Whether the client may have another socket."""
        if not self._of_addresses.admits(guest.address):
            return self._refuse(Limit.SOCKETS_PER_ADDRESS)
        admitted = self._of_identities.admits(guest.identity_id)
        return admitted or self._refuse(Limit.SOCKETS_PER_IDENTITY)

    def connected(self, guest: Guest) -> None:
        """Counts a socket until :meth:`disconnected`."""
        self._of_addresses.add(guest.address)
        self._of_identities.add(guest.identity_id)

    def disconnected(self, guest: Guest) -> None:
        """The socket is gone."""
        self._of_addresses.remove(guest.address)
        self._of_identities.remove(guest.identity_id)

    def may_ask(self, guest: Guest, asked: TokenBucket, *, join: bool) -> bool:
        """Whether the client may ask for a place: ``asked`` is what its socket has left, and for a
        ``join`` its address and identity count, too.
        """
        now = trio.current_time()
        admitted = asked.take(now) and (not join or self._joins.take(guest.accounts, now))
        return admitted or self._refuse(Limit.JOINS)

    def may_fail(self, charges: ClientCharges) -> bool:
        """Whether the client may try what may fail: a resume, or a join with a key."""
        return charges.admitted(trio.current_time()) or self._refuse(Limit.FAILED_RESUMES)

    def _refuse(self, limit: Limit) -> bool:
        self.refused[limit] += 1
        return False
