"""The claims of a verified token (RFC 7519 §4.1): whose it is, for whom, and when it counts.

The rules are those of PyJWT's ``decode``, which has no way to apply them alone; ``tests/api/auth``
compares the two.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

EXPIRED = "the token has expired"
NOT_YET = "the token is not valid yet"
OTHER_AUDIENCE = "the token is for another audience"
OTHER_ISSUER = "the token is from another issuer"


class BadToken(Exception):
    """A token that lets nobody in; its one argument is the reason, which never quotes the token."""


class ClaimRules:
    """The rules for the claims of a token. ``leeway`` (seconds) is how far clocks may be apart.

    Without an ``audience`` a token must name none; without an ``issuer`` it may be from anybody.
    """

    def __init__(self, audience: Collection[str], issuer: Collection[str], leeway: float) -> None:
        self._audience = frozenset(audience)
        self._issuer = frozenset(issuer)
        self._leeway = leeway

    def check(self, claims: dict[str, Any], now: float) -> None:
        """Raises :class:`BadToken`, or any error if a claim has not the type that it must have.

        ``now`` is in seconds since 1970.
        """
        for needed in ("exp", "sub"):
            if claims.get(needed) is None:
                raise BadToken(f"the token has no {needed}")
        for begin in ("iat", "nbf"):
            if begin in claims and int(claims[begin]) > now + self._leeway:
                raise BadToken(NOT_YET)
        if int(claims["exp"]) <= now - self._leeway:
            raise BadToken(EXPIRED)
        if self._issuer:
            self._check_issuer(claims)
        if self._audience or claims.get("aud"):
            self._check_audience(claims.get("aud"))
        for text in ("sub", "jti"):
            if text in claims and not isinstance(claims[text], str):
                raise TypeError(f"{text} is a text")

    def _check_issuer(self, claims: dict[str, Any]) -> None:
        if "iss" not in claims:
            raise BadToken("the token has no iss")
        issuer = claims["iss"]
        if not (isinstance(issuer, str) and issuer in self._issuer):
            raise BadToken(OTHER_ISSUER)

    def _check_audience(self, audience: object) -> None:
        if not audience:
            raise BadToken("the token has no aud")
        named = audience if isinstance(audience, list) else [audience]
        if not all(isinstance(one, str) for one in named) or self._audience.isdisjoint(named):
            raise BadToken(OTHER_AUDIENCE)
