"""The identity of a client: what an ``--auth`` function is given, and what it answers.

::

    async def auth(handshake: Handshake) -> Identity:
        account = await accounts.find(handshake.token)
        if account is None:
            raise Refuse(401, "log in first")
        return Identity(account.id, name=account.name, until=account.token_ends_at)

An id is not a secret: rooms may show it. A token is, and no ``repr`` here shows one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any, Literal, get_args

import msgspec

__all__ = ["Handshake", "Identity", "Refuse"]

ID_CHARS_MAX = 256
NAME_CHARS_MAX = 64
"""As long as the ``name`` of a client's ``join``."""
BEARER = "bearer."
"""The beginning of the subprotocol that is a token."""

RefusalStatus = Literal[401, 403]


class Identity(msgspec.Struct, frozen=True, omit_defaults=True):
    """One person or account, whatever socket, token or device they come with.

    * ``id``: 1 to 256 characters; two clients with the same id are the same person.
    * ``name``: how others see them, in place of the name that their client gives. A longer name is
      cut to 64 characters. None: the client chooses its name.
    * ``claims``: what else rooms should know; anything that JSON can hold, up to 4 KiB.
    * ``until``: when the proof of it ends, in seconds since 1970. The socket is then told to move,
      and its client comes back with a new token. None: never.

    Raises ``TypeError`` or ``ValueError`` for anything else.
    """

    id: str
    name: str | None = None
    claims: dict[str, Any] = {}
    until: float | None = None

    def __post_init__(self) -> None:
        _check_text("id", self.id)
        if not 1 <= len(self.id) <= ID_CHARS_MAX:
            raise ValueError(f"an id has 1 to {ID_CHARS_MAX} characters; got {len(self.id)}")
        if self.name is not None:
            _check_text("name", self.name)
            if len(self.name) > NAME_CHARS_MAX:
                msgspec.structs.force_setattr(self, "name", self.name[:NAME_CHARS_MAX])
        if not isinstance(self.claims, dict):
            raise TypeError(f"claims are a dict; got {type(self.claims).__name__}")
        until = self.until
        if until is not None and not (type(until) in {int, float} and isfinite(until)):
            raise ValueError("until is a finite number of seconds since 1970, or None")


def _check_text(field: str, value: object) -> None:
    """Raises ``TypeError`` for what is not a text, ``ValueError`` for half of a surrogate pair."""
    if not isinstance(value, str):
        raise TypeError(f"the {field} of an identity is a text; got {type(value).__name__}")
    value.encode()


class Refuse(Exception):
    """Raised by an ``--auth`` function: this client does not come in.

    ``status`` is 401 (who are you?) or 403 (not you). The client sees ``reason``: one line, of
    which 120 bytes are sent.
    """

    def __init__(self, status: RefusalStatus, reason: str = "") -> None:
        if status not in get_args(RefusalStatus):
            raise ValueError(f"Refuse takes 401 or 403; got {status!r}")
        super().__init__(status, reason)
        self.status = status
        self.reason = reason


@dataclass(frozen=True, repr=False)
class Handshake:
    """A client's request for a WebSocket (RFC 6455 §4.1), as an ``--auth`` function sees it.

    ``headers`` have names in lower case; a repeated header's values are joined by ``", "``.
    ``query`` has the first value of each parameter. ``address`` is the client's IP address, or
    empty if it is not known. ``subprotocols`` are those that the client offers, in order.
    """

    headers: Mapping[str, str]
    path: str
    query: Mapping[str, str]
    address: str
    subprotocols: tuple[str, ...]

    def __repr__(self) -> str:
        return f"Handshake(path={self.path!r}, address={self.address!r}, …)"

    @property
    def token(self) -> str | None:
        """The client's token: from ``Authorization: Bearer T``, the subprotocol ``bearer.T`` (what
        browsers can send), or ``?token=T``, in this order; None without one.
        """
        return next(iter(self.tokens), None)

    @property
    def tokens(self) -> list[str]:
        """Every token in the request, all of which are secrets."""
        found = bearer_tokens(self.headers.get("authorization", ""), self.subprotocols)
        in_query = self.query.get("token")
        return [*found, in_query] if in_query else found


def bearer_tokens(authorization: str, subprotocols: Iterable[str]) -> list[str]:
    """The tokens in the header ``Authorization``, and in the subprotocols that a client offers."""
    scheme, _, given = authorization.partition(" ")
    found = [given.strip()] if scheme.lower() == "bearer" else []
    found += [one.removeprefix(BEARER) for one in subprotocols if one.startswith(BEARER)]
    return [token for token in found if token]
