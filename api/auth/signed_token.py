"""The parts of a signed token (RFC 7515 §7.1), of which nobody has verified anything yet.

PyJWT's ``decode`` reads a token too, but looks at each of its characters in Python, which takes
longer than to verify an RSA signature. ``tests/api/auth`` compares the two.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any

import msgspec


class Header(msgspec.Struct):
    """The part of a token's header that counts. ``crit`` and ``b64`` make a token unreadable: here,
    nobody knows the extensions that it needs (RFC 7515 §4.1.11, RFC 7797).
    """

    alg: Any = None
    kid: str | msgspec.UnsetType = msgspec.UNSET
    crit: msgspec.UnsetType = msgspec.UNSET
    b64: msgspec.UnsetType = msgspec.UNSET


class SignedToken(msgspec.Struct, frozen=True):
    """A token in its parts: ``signed`` are the bytes that the ``signature`` is for."""

    header: Header
    payload: bytes
    signed: bytes
    signature: bytes


_read_header = msgspec.json.Decoder(Header).decode
_read_claims = msgspec.json.Decoder(dict[str, Any]).decode


def read_token(text: str) -> SignedToken:
    """The parts of the token; raises ``ValueError`` or an error of msgspec if it is none."""
    token = text.encode("ascii")
    head, payload, signature = token.split(b".")
    header = _read_header(_decoded(head))
    signed = token[: len(head) + 1 + len(payload)]
    return SignedToken(header, _decoded(payload), signed, _decoded(signature))


def read_claims(payload: bytes) -> dict[str, Any]:
    """The claims in a token's payload; raises an error of msgspec if it is not a JSON object."""
    return _read_claims(payload)


def _decoded(part: bytes) -> bytes:
    """``part`` from base64url; some issuers pad it. The library ignores what it cannot read, so the
    result must be encoded as ``part`` again.
    """
    data = urlsafe_b64decode(part + b"==")
    encoded = urlsafe_b64encode(data)
    if part not in (encoded, encoded.rstrip(b"=")):
        raise ValueError("it is not base64url (RFC 7515 §2)")
    return data
