"""The client at the other end of a socket, as its handshake has shown it."""

from __future__ import annotations

from math import inf

import msgspec

from lastcall.core.accounts import accounts_of
from lastcall.identity import Identity


class Guest(msgspec.Struct, frozen=True):
    """A client, as its handshake has shown it.

    ``address`` is as :func:`lastcall.core.accounts.address_account` says. ``identity`` is None for
    an anonymous client, and needs a new proof at ``until`` (trio time).
    """

    address: str = ""
    identity: Identity | None = None
    until: float = inf

    @property
    def identity_id(self) -> str:
        """The id of the identity; "" for an anonymous client."""
        return "" if self.identity is None else self.identity.id

    @property
    def accounts(self) -> tuple[str, ...]:
        """The accounts that limits count by what the client does."""
        return accounts_of(self.address, self.identity_id or None)
