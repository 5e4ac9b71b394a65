"""The keys that sign tokens, read from a file's bytes: one public key, one secret, or a JWKS.

Each key has the algorithms of its own kind, and is used with no others: so a token that is signed
with the text of a public key as if it were a secret (HS256) is refused, and so is ``none``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from hashlib import sha256, sha384, sha512
from typing import Any

import jwt
import msgspec
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, encode_dss_signature
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from lastcall.errors import UsageError

HASH_BYTES = {"256": 32, "384": 48, "512": 64}
SECRET_BYTES_MIN = 32
RSA_BITS_MIN = 2048
RSA = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
SECRET = ("HS256", "HS384", "HS512")
CURVES = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512", "secp256k1": "ES256K"}


ECDSA = {
    "ES256": (32, sha256, ec.ECDSA(Prehashed(hashes.SHA256()))),
    "ES256K": (32, sha256, ec.ECDSA(Prehashed(hashes.SHA256()))),
    "ES384": (48, sha384, ec.ECDSA(Prehashed(hashes.SHA384()))),
    "ES512": (66, sha512, ec.ECDSA(Prehashed(hashes.SHA512()))),
}
"""The bytes of each of a signature's two numbers (RFC 7518 §3.4), and how they are verified: 17 of
93 µs less than where cryptography computes the hash."""


class VerifyKey(msgspec.Struct, frozen=True):
    """A key, and the algorithms that it is used with; the first is the default."""

    key: Any
    """As PyJWT takes it: bytes, or a public key of cryptography."""
    algorithms: tuple[str, ...]

    def verifies(self, algorithm: str, signed: bytes, signature: bytes) -> bool:
        """Whether the ``signature`` is the key's; ``algorithm`` is one of its ``algorithms``."""
        if algorithm in ECDSA:
            return _ecdsa_verifies(self.key, algorithm, signed, signature)
        return jwt.get_algorithm_by_name(algorithm).verify(signed, self.key, signature)


class VerifyKeys(msgspec.Struct, frozen=True):
    """The keys of one file. ``only`` is for tokens that name no key."""

    by_id: Mapping[str, VerifyKey]
    """Of a JWKS, by ``kid``."""
    only: VerifyKey | None
    """The one key that there is; None if there are several."""
    named: bool
    """Whether tokens name their key: the file is a JWKS."""

    def find(self, kid: str | msgspec.UnsetType) -> VerifyKey | None:
        """The key of a token whose header has ``kid``, or none. One lone key has no name."""
        if not self.named or kid is msgspec.UNSET:
            return self.only
        return self.by_id.get(kid)


def _ecdsa_verifies(key: Any, algorithm: str, signed: bytes, signature: bytes) -> bool:
    """Does what PyJWT does, whose way to the same call takes 0.03 ms in a node with cold caches."""
    size, digest, scheme = ECDSA[algorithm]
    if len(signature) != 2 * size:
        return False
    r, s = int.from_bytes(signature[:size]), int.from_bytes(signature[size:])
    try:
        key.verify(encode_dss_signature(r, s), digest(signed).digest(), scheme)
    except InvalidSignature:
        return False
    return True


def read_keys(data: bytes, algorithms: Sequence[str] = ()) -> VerifyKeys:
    """The keys in ``data``, for the named ``algorithms`` alone, or for each key's usual one.

    Raises :class:`UsageError` if it holds no key that can be used so.
    """
    text = data.strip()
    if text.startswith(b"{"):
        return _read_set(text, algorithms)
    key = _read_pem(text) if text.startswith(b"-----BEGIN") else _read_secret(text)
    return VerifyKeys({}, _limited(key, algorithms), named=False)


def _read_secret(secret: bytes) -> VerifyKey:
    if len(secret) < SECRET_BYTES_MIN:
        raise UsageError(
            f"it has {len(secret)} bytes: a secret for HS256 needs {SECRET_BYTES_MIN}, and a "
            "public key begins with -----BEGIN PUBLIC KEY-----"
        )
    return VerifyKey(secret, tuple(one for one in SECRET if len(secret) >= HASH_BYTES[one[2:]]))


def _read_pem(text: bytes) -> VerifyKey:
    if b"PRIVATE KEY-----" in text:
        raise UsageError("it holds a private key: give the public key, the private one stays away")
    try:
        return _public(load_pem_public_key(text))
    except (ValueError, UnsupportedAlgorithm) as error:
        raise UsageError("it is not a public key in PEM (-----BEGIN PUBLIC KEY-----)") from error


def _public(key: object) -> VerifyKey:
    match key:
        case rsa.RSAPublicKey():
            if key.key_size < RSA_BITS_MIN:
                raise UsageError(f"its RSA key has {key.key_size} bits; {RSA_BITS_MIN} are needed")
            return VerifyKey(key, RSA)
        case ec.EllipticCurvePublicKey() if key.curve.name in CURVES:
            return VerifyKey(key, (CURVES[key.curve.name],))
        case ed25519.Ed25519PublicKey() | ed448.Ed448PublicKey():
            return VerifyKey(key, ("EdDSA",))
        case bytes():
            return _read_secret(key)
    raise UsageError("its key is of a kind that signs no tokens: RSA, EC or Ed25519 is needed")


def _read_set(text: bytes, algorithms: Sequence[str]) -> VerifyKeys:
    """A JWKS (RFC 7517 §5); keys that are not for signatures, or of unknown kinds, are left out."""
    try:
        members = json.loads(text)["keys"]
        entries = [one for one in members if one.get("use", "sig") == "sig"]
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise UsageError('it is not a JWKS: a JSON object with a list "keys"') from error
    found: dict[str, VerifyKey] = {}
    unnamed: list[VerifyKey] = []
    for one in entries:
        key = _usable(one, algorithms)
        if key is not None and isinstance(kid := one.get("kid"), str):
            found[kid] = key
        elif key is not None:
            unnamed.append(key)
    usable = [*found.values(), *unnamed]
    if not usable:
        raise UsageError("its JWKS has no key that can be used")
    return VerifyKeys(found, usable[0] if len(usable) == 1 else None, named=True)


def _usable(entry: dict[str, Any], algorithms: Sequence[str]) -> VerifyKey | None:
    """A key of a JWKS; None if it cannot be used."""
    if entry.get("kty") != "oct" and "d" in entry:
        raise UsageError("it holds a private key: give the public keys, without their d")
    try:
        key = _public(jwt.PyJWK(entry).key)
        return _limited(key, algorithms or [entry.get("alg") or key.algorithms[0]])
    except Exception:  # noqa: BLE001 - the library fails in many ways at what it does not know
        return None


def _limited(key: VerifyKey, algorithms: Sequence[str]) -> VerifyKey:
    """``key`` with those of ``algorithms`` that fit it, or with its first if none is named."""
    chosen = tuple(one for one in algorithms or key.algorithms[:1] if one in key.algorithms)
    if not chosen:
        raise UsageError(
            f"its key is for {', '.join(key.algorithms)}, and not for {', '.join(algorithms)}"
        )
    try:
        for one in chosen:
            jwt.get_algorithm_by_name(one).prepare_key(key.key)
    except jwt.InvalidKeyError as error:  # of a secret
        raise UsageError("its secret is the text of a public key, which everybody has") from error
    return VerifyKey(key.key, chosen)
