"""The parts of a signed token (RFC 7515 §7.1), of which nobody has verified anything yet.

PyJWT's ``decode`` reads a token too, but looks at each of its characters in Python, which takes
longer than to verify an RSA signature. ``tests/api/auth`` compares the two.
"""

from __future__ import annotations

from binascii import a2b_base64, b2a_base64
from functools import lru_cache
from typing import Any

import msgspec


class Header(msgspec.Struct, frozen=True):
    """The part of a token's header that counts. ``crit`` and ``b64`` make a token unreadable: here,
    nobody knows the extensions that it needs (RFC 7515 §4.1.11, RFC 7797).
    """

    alg: str | None = None
    kid: str | msgspec.UnsetType = msgspec.UNSET
    crit: msgspec.UnsetType = msgspec.UNSET
    b64: msgspec.UnsetType = msgspec.UNSET


class SignedToken(msgspec.Struct, frozen=True):
    """A token in its parts: ``signed`` are the bytes that the ``signature`` is for."""

    header: Header
    payload: bytes
    signed: bytes
    signature: bytes


_decode_header = msgspec.json.Decoder(Header).decode
_decode_claims = msgspec.json.Decoder(dict[str, Any]).decode
_STANDARD = bytes.maketrans(b"-_", b"+/")
_FOR_URLS = bytes.maketrans(b"+/", b"-_")


def read_token(text: str) -> SignedToken:
    """The parts of the token; raises ``ValueError`` or an error of msgspec if it is none."""
    token = text.encode("ascii")
    head, payload, signature = token.split(b".")
    signed = token[: len(head) + 1 + len(payload)]
    return SignedToken(_header(head), _decoded(payload), signed, _decoded(signature))


def read_claims(payload: bytes) -> dict[str, Any]:
    """The claims in a token's payload; raises an error of msgspec if it is not a JSON object."""
    return _decode_claims(payload)


@lru_cache(64)
def _header(head: bytes) -> Header:
    """An issuer's tokens have one header, or a few. Strangers can fill the cache with theirs, which
    have 8 KiB at most, as a token has, and two texts.
    """
    text = _decoded(head).decode()  # the names of unknown parameters are text, too
    return _decode_header(text)


def _decoded(part: bytes) -> bytes:
    """``part`` from base64url; some issuers pad it. The library ignores what it cannot read, so the
    result must be encoded as ``part`` again.
    """
    data = a2b_base64(part.translate(_STANDARD) + b"==")
    encoded = b2a_base64(data, newline=False).translate(_FOR_URLS)
    if part != encoded.rstrip(b"=") and part != encoded:
        raise ValueError("it is not base64url (RFC 7515 §2)")
    return data
