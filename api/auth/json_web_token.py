"""``--auth jwt``: a signed token says who a client is (RFC 7519, RFC 8725).

A token is checked in the event loop, as one step. That takes 0.05 ms (RS256) or 0.1 ms (ES256),
most of it for the signature: to hand it to a thread would take as long again.

Good tokens are not remembered. That would save a few percent of a client that comes back to the
same process, and nothing for those whom a rolling update moves: they never meet a process that
knows their token, since a process that they have left has ended.
"""

from __future__ import annotations

import time
from typing import Any

from lastcall.api.auth.claims import BadToken, ClaimRules
from lastcall.api.auth.entry import Clock, Denial, Entry, encoded, entry
from lastcall.api.auth.key_file import KeyFile
from lastcall.api.auth.request import token_of
from lastcall.api.auth.signed_token import read_claims, read_token
from lastcall.core.edge.opening_request import OpeningRequest
from lastcall.errors import UsageError
from lastcall.identity import Identity
from lastcall.runtime.auth_options import AuthOptions

TOKEN_CHARS_MAX = 8 * 1024
OF_THE_TOKEN = frozenset({"iss", "sub", "aud", "exp", "nbf", "iat", "jti", "name"})
"""The claims about the token (RFC 7519 §4.1), and those that an identity has as its own fields."""


class JwtAuth:
    """Checks tokens by the keys of a file; ``wall`` tells the seconds since 1970."""

    def __init__(self, options: AuthOptions, *, wall: Clock = time.time) -> None:
        """Raises :class:`UsageError` if the file has no key for the options' algorithms."""
        if options.jwt_key_file is None:
            raise UsageError("--auth jwt needs --jwt-key-file FILE")
        self._leeway = options.jwt_leeway
        self._wall = wall
        self._rules = ClaimRules(options.jwt_audience, options.jwt_issuer, options.jwt_leeway)
        self._file = KeyFile(options.jwt_key_file, options.jwt_algorithms)

    async def run(self) -> None:
        """Watches the file, until cancelled."""
        await self._file.watch()

    def admit(self, request: OpeningRequest, address: str) -> Entry | Denial:  # noqa: ARG002
        """The identity in the client's token, if it is good."""
        token = token_of(request)
        if token is None:
            return Denial(401, "a token is needed")
        if len(token) > TOKEN_CHARS_MAX:
            return Denial(401, f"a token has {TOKEN_CHARS_MAX} characters at most")
        return self.check(token)

    def check(self, token: str) -> Entry | Denial:
        """The entry of the token's bearer; a denial never quotes the token."""
        now = self._wall()
        try:
            claims = self._verified(token)
            self._rules.check(claims, now)
        except BadToken as error:
            return Denial(401, str(error))
        except BaseException:  # noqa: BLE001 - a library may fail in any way at bad bytes
            return Denial(401, "the token cannot be read")
        try:
            identity = self._identity(claims)
            encoded(identity)
        except Exception:  # noqa: BLE001 - of claims that cannot be sent
            return Denial(401, "the token's sub, name or claims are not such as rooms can have")
        return entry(identity, now)

    def _verified(self, text: str) -> dict[str, Any]:
        """The claims of a token whose signature is good; raises :class:`BadToken`, and any error
        if ``text`` cannot be read.
        """
        token = read_token(text)
        header = token.header
        key = self._file.keys.find(header.kid)
        if key is None:
            raise BadToken("the token's key is unknown")
        if header.alg not in key.algorithms:
            raise BadToken("the token's algorithm is not one of this node's")
        if not key.verifies(header.alg, token.signed, token.signature):
            raise BadToken("the token's signature is wrong")
        return read_claims(token.payload)

    def _identity(self, claims: dict[str, Any]) -> Identity:
        """``until`` is when this node stops accepting the token, leeway included: a client that
        was told to move then needs another one.
        """
        name = claims.get("name")
        return Identity(
            claims["sub"],
            name=name if isinstance(name, str) else None,
            claims={key: value for key, value in claims.items() if key not in OF_THE_TOKEN},
            until=int(claims["exp"]) + self._leeway,
        )
