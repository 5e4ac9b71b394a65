"""The answers to a handshake: an entry as somebody, or a denial."""

from __future__ import annotations

import zlib
from collections.abc import Awaitable, Callable
from math import inf
from typing import Protocol

import msgspec
import trio

from lastcall.core.edge.opening_request import OpeningRequest
from lastcall.identity import Identity

IDENTITY_BYTES_MAX = 4 * 1024
"""As it goes to game nodes: the id, the name and the claims of a client."""
REASON_BYTES_MAX = 120
"""A close frame has room for a little more (RFC 6455 §5.5)."""

SPREAD_SECONDS = 5.0
"""How long after the end of its token a client is told to move, at the most."""

Clock = Callable[[], float]
"""Seconds since 1970."""


class Entry(msgspec.Struct, frozen=True):
    """A client that comes in, as whom, and until when (trio time)."""

    identity: Identity | None = None
    """None where nobody is asked: an anonymous client."""
    until: float = inf


class Denial(msgspec.Struct, frozen=True):
    """A client that does not come in: HTTP ``status`` 401 or 403, or 503 for *not now*."""

    status: int
    reason: str


Question = Callable[[], Awaitable[Entry | Denial]]
"""Asks somebody who a client is, once; raises nothing but ``Cancelled``."""


class Auth(Protocol):
    """The rule of a node, by which its clients come in."""

    def admit(self, request: OpeningRequest, address: str) -> Entry | Denial | Question:
        """The answer to the client at ``address``, or the question that has to be asked; raises
        nothing.
        """

    async def run(self) -> None:
        """Does whatever else the rule needs, until cancelled; before that, nobody comes in."""


UNAVAILABLE = Denial(503, "nobody can say who you are now")

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Identity).decode


def as_sent(identity: Identity) -> Identity:
    """``identity`` as game nodes will read it, a copy. Raises the errors of :func:`encoded`, and
    ``ValidationError`` if they could not read it.
    """
    return _decode(encoded(identity))


def encoded(identity: Identity) -> bytes:
    """``identity`` as it is sent to game nodes.

    Raises ``ValueError`` if it is too big, and whatever msgspec raises for claims that cannot be
    sent: ``TypeError``, ``OverflowError``, ``RecursionError``.
    """
    sent = _encode(identity)
    if len(sent) > IDENTITY_BYTES_MAX:
        raise ValueError(
            f"an identity has {IDENTITY_BYTES_MAX} bytes at most; this has {len(sent)}"
        )
    return sent


def entry(identity: Identity, now: float) -> Entry | Denial:
    """The entry of ``identity`` at ``now`` (seconds since 1970); a denial if its time is over."""
    if identity.until is None:
        return Entry(identity)
    left = identity.until - now
    if left <= 0:
        return Denial(401, "the token has expired")
    return Entry(identity, trio.current_time() + left + _spread(identity))


def _spread(identity: Identity) -> float:
    """Between 0 and :data:`SPREAD_SECONDS`, so that tokens which end together do not come together:
    always the same for an identity.
    """
    return SPREAD_SECONDS * zlib.crc32(identity.id.encode()) / 2**32


def one_line(reason: object) -> str:
    """``reason`` as a close frame can carry it."""
    text = " ".join(reason.split()) if isinstance(reason, str) else ""
    return text.encode(errors="replace")[:REASON_BYTES_MAX].decode(errors="ignore")
