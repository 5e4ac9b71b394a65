"""Which keys a file holds, and with which algorithms each is used."""

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa
from msgspec import UNSET

from lastcall.api.auth.keys import read_keys
from lastcall.errors import UsageError
from tests.api.auth.conftest import EC, ED, RSA, SECRET, jwk, jwks, pem

PRIVATE = EC.private_bytes(
    serialization.Encoding.PEM,
    serialization.PrivateFormat.PKCS8,
    serialization.NoEncryption(),
)


@pytest.mark.parametrize(
    ("data", "algorithms"),
    [
        (pem(EC), ("ES256",)),
        (pem(ec.generate_private_key(ec.SECP384R1())), ("ES384",)),
        (pem(RSA), ("RS256",)),
        (pem(ED), ("EdDSA",)),
        (SECRET, ("HS256",)),
        (b"\n" + SECRET + b"\n", ("HS256",)),
    ],
)
def test_a_key_has_the_usual_algorithm_of_its_kind(data: bytes, algorithms: tuple[str]) -> None:
    keys = read_keys(data)
    assert keys.only is not None
    assert keys.only.algorithms == algorithms
    assert keys.find("any name") is keys.only, "one lone key has no name"


def test_the_named_algorithms_are_those_of_the_key_and_no_others() -> None:
    keys = read_keys(pem(RSA), ["PS256", "RS512", "HS256"])
    assert keys.only is not None
    assert keys.only.algorithms == ("PS256", "RS512")


@pytest.mark.parametrize(
    ("data", "algorithms", "why"),
    [
        (b"", [], "it has 0 bytes"),
        (b"s" * 31, [], "it has 31 bytes"),
        (b"s" * 32, ["HS512"], "not for HS512"),
        (pem(RSA), ["HS256"], "not for HS256"),
        (pem(EC), ["RS256"], "not for RS256"),
        (SECRET, ["ES256"], "not for ES256"),
        (pem(RSA)[:200], [], "not a public key in PEM"),
        (PRIVATE, [], "a private key"),
        (pem(rsa.generate_private_key(65_537, 1024)), [], "1024 bits"),  # noqa: S505
        (pem(dsa.generate_private_key(2048)), [], "signs no tokens"),
        (b"ssh-ed25519 " + b"A" * 68, [], "the text of a public key"),
        (b"{", [], "not a JWKS"),
        (b'{"keys": 7}', [], "not a JWKS"),
        (b'{"keys": [7]}', [], "not a JWKS"),
        (b"[" * 100_000, [], "not for"),
        (b'{"keys":' + b"[" * 100_000, [], "not a JWKS"),
        (jwks(), [], "no key that can be used"),
        (jwks(jwk(EC, "k", use="enc")), [], "no key that can be used"),
        (jwks({"kty": "new"}), [], "no key that can be used"),
        (jwks(jwk(RSA, "k", alg="HS256")), [], "no key that can be used"),
        (jwks(jwk(RSA, "k", alg="none")), [], "no key that can be used"),
        (jwks(jwk(EC, "k") | {"d": "AAAA"}), [], "a private key"),
    ],
)
def test_a_file_without_a_key_that_can_be_used_is_refused(
    data: bytes, algorithms: list[str], why: str
) -> None:
    with pytest.raises(UsageError, match=why):
        read_keys(data, algorithms or (["ES256"] if data[:1] == b"[" else ()))


def test_the_keys_of_a_set_are_found_by_name() -> None:
    keys = read_keys(jwks(jwk(EC, "a"), jwk(RSA, "b", alg="RS512"), jwk(SECRET, "c")))
    found = {kid: keys.find(kid) for kid in ("a", "b", "c")}
    assert {kid: key and key.algorithms for kid, key in found.items()} == {
        "a": ("ES256",),
        "b": ("RS512",),
        "c": ("HS256",),
    }
    for unknown in ("d", "", UNSET):
        assert keys.find(unknown) is None


def test_the_one_key_of_a_set_needs_no_name_and_a_wrong_name_does_not_find_it() -> None:
    keys = read_keys(jwks(jwk(EC, "a"), {"kty": "new", "kid": "z"}))
    assert keys.find(UNSET) is not None
    assert keys.find("b") is None


CURVES = {
    "ES256": ec.SECP256R1(),
    "ES384": ec.SECP384R1(),
    "ES512": ec.SECP521R1(),
    "ES256K": ec.SECP256K1(),
}


@pytest.mark.parametrize("algorithm", CURVES)
def test_a_signature_of_a_curve_verifies_as_in_pyjwt(algorithm: str) -> None:
    private = ec.generate_private_key(CURVES[algorithm])
    library = jwt.get_algorithm_by_name(algorithm)
    key = read_keys(pem(private)).only
    assert key is not None
    good = library.sign(b"signed", private)
    half = len(good) // 2
    assert key.verifies(algorithm, b"signed", good)
    assert not key.verifies(algorithm, b"Signed", good)
    for bad in (
        b"",
        good[:-1],
        good + b"\0",
        good[half:] + good[:half],
        bytes(len(good)),
        good[:half] + bytes(half),
        b"\xff" * len(good),
    ):
        assert not key.verifies(algorithm, b"signed", bad)
        assert not library.verify(b"signed", private.public_key(), bad)
