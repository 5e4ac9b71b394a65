"""The limits of an api node, counted by address and by identity."""

from __future__ import annotations

from lastcall.core.accounts import RateLimiter, Tally
from lastcall.limits import Limits


class ClientLimits:
    """The counts of one api node; a client that reconnects finds them as they were."""

    def __init__(self, limits: Limits) -> None:
        self.half_open = Tally(limits.handshakes_per_address)
        self.handshakes = RateLimiter(limits.handshakes, limits.accounts)
        self.sockets_by_address = Tally(limits.sockets_per_address)
        self.sockets_by_identity = Tally(limits.sockets_per_identity)
        self.joins = RateLimiter(limits.joins, limits.accounts)
        self.failed_resumes = RateLimiter(limits.failed_resumes, limits.accounts)
        self.refused_keys = RateLimiter(limits.failed_resumes, limits.accounts)
