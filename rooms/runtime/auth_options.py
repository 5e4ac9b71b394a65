"""The options that say who clients are; of an api node, and of ``lastcall up`` for its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import msgspec

from lastcall.errors import UsageError
from lastcall.runtime.command import Command, Parsed, gathered

LEEWAY_SECONDS = 60.0
ALGORITHMS = [
    *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512", "ES256K", "EdDSA"),
    *("HS256", "HS384", "HS512"),
]


class AuthOptions(msgspec.Struct, frozen=True):
    """``--auth`` and what belongs to it; by default everybody is anonymous."""

    auth: str | None = None
    jwt_key_file: Path | None = None
    jwt_algorithms: tuple[str, ...] = ()
    jwt_audience: tuple[str, ...] = ()
    jwt_issuer: tuple[str, ...] = ()
    jwt_leeway: float = LEEWAY_SECONDS

    def __post_init__(self) -> None:
        if self.auth == "jwt" and self.jwt_key_file is None:
            raise UsageError("--auth jwt needs --jwt-key-file FILE: what tokens are verified with")
        if self.auth != "jwt" and self.jwt_key_file is not None:
            raise UsageError("--jwt-key-file is for --auth jwt; without it nobody reads the keys")
        if not 0 <= self.jwt_leeway <= 3600:
            raise UsageError(f"--jwt-leeway is {self.jwt_leeway:g}; it takes 0 to 3600 seconds")

    def arguments(self) -> list[str]:
        """The options of a node that are not the default, on a command line."""
        given = {
            "--auth": self.auth,
            "--jwt-key-file": self.jwt_key_file and str(self.jwt_key_file.absolute()),
            "--jwt-algorithms": ",".join(self.jwt_algorithms),
            "--jwt-audience": ",".join(self.jwt_audience),
            "--jwt-issuer": ",".join(self.jwt_issuer),
            "--jwt-leeway": f"{self.jwt_leeway:g}" if self.jwt_leeway != LEEWAY_SECONDS else "",
        }
        return [word for flag, value in given.items() if value for word in (flag, value)]


def auth_options(command: Command) -> Command:
    """Adds the options, gathered into ``auth: AuthOptions``."""
    listed = Parsed("LIST", _parts)
    options: dict[str, dict[str, Any]] = {
        "--auth": {
            "metavar": "jwt|MODULE:FUNCTION",
            "help": "Who clients are: jwt checks a signed token, package.module:function asks an "
            "async function of the handshake.  [default: everybody is anonymous]",
        },
        "--jwt-key-file": {
            "type": click.Path(dir_okay=False, path_type=Path),
            "help": "What tokens are verified with: a public key (PEM), a JWKS, or a secret of 32 "
            "bytes or more. Read again when it changes.",
        },
        "--jwt-algorithms": {
            "type": Parsed("LIST", _algorithms),
            "default": "",
            "show_default": "the key's own, such as ES256",
            "help": "The signatures that are accepted, such as RS256,PS256.",
        },
        "--jwt-audience": {
            "type": listed,
            "default": "",
            "show_default": "a token for any audience is refused",
            "help": "The audience (aud) that a token must name; of several, one.",
        },
        "--jwt-issuer": {
            "type": listed,
            "default": "",
            "show_default": "any",
            "help": "The issuer (iss) that a token must be from; of several, one.",
        },
        "--jwt-leeway": {
            "type": float,
            "metavar": "SECONDS",
            "default": LEEWAY_SECONDS,
            "help": "How far the issuer's clock may be from this node's.",
        },
    }
    return gathered("auth", AuthOptions, options)(command)


def _parts(text: str) -> tuple[str, ...]:
    return tuple(part for part in (part.strip() for part in text.split(",")) if part)


def _algorithms(text: str) -> tuple[str, ...]:
    names = _parts(text)
    for name in names:
        if name not in ALGORITHMS:
            raise UsageError(f"{name!r} is not one of {', '.join(ALGORITHMS)}")
    return names
