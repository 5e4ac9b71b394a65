"""Who is at the other end of a client's socket."""

from __future__ import annotations

from math import inf

import msgspec

from lastcall.core.edge.ticket_rate_limit import counted_by
from lastcall.identity import Identity


class Guest(msgspec.Struct, frozen=True):
    """What the handshake has told of a client.

    ``address`` is the one that its failures are counted by; "" if it is not known. ``identity`` is
    None for an anonymous client, and is to be proved again at ``until`` (trio time).
    """

    address: str = ""
    identity: Identity | None = None
    until: float = inf

    @property
    def counted_by(self) -> tuple[str, ...]:
        """The names of the client's counts in the limiters of failures."""
        return counted_by(self.address, None if self.identity is None else self.identity.id)
