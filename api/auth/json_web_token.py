"""``--auth jwt``: a signed token says who a client is (RFC 7519, RFC 8725).

A token is checked in the event loop, as one step: that takes about as long as it takes to hand it
to a thread, 0.1 to 0.2 ms.
"""

from __future__ import annotations

import base64
import time
from typing import Any

import jwt
import msgspec
import trio

from lastcall.api.auth.entry import Clock, Denial, Entry, encoded, entry
from lastcall.api.auth.key_file import KeyFile
from lastcall.errors import UsageError
from lastcall.identity import Handshake, Identity
from lastcall.runtime.auth_options import AuthOptions

TOKEN_CHARS_MAX = 8 * 1024
OF_THE_TOKEN = frozenset({"iss", "sub", "aud", "exp", "nbf", "iat", "jti", "name"})
"""The claims about the token (RFC 7519 §4.1), and those that an identity has as its own fields."""

REASONS: dict[type[BaseException], str] = {
    jwt.ExpiredSignatureError: "the token has expired",
    jwt.ImmatureSignatureError: "the token is not valid yet",
    jwt.InvalidAudienceError: "the token is for another audience",
    jwt.InvalidIssuerError: "the token is from another issuer",
    jwt.InvalidAlgorithmError: "the token's algorithm is not one of this node's",
    jwt.InvalidSignatureError: "the token's signature is wrong",
}
"""Their own texts may hold parts of the token."""


class _Header(msgspec.Struct):
    kid: Any = None


_read_header = msgspec.json.Decoder(_Header).decode


def _kid(token: str) -> object:
    """The name of the key in the token's header, which nobody has verified yet. PyJWT's own reader
    would check the whole token twice.
    """
    header = token.partition(".")[0]
    return _read_header(base64.urlsafe_b64decode(header + "==")).kid


class _Unknown(Exception):
    """The token names a key that the file does not have."""


class JwtAuth:
    """Checks tokens by the keys of a file; ``wall`` tells the seconds since 1970."""

    def __init__(self, options: AuthOptions, *, wall: Clock = time.time) -> None:
        """Raises :class:`UsageError` if the file has no key for the options' algorithms."""
        if options.jwt_key_file is None:
            raise UsageError("--auth jwt needs --jwt-key-file FILE")
        self._options = options
        self._wall = wall
        self._required = ["exp", "sub"]
        self._file = KeyFile(options.jwt_key_file, options.jwt_algorithms)

    async def run(self) -> None:
        """Watches the file, until cancelled."""
        await self._file.watch()

    async def admit(self, handshake: Handshake) -> Entry | Denial:
        """The identity in the client's token, if it is good."""
        await trio.lowlevel.checkpoint_if_cancelled()
        token = handshake.token
        if token is None:
            return Denial(401, "a token is needed")
        if len(token) > TOKEN_CHARS_MAX:
            return Denial(401, f"a token has {TOKEN_CHARS_MAX} characters at most")
        return self.check(token)

    def check(self, token: str) -> Entry | Denial:
        """The entry of the token's bearer; a denial never quotes the token."""
        try:
            claims = self._verified(token)
        except _Unknown:
            return Denial(401, "the token's key is unknown")
        except jwt.MissingRequiredClaimError as error:
            return Denial(401, f"the token has no {error.claim}")
        except BaseException as error:  # noqa: BLE001 - a library may fail in any way at bad bytes
            return Denial(401, REASONS.get(type(error), "the token cannot be read"))
        try:
            identity = self._identity(claims)
            encoded(identity)
        except Exception:  # noqa: BLE001 - of claims that cannot be sent
            return Denial(401, "the token's sub, name or claims are not such as rooms can have")
        return entry(identity, self._wall())

    def _verified(self, token: str) -> dict[str, Any]:
        """The claims of a good token; raises the errors of PyJWT, among others."""
        options, keys = self._options, self._file.keys
        kid = _kid(token) if keys.named else None
        key = keys.find(kid)
        if key is None:
            raise _Unknown
        return jwt.decode(
            token,
            key.key,
            algorithms=key.algorithms,
            audience=options.jwt_audience or None,
            issuer=options.jwt_issuer or None,
            leeway=options.jwt_leeway,
            options={"require": self._required},
        )

    def _identity(self, claims: dict[str, Any]) -> Identity:
        """``until`` is when this node stops accepting the token, leeway included: a client that
        was told to move then needs another one.
        """
        name = claims.get("name")
        return Identity(
            claims["sub"],
            name=name if isinstance(name, str) else None,
            claims={key: value for key, value in claims.items() if key not in OF_THE_TOKEN},
            until=int(claims["exp"]) + self._options.jwt_leeway,
        )
