"""Strangers with bad tokens, or with others' tickets and keys; and tokens that end."""

from __future__ import annotations

import base64
import hmac
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
import trio
from trio.testing import MockClock

from lastcall import Away, Back, Handshake, Identity, Refuse, Room, Said, room
from lastcall.api.auth.function import FunctionAuth
from lastcall.api.auth.json_web_token import JwtAuth
from lastcall.runtime import logs
from lastcall.runtime.auth_options import AuthOptions
from tests.api.auth.conftest import EC, OTHER_EC, RSA, SECRET, jwk, jwks, pem, token
from tests.api.conftest import UPGRADE
from tests.harness import use_plain_tracebacks
from tests.harness.cluster import ApiProcess, cluster
from tests.harness.counts import players_in
from tests.harness.player import Player

CLOSED_INSTEAD = "lastcall.v1, lastcall.refuse-by-close"
NOW = int(time.time())


@room("den", seats=4, one_seat_each=False)
async def den(table: Room) -> None:
    """Tells everybody what is said, by whom, and who is away."""
    async for event in table:
        identity = table.identity(event.player)  # type: ignore[union-attr]
        who = identity.id if identity else None
        match event:
            case Said(_, said):
                table.broadcast([who, said])
            case Away() | Back():
                table.broadcast([who, type(event).__name__])


@room("club", seats=4, starts=4, one_seat_each=True)
async def club(table: Room) -> None:
    """Seats an identity once; has not started before four are there."""
    async for event in table:
        if isinstance(event, Said):
            who = table.identity(event.player)
            table.broadcast([who and who.id, event.input])


KINDS = {kind.name: kind for kind in (den, club)}


async def by_name(handshake: Handshake) -> Identity:
    """The token is the identity."""
    if handshake.token is None:
        raise Refuse(401, "a token is needed")
    return Identity(handshake.token)


def named() -> FunctionAuth:
    return FunctionAuth(by_name, "tests:by_name")


def jwt_auth(tmp_path: Path, keys: bytes, **options: Any) -> JwtAuth:
    file = tmp_path / "keys"
    file.write_bytes(keys)
    return JwtAuth(AuthOptions(auth="jwt", jwt_key_file=file, **options))


async def answer(
    api: ApiProcess, shown: str | None, *, patience: float = 1, **headers: str
) -> tuple[int, bytes]:
    """The status of the answer to a handshake with a token, and everything that came."""
    lines = {} if shown is None else {"Authorization": f"Bearer {shown}"}
    lines |= {name.replace("_", "-"): value for name, value in headers.items()}
    text = "".join(f"\r\n{name}: {value}" for name, value in lines.items())
    stream = await api.listener.connect()
    await stream.send_all(UPGRADE.replace(b"\r\n\r\n", text.encode() + b"\r\n\r\n"))
    got = b""
    with trio.move_on_after(patience):
        while more := await stream.receive_some():
            got += more
    await trio.aclose_forcefully(stream)
    return int(got.split(b" ", 2)[1]), got


@pytest.fixture
def log_lines() -> Iterator[list[bytes]]:
    lines: list[bytes] = []
    logs.configure("json", level="debug", write=lines.append)
    yield lines
    structlog.reset_defaults()
    use_plain_tracebacks()


# Bad tokens.

OURS = {"aud": "game", "iss": "us"}


def mine(key: Any = EC, algorithm: str = "ES256", kid: str | None = None, **claims: Any) -> str:
    """A token that is good but for ``claims``, the key, or the algorithm."""
    return token(key, algorithm, kid, **(OURS | claims))


def signed_with_the_public_key() -> str:
    """HS256 with the PEM of the public key as the secret; PyJWT refuses to make one."""
    parts = [{"alg": "HS256", "typ": "JWT"}, {"sub": "ann", "exp": NOW + 3600} | OURS]
    encoded = b".".join(base64url(json.dumps(part).encode()) for part in parts)
    signature = hmac.digest(pem(EC), encoded, "sha256")
    return (encoded + b"." + base64url(signature)).decode()


def base64url(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def tampered() -> str:
    """The signature of one token, and the claims of another."""
    head, _, signature = mine().split(".")
    return f"{head}.{mine(sub='eve').split('.')[1]}.{signature}"


BAD: dict[str, tuple[Callable[[], str], str]] = {
    "expired": (lambda: mine(exp=NOW - 70), "the token has expired"),
    "not yet valid": (lambda: mine(nbf=NOW + 3600), "the token is not valid yet"),
    "issued in the future": (lambda: mine(iat=NOW + 3600), "the token is not valid yet"),
    "another audience": (lambda: mine(aud="shop"), "the token is for another audience"),
    "no audience": (lambda: mine(aud=None), "the token has no aud"),
    "another issuer": (lambda: mine(iss="eve"), "the token is from another issuer"),
    "no issuer": (lambda: mine(iss=None), "the token has no iss"),
    "no end": (lambda: mine(exp=None), "the token has no exp"),
    "nobody": (lambda: mine(sub=None), "the token has no sub"),
    "alg none": (lambda: mine("", "none"), "the token's algorithm is not one of this node's"),
    "HS256 with the public key": (
        signed_with_the_public_key,
        "the token's algorithm is not one of this node's",
    ),
    "another algorithm": (
        lambda: mine(RSA, "RS256"),
        "the token's algorithm is not one of this node's",
    ),
    "another key": (lambda: mine(OTHER_EC), "the token's signature is wrong"),
    "tampered": (tampered, "the token's signature is wrong"),
    "not a token": (lambda: "x" * 100, "the token cannot be read"),
    "three dots": (lambda: "...", "the token cannot be read"),
    "too long": (lambda: mine(more="x" * 9_000), "a token has 8192 characters at most"),
}


@pytest.mark.parametrize(("make", "why"), BAD.values(), ids=BAD)
async def test_a_bad_token_is_refused_and_never_logged_or_echoed(
    autojump_clock: MockClock,
    tmp_path: Path,
    log_lines: list[bytes],
    make: Callable[[], str],
    why: str,
) -> None:
    bad = make()
    async with cluster() as c:
        game = c.game(kinds=KINDS)
        api = c.api(auth=jwt_auth(tmp_path, pem(EC), jwt_audience=("game",), jwt_issuer=("us",)))
        await c.ready(game, api)
        status, got = await answer(api, bad)
        assert (status, got.split(b"\r\n\r\n")[1].decode()) == (401, why)
        status, by_close = await answer(api, bad, Sec_WebSocket_Protocol=CLOSED_INSTEAD)
        frame = by_close.split(b"\r\n\r\n")[1]
        assert (status, frame[2:4], frame[4:].decode()) == (101, (4001).to_bytes(2, "big"), why)
        assert api.clients == 0
        assert (await answer(api, mine()))[0] == 101, "the next one comes in"
    logged = b"".join(log_lines)
    assert b"client.closed" in logged, "the log tells everything"
    assert b'"level": "error"' not in logged
    for part in (part.encode() for part in [bad, *bad.split(".")] if len(part) > 8):
        assert part not in logged
        assert part not in got + by_close


@pytest.mark.parametrize("kid", ["k3", "", None])
async def test_an_unknown_kid_is_refused(
    autojump_clock: MockClock, tmp_path: Path, kid: str | None
) -> None:
    async with cluster() as c:
        game = c.game(kinds=KINDS)
        api = c.api(auth=jwt_auth(tmp_path, jwks(jwk(EC, "k1"), jwk(RSA, "k2"))))
        await c.ready(game, api)
        assert (await answer(api, token(kid=kid)))[0] == 401
        assert (await answer(api, token(kid="k1")))[0] == 101
        assert (await answer(api, token(kid="k2")))[0] == 401, "it names another's key"


@pytest.mark.parametrize(
    ("claims", "status"),
    [
        ({"exp": NOW - 45}, 101),
        ({"nbf": NOW + 50, "iat": NOW + 50}, 101),
        ({"exp": NOW - 75}, 401),
        ({"nbf": NOW + 600}, 401),
    ],
)
async def test_clocks_may_be_up_to_60_s_apart(
    autojump_clock: MockClock, tmp_path: Path, claims: dict[str, int], status: int
) -> None:
    now = int(time.time())  # the tests before this one may have taken a while
    moved = {name: value + now - NOW for name, value in claims.items()}
    async with cluster() as c:
        game = c.game(kinds=KINDS)
        api = c.api(auth=jwt_auth(tmp_path, pem(EC)))
        await c.ready(game, api)
        assert (await answer(api, token(**moved)))[0] == status


async def test_a_client_without_a_token_does_not_come_in(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with cluster() as c:
        game = c.game(kinds=KINDS)
        api = c.api(auth=jwt_auth(tmp_path, pem(EC)))
        await c.ready(game, api)
        assert (await answer(api, None))[0] == 401


async def test_a_function_that_fails_is_a_503_even_for_who_can_be_refused_by_a_close(
    autojump_clock: MockClock,
) -> None:
    async def fails(_: Handshake) -> Identity:
        raise SystemExit(0)

    async with cluster() as c:
        game = c.game(kinds=KINDS)
        api = c.api(auth=FunctionAuth(fails, "tests:fails"))
        await c.ready(game, api)
        for more in ({}, {"Sec_WebSocket_Protocol": CLOSED_INSTEAD}):
            status, got = await answer(api, "t", **more)
            assert status == 503
            assert b"Retry-After: 1" in got
        assert api.exit_code is None


async def test_a_function_that_hangs_is_a_503_after_5_s(autojump_clock: MockClock) -> None:
    async def hangs(_: Handshake) -> Identity:
        await trio.sleep_forever()
        raise AssertionError

    async with cluster() as c:
        game = c.game(kinds=KINDS)
        api = c.api(auth=FunctionAuth(hangs, "tests:hangs"))
        await c.ready(game, api)
        begin = trio.current_time()
        assert (await answer(api, "t", patience=7))[0] == 503
        assert trio.current_time() - begin == 5


async def test_a_drain_does_not_wait_for_a_function_that_hangs(autojump_clock: MockClock) -> None:
    async def hangs(_: Handshake) -> Identity:
        await trio.sleep_forever()
        raise AssertionError

    async with cluster() as c:
        game = c.game(kinds=KINDS)
        api = c.api(auth=FunctionAuth(hangs, "tests:hangs"))
        await c.ready(game, api)
        statuses: list[int] = []

        async def ask() -> None:
            statuses.append((await answer(api, "t", patience=10))[0])

        c.nursery.start_soon(ask)
        await trio.sleep(0.1)
        begin = trio.current_time()
        api.signal()
        await api.gone.wait()
        assert trio.current_time() - begin <= 2.6
        assert statuses == [503]


# The keys change.


async def test_while_the_key_file_is_gone_or_half_written_clients_come_in_by_the_old_keys(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with cluster() as c:
        game = c.game(kinds=KINDS)
        api = c.api(auth=jwt_auth(tmp_path, pem(EC)))
        await c.ready(game, api)
        file = tmp_path / "keys"
        with structlog.testing.capture_logs() as events:
            file.unlink()
            await trio.sleep(10)
            assert (await answer(api, token()))[0] == 101
            file.write_bytes(pem(OTHER_EC)[:80])
            await trio.sleep(10)
            assert (await answer(api, token()))[0] == 101
            assert (await answer(api, token(OTHER_EC)))[0] == 401
            file.write_bytes(pem(OTHER_EC))
            await trio.sleep(3)
        assert (await answer(api, token(OTHER_EC)))[0] == 101
        assert (await answer(api, token()))[0] == 401
        seen = [line["event"] for line in events if line["event"].startswith("auth.")]
        assert seen == ["auth.keys_kept", "auth.keys_kept", "auth.keys_read"]


# A token ends.


async def test_a_token_that_ends_in_mid_match_moves_its_socket_and_costs_nothing(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with cluster() as c:
        game = c.game(kinds=KINDS)
        api = c.api(auth=jwt_auth(tmp_path, SECRET, jwt_leeway=0))
        await c.ready(game, api)
        now = int(time.time())
        ann = Player(c.nursery, token(SECRET, "HS256", exp=now + 30))
        bob = Player(c.nursery, token(SECRET, "HS256", sub="bob", exp=now + 3600))
        begin = trio.current_time()
        await ann.join(api, kind="den")
        await bob.join(api, room=ann.room)
        await ann.say("before")
        await bob.hear_data(["ann", "before"])
        old = ann.socket
        await trio.sleep(28)
        assert (await old.hear("move"))["after"] == 0
        assert 28 <= trio.current_time() - begin <= 37, "30 s, 5 s of spread, 1 s of the sweep"
        assert await old.close_code() == 1012
        await bob.say("meanwhile")
        ann.token = token(SECRET, "HS256", exp=now + 3600)
        await ann.resume(api)
        await ann.hear_data(["bob", "meanwhile"])
        await ann.say("after")
        for player in (ann, bob):
            await player.hear_data(["ann", "after"])
        assert [data for _, data in bob.messages] == [
            ["ann", "before"],
            ["bob", "meanwhile"],
            ["ann", "after"],
        ], "nobody was away"
        await trio.sleep(60)
        assert ann.socket.closed is None, "the new token counts"


async def test_a_token_that_ends_in_a_moment_lets_its_bearer_in_and_soon_out(
    autojump_clock: MockClock,
) -> None:
    clock = [1000.0]

    async def soon_over(_: Handshake) -> Identity:
        return Identity("ann", until=1000.1)

    async with cluster() as c:
        game = c.game(kinds=KINDS)
        api = c.api(auth=FunctionAuth(soon_over, "tests:soon_over", wall=lambda: clock[0]))
        await c.ready(game, api)
        begin = trio.current_time()
        ann = Player(c.nursery, "t")
        await ann.join(api, kind="den")
        assert await ann.socket.close_code() == 1012
        assert trio.current_time() - begin <= 6.2
        clock[0] = 1006.0
        status, got = await answer(api, "t")
        assert status == 401
        assert b"the token has expired" in got


# Others' tickets and keys.


async def test_a_ticket_in_others_hands_is_a_failed_resume_wherever_they_come_from(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        game = c.game(kinds=KINDS)
        api, other_api = c.api(auth=named()), c.api("api-2", auth=named())
        await c.ready(game, api, other_api)
        ann, bob = Player(c.nursery, "ann"), Player(c.nursery, "bob")
        await ann.join(api, kind="den")
        await bob.join(api, room=ann.room)
        eve = Player(c.nursery, "eve")
        codes = []
        for _ in range(21):
            socket = await eve.send_resume(api, ticket=ann.ticket, seen=0)
            codes.append(await socket.close_code())
        assert codes == [4004] * 20 + [1013], "and the address is not known here"
        await ann.resume(api)
        await bob.resume(other_api)
        await ann.say("still here")
        await bob.hear_data(["ann", "still here"])
        assert [data for _, data in bob.messages] == [["ann", "still here"]]


@pytest.mark.parametrize("named_room", [False, True])
async def test_a_key_in_others_hands_finds_no_place_on_any_node(
    autojump_clock: MockClock, *, named_room: bool
) -> None:
    async with cluster() as c:
        first, second = (c.game(name, kinds=KINDS) for name in ("game-1", "game-2"))
        api = c.api(auth=named())
        await c.ready(first, second, api)
        ann = Player(c.nursery, "ann")
        await ann.join(api, kind="den", key="k")
        eve = Player(c.nursery, "eve")
        socket = await eve.dial(api)
        await socket.send(
            t="join", key="k", **({"room": ann.room} if named_room else {"kind": "den"})
        )
        assert await socket.close_code() == 4004
        await trio.sleep(1)
        assert ann.socket.closed is None
        assert players_in(first.node.host) + players_in(second.node.host) == 1
        again = Player(c.nursery, "ann")
        assert (await again.join(api, kind="den", key="k"))["you"] == ann.you


async def test_guesses_of_keys_against_a_full_room_are_limited_and_hold_up_no_resume(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        game = c.game(kinds=KINDS)
        api = c.api(auth=named())
        await c.ready(game, api)
        seated = [Player(c.nursery, name) for name in ("ann", "bob", "cy", "eve")]
        await seated[0].join(api, kind="den", key="ann's key")
        for player in seated[1:]:
            await player.join(api, room=seated[0].room)
        guesser = await Player(c.nursery, "eve").dial(api)
        told = []
        for number in range(25):
            await guesser.send(t="join", room=seated[0].room, key=f"guess {number}")
            told.append((await guesser.hear("error"))["code"])
        assert told == ["full"] * 20 + ["too_many"] * 5
        await seated[3].resume(api)  # of the same identity
        await trio.sleep(1)
        await guesser.send(t="join", room=seated[0].room, key="later")
        assert (await guesser.hear("error"))["code"] == "full", "5 a second"


# One seat for each identity.


async def test_a_second_device_takes_the_place_over_and_the_first_is_told_4005(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        game = c.game(kinds=KINDS)
        api, other_api = c.api(auth=named()), c.api("api-2", auth=named())
        await c.ready(game, api, other_api)
        phone, laptop, bob = (Player(c.nursery, name) for name in ("ann", "ann", "bob"))
        await phone.join(api, kind="club", key="of the phone")
        await bob.join(api, room=phone.room)
        await bob.say("hello")
        await phone.hear_data(["bob", "hello"])
        joined = await laptop.join(other_api, room=phone.room, key="of the laptop")
        assert (joined["you"], joined["seq"]) == (phone.you, 0)
        assert await phone.socket.close_code() == 4005
        await laptop.hear_data(["bob", "hello"])
        await laptop.say("from the laptop")
        await bob.hear_data(["ann", "from the laptop"])
        assert players_in(game.node.host) == 2


async def test_an_identity_moves_on_with_a_regrouped_room(autojump_clock: MockClock) -> None:
    async with cluster() as c:
        first, second = (c.game(name, kinds=KINDS) for name in ("game-1", "game-2"))
        api = c.api(auth=named())
        await c.ready(first, second, api)
        ann = Player(c.nursery, "ann")
        await ann.join(api, kind="club", key="k")
        assert ann.room.startswith("game-1.")
        first.signal()
        joined = await ann.socket.hear("joined")
        assert joined["room"].startswith("game-2.")
        await ann.socket.send(t="got", seq=joined["seq"])
        await ann.socket.send(t="say", n=1, d="here")
        assert (await ann.socket.hear("msg"))["d"] == ["ann", "here"]
        eve = Player(c.nursery, "eve")
        socket = await eve.send_resume(api, ticket=joined["ticket"], seen=0)
        assert await socket.close_code() == 4004


async def test_a_place_with_an_identity_survives_the_reset_of_its_link(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        game = c.game(kinds=KINDS)
        api = c.api(auth=named())
        await c.ready(game, api)
        ann = Player(c.nursery, "ann")
        await ann.join(api, kind="den")
        game.drop_links()
        await trio.sleep(2)
        await ann.say("hello")
        await ann.hear_data(["ann", "hello"])
        assert ann.socket.closed is None
