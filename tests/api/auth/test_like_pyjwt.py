"""Tokens are read and checked here as PyJWT does it, only faster; where the two differ, PyJWT lets
more in.
"""

from __future__ import annotations

import base64
import hmac
import json
import time
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from lastcall.api.auth.claims import EXPIRED, NOT_YET, OTHER_AUDIENCE, OTHER_ISSUER
from lastcall.api.auth.entry import Entry
from lastcall.api.auth.json_web_token import JwtAuth
from tests.api.auth.conftest import SECRET

WRONG_ALGORITHM = "the token's algorithm is not one of this node's"
UNREADABLE = "the token cannot be read"
REASONS: dict[type[BaseException], str] = {
    jwt.ExpiredSignatureError: EXPIRED,
    jwt.ImmatureSignatureError: NOT_YET,
    jwt.InvalidAudienceError: OTHER_AUDIENCE,
    jwt.InvalidIssuerError: OTHER_ISSUER,
    jwt.InvalidAlgorithmError: WRONG_ALGORITHM,
    jwt.InvalidSignatureError: "the token's signature is wrong",
}
NO_ROOM = "the token's sub, name or claims are not such as rooms can have"
NOW = int(time.time())
FOR_US = {"jwt_audience": ("game",), "jwt_issuer": ("us",)}
MakeAuth = Callable[..., JwtAuth]
CLAIMS = {"sub": "ann", "exp": NOW + 5_400, "aud": "game", "iss": "us"}
HEADER, PAYLOAD = b'{"alg":"HS256"}', json.dumps(CLAIMS).encode()
LEEWAY = 3_600
"""So long that these tests may take half an hour: PyJWT has no clock but the machine's."""

values = st.none() | st.booleans() | st.integers(-3, 3) | st.text(max_size=2) | st.just({})
things = values | st.lists(values | st.sampled_from(["game", "shop"]), max_size=3)
times = st.sampled_from([-1e6, -5_400, -1_800, 1_800, 5_400, 1e6]).map(lambda apart: NOW + apart)
moments = times | times.map(int) | times.map(int).map(str) | things
changes = {
    "sub": things,
    "exp": moments,
    "nbf": moments,
    "iat": moments,
    "aud": st.sampled_from(["game", "shop"]) | things,
    "iss": st.sampled_from(["us", "eve"]) | things,
    "jti": things,
    "name": things,
}
GONE = object()
changed = st.lists(
    st.one_of([st.tuples(st.just(name), new | st.just(GONE)) for name, new in changes.items()]),
    max_size=3,
).map(dict)
rules = st.fixed_dictionaries(
    {
        "jwt_audience": st.sampled_from([(), ("game",), ("game", "den")]),
        "jwt_issuer": st.sampled_from([(), ("us",), ("us", "them")]),
    }
)
headers = st.just({"alg": "HS256"}) | st.fixed_dictionaries(
    {},
    optional={
        "alg": st.sampled_from(["HS256", "HS512", "none", "NONE", "RS256", ""]) | things,
        "kid": things,
        "crit": things | st.just(["b64"]),
        "b64": things,
    },
)


def signed(header: bytes, payload: bytes, pad: Callable[[bytes], bytes] = bytes) -> str:
    """A token by our secret, whatever it holds; ``pad`` changes each of its parts."""
    signing_input = pad(base64url(header)) + b"." + pad(base64url(payload))
    signature = pad(base64url(hmac.digest(SECRET, signing_input, "sha256")))
    return (signing_input + b"." + signature).decode("latin-1")


def base64url(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def expected(shown: str, options: dict[str, Any]) -> str | None:
    """Why PyJWT refuses the token; None if it does not."""
    try:
        jwt.decode(
            shown,
            SECRET,
            algorithms=["HS256"],
            audience=options.get("jwt_audience") or None,
            issuer=options.get("jwt_issuer") or None,
            leeway=LEEWAY,
            options={"require": ["exp", "sub"]},
        )
    except jwt.MissingRequiredClaimError as error:
        return f"the token has no {error.claim}"
    except jwt.PyJWTError as error:
        return REASONS.get(type(error), UNREADABLE)
    return None


def answered(auth: JwtAuth, shown: str) -> str | None:
    """Why the token is refused; None if it is good, though its claims may not fit an identity."""
    answer = auth.check(shown)
    if isinstance(answer, Entry) or answer.reason == NO_ROOM:
        return None
    assert answer.status == 401
    return answer.reason


one_file = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=100)


@one_file
@given(changed, rules)
@example({"exp": "9" * 5_000}, {})
@example({"aud": ["shop", "game"]}, {"jwt_audience": ("game",)})
@example({"aud": [{}, "game"]}, {"jwt_audience": ("game",)})
async def test_claims_are_good_or_bad_for_the_same_reason(
    make_auth: MakeAuth, new: dict[str, Any], options: dict[str, Any]
) -> None:
    body = {name: value for name, value in (CLAIMS | new).items() if value is not GONE}
    shown = signed(HEADER, json.dumps(body).encode())
    auth = make_auth(SECRET, jwt_leeway=LEEWAY, **options)
    assert answered(auth, shown) == expected(shown, options)


@one_file
@given(headers)
async def test_a_header_is_good_or_bad_for_the_same_reason_unless_nobody_could_know_what_it_means(
    make_auth: MakeAuth, header: dict[str, Any]
) -> None:
    shown = signed(json.dumps(header).encode(), PAYLOAD)
    understood = not header.keys() & {"crit", "b64"} and isinstance(header.get("alg"), str | None)
    why = expected(shown, FOR_US) if understood else UNREADABLE
    assert answered(make_auth(SECRET, **FOR_US), shown) == why


@one_file
@given(st.binary(max_size=6), st.sampled_from([HEADER, b"", b"[]", b"null", b'"{}"', b"{"]))
async def test_bytes_that_are_signed_are_read_alike(
    make_auth: MakeAuth, more: bytes, json_text: bytes
) -> None:
    auth = make_auth(SECRET, **FOR_US)
    for header, payload in ((json_text + more, PAYLOAD), (HEADER, json_text + more)):
        shown = signed(header, payload)
        assert answered(auth, shown) == expected(shown, FOR_US)


@one_file
@example(place=4, new="-", instead=True, padding=0)  # the name of "alg" is not UTF-8 then
@given(st.integers(0, 200), st.sampled_from("=\n .+/-_A!é\x00"), st.booleans(), st.integers(0, 3))
async def test_a_text_that_was_changed_in_one_place_is_read_alike(
    make_auth: MakeAuth, place: int, new: str, instead: bool, padding: int
) -> None:
    good = signed(HEADER, PAYLOAD, lambda part: part + b"=" * padding)
    place = min(place, len(good))
    shown = good[:place] + new + good[place + instead :]
    assert answered(make_auth(SECRET, **FOR_US), shown) == expected(shown, FOR_US)


@pytest.mark.parametrize("size", range(3, 9))
@pytest.mark.parametrize("padding", range(4))
async def test_a_token_may_be_padded_or_not(make_auth: MakeAuth, size: int, padding: int) -> None:
    payload = json.dumps(CLAIMS | {"more": "x" * size}).encode()
    shown = signed(HEADER, payload, lambda part: part + b"=" * (-len(part) % 4 or padding))
    ours = answered(make_auth(SECRET, **FOR_US), shown)
    assert ours == expected(shown, FOR_US)
    assert (ours is None) == (padding == 0)


async def test_a_signature_has_only_one_text(make_auth: MakeAuth) -> None:
    """Its last character has two bits too many."""
    good, auth = signed(HEADER, PAYLOAD), make_auth(SECRET, **FOR_US)
    shown = [good[:-1] + chr(last) for last in base64url(bytes(range(256)))]
    accepted = {text for text in shown if answered(auth, text) is None}
    assert accepted == {good}
