"""Good tokens, and what becomes of them."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
import trio

from lastcall.api.auth.entry import SPREAD_SECONDS, Denial, Entry
from lastcall.api.auth.json_web_token import JwtAuth
from lastcall.identity import Identity
from tests.api.auth.conftest import EC, ED, RSA, SECRET, asked, jwk, jwks, pem, token

MakeAuth = Callable[..., JwtAuth]


async def entered(auth: JwtAuth, shown: str) -> Entry:
    entry = auth.admit(*asked(shown))
    assert isinstance(entry, Entry), entry
    return entry


@pytest.mark.parametrize(
    ("file", "key", "algorithm"),
    [
        (pem(EC), EC, "ES256"),
        (pem(RSA), RSA, "RS256"),
        (pem(ED), ED, "EdDSA"),
        (SECRET, SECRET, "HS256"),
    ],
)
async def test_a_good_token_says_who_its_bearer_is(
    autojump_clock, make_auth: MakeAuth, file: bytes, key: Any, algorithm: str
) -> None:
    exp = int(time.time()) + 3600
    shown = token(key, algorithm, exp=exp, name="Ann", jti="7", rank=3)
    entry = await entered(make_auth(file), shown)
    assert entry.identity == Identity("ann", "Ann", {"rank": 3}, exp + 60)


@pytest.mark.parametrize("where", ["bearer", "query", "offered"])
async def test_a_token_may_come_in_three_ways(make_auth: MakeAuth, where: str) -> None:
    entry = make_auth().admit(*asked(**{where: token()}))
    assert isinstance(entry, Entry)


async def test_a_client_is_in_until_the_token_ends_for_this_node(
    autojump_clock, make_auth: MakeAuth
) -> None:
    entry = await entered(make_auth(jwt_leeway=30), token(exp=int(time.time()) + 100))
    left = entry.until - trio.current_time()
    assert 128 <= left <= 131 + SPREAD_SECONDS, "100 s, 30 s of leeway, and up to 5 s of spread"


async def test_the_end_of_a_thousand_tokens_is_spread_over_5_s(
    autojump_clock, make_auth: MakeAuth
) -> None:
    auth, exp = make_auth(SECRET), int(time.time()) + 100
    begin = trio.current_time()
    ends = [
        (await entered(auth, token(SECRET, "HS256", sub=f"u{number}", exp=exp))).until - begin
        for number in range(1_000)
    ]
    first, last = min(ends), max(ends)
    assert 4.8 <= last - first <= SPREAD_SECONDS + 3
    assert sum(end < (first + last) / 2 for end in ends) in range(400, 600)


async def test_a_token_without_a_name_leaves_the_name_to_the_client(make_auth: MakeAuth) -> None:
    for name in (None, 7, ["Ann"]):
        entry = await entered(make_auth(), token(name=name))
        assert entry.identity is not None
        assert entry.identity.name is None


async def test_an_audience_and_an_issuer_may_be_one_of_several(make_auth: MakeAuth) -> None:
    auth = make_auth(jwt_audience=("a", "b"), jwt_issuer=("i", "j"))
    await entered(auth, token(aud=["b", "c"], iss="j"))
    await entered(auth, token(aud="a", iss="i"))


async def test_a_set_may_hold_keys_of_several_kinds(make_auth: MakeAuth) -> None:
    auth = make_auth(jwks(jwk(EC, "e"), jwk(RSA, "r")))
    await entered(auth, token(EC, "ES256", kid="e"))
    await entered(auth, token(RSA, "RS256", kid="r"))


@pytest.mark.parametrize(
    ("claims", "says"),
    [
        ({"sub": None}, "has no sub"),
        ({"exp": None}, "has no exp"),
        ({"sub": ""}, "sub, name or claims"),
        ({"sub": "x" * 257}, "sub, name or claims"),
        ({"much": "x" * 4_100}, "sub, name or claims"),
        ({"big": 2**64}, "sub, name or claims"),
        ({"aud": "somebody"}, "another audience"),
    ],
)
async def test_a_signed_token_that_no_room_could_use_is_refused(
    make_auth: MakeAuth, claims: dict[str, Any], says: str
) -> None:
    denial = make_auth().admit(*asked(token(**claims)))
    assert isinstance(denial, Denial)
    assert denial.status == 401
    assert says in denial.reason


async def test_a_token_of_more_than_8_kib_is_not_read(make_auth: MakeAuth) -> None:
    denial = make_auth().admit(*asked("x" * 8_193))
    assert denial == Denial(401, "a token has 8192 characters at most")


async def test_a_client_without_a_token_is_told_that_it_needs_one(make_auth: MakeAuth) -> None:
    assert make_auth().admit(*asked()) == Denial(401, "a token is needed")


@pytest.mark.parametrize(
    "shown",
    ["x" * 100, "...", "é.b.c", "e30.e30.e30", "W10.e30.", "bnVsbA.e30.", "=.=.=", "A" * 8_192],
)
async def test_what_is_not_a_token_is_refused_by_a_set_of_keys_too(
    make_auth: MakeAuth, shown: str
) -> None:
    for keys in (jwks(jwk(EC, "a"), jwk(RSA, "b")), jwks(jwk(EC, "a"))):
        denial = make_auth(keys).admit(*asked(shown))
        assert isinstance(denial, Denial)
        assert denial.status == 401
