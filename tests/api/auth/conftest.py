"""Keys, tokens, and handshakes that bring them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from lastcall.api.auth.json_web_token import JwtAuth
from lastcall.api.auth.request import handshake_of
from lastcall.core.edge.opening_request import OpeningRequest
from lastcall.identity import Handshake
from lastcall.runtime.auth_options import AuthOptions

SECRET = b"a secret of more than 64 bytes, so that it is good for HS512, too, and not for ES256"
EC = ec.generate_private_key(ec.SECP256R1())
OTHER_EC = ec.generate_private_key(ec.SECP256R1())
RSA = rsa.generate_private_key(65_537, 2048)
ED = ed25519.Ed25519PrivateKey.generate()


def pem(key: Any) -> bytes:
    return key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def jwk(key: Any, kid: str | None = None, **more: Any) -> dict[str, Any]:
    """The public key as a member of a JWKS."""
    if isinstance(key, bytes):
        found = json.loads(jwt.algorithms.HMACAlgorithm.to_jwk(key))
    elif isinstance(key, rsa.RSAPrivateKey):
        found = jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
    else:
        found = jwt.algorithms.ECAlgorithm.to_jwk(key.public_key(), as_dict=True)
    return found | ({} if kid is None else {"kid": kid}) | more


def jwks(*keys: dict[str, Any]) -> bytes:
    return json.dumps({"keys": keys}).encode()


def token(key: Any = EC, algorithm: str = "ES256", kid: str | None = None, **claims: Any) -> str:
    """A token of Ann's for an hour, with ``claims``; one that is None is left out."""
    given = {"sub": "ann", "exp": int(time.time()) + 3600} | claims
    kept = {name: value for name, value in given.items() if value is not None}
    return jwt.encode(kept, key, algorithm, headers=None if kid is None else {"kid": kid})


ADDRESS = "192.0.2.1"


def asked(
    bearer: str | None = None, *, query: str | None = None, offered: str | None = None
) -> tuple[OpeningRequest, str]:
    """A client's request and address, with a token somewhere."""
    request = OpeningRequest(
        path="/",
        query="" if query is None else f"token={query}",
        headers=() if bearer is None else (("authorization", f"Bearer {bearer}"),),
        subprotocols=("lastcall.v1",) if offered is None else ("lastcall.v1", f"bearer.{offered}"),
        key="",
    )
    return request, ADDRESS


def handshake(bearer: str | None = None) -> Handshake:
    """The same, as an ``--auth`` function sees it."""
    return handshake_of(*asked(bearer))


@pytest.fixture
def make_auth(tmp_path: Path) -> Callable[..., JwtAuth]:
    """Makes a JwtAuth on a key file."""

    def make(keys: bytes = b"", **options: Any) -> JwtAuth:
        file = tmp_path / "keys"
        file.write_bytes(keys or pem(EC))
        return JwtAuth(AuthOptions(auth="jwt", jwt_key_file=file, **options))

    return make
