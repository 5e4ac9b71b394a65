"""A client that says who it is, and servers that refuse it or are busy; in virtual time."""

from __future__ import annotations

import logging
import traceback
from contextlib import asynccontextmanager

import pytest
import trio

from lastcall.client import PlaceState, connect, open_client, open_connection
from lastcall.client.tokens import TokenSource
from lastcall.errors import AuthRefused, BadAddress, ConnectFailed, PlaceLost

in_any_order = pytest.mark.usefixtures("schedule")

JWT = "eyJh.eyJz.c2ln"
A, B = "ws://a:8080/", "ws://b:8080/"
ROOM = "game-1.r1"
ENDED = {"t": "ended", "room": ROOM, "reason": "finished"}
NO = (401, [], b"this token has expired\n")
BUSY = (503, [(b"Retry-After", b"4")], b"full")


class FixedRandom:
    """A RandomSource that always returns one value."""

    def random(self):
        return 0.5


class Issuer:
    """Gives the tokens T1, T2, … and counts; an exception in ``answers`` is raised."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.asked_at = []

    def __call__(self):
        self.asked_at.append(trio.current_time())
        answer = self.answers.pop(0) if self.answers else f"T{len(self.asked_at)}"
        if isinstance(answer, Exception):
            raise answer
        return answer


class Setup:
    """A server that sees tokens, and a client of it."""

    def __init__(self, server):
        self.server = server
        self.settings = {"open_stream": server.open_stream, "dice": FixedRandom(), "kind": "k"}

    @property
    def tokens(self):
        return [text and text.removeprefix("Bearer ") for text in self.server.authorizations]

    @asynccontextmanager
    async def place(self, *scripts, refusals=(), urls=(A, B), **options):
        """The first script runs after the join; a socket that is refused has no script."""

        async def first(peer):
            await peer.seat()
            await scripts[0](peer)

        self.server.scripts = [first, *scripts[1:]]
        self.server.refusals = [None, *refusals]
        async with connect(urls, **{**self.settings, **options}) as place:
            yield place

    async def fails(self, error, urls=(A, B), **options):
        with pytest.raises(error) as failed:
            async with connect(urls, **{**self.settings, **options}):
                raise AssertionError("there is no place")
        return failed.value


@pytest.fixture
async def setup(server):
    return Setup(server)


async def vanishes(peer):
    await peer.vanish()


async def seats(peer):
    await peer.seat()
    await peer.send(**ENDED)
    await peer.rest()


async def seats_and_vanishes(peer):
    await peer.seat()
    await peer.vanish()


async def moves(peer):
    await peer.send(t="move", after=1)
    await trio.sleep(1)
    await peer.close(1012)


async def resumes_and_ends(peer):
    await peer.resume()
    await peer.send(**ENDED)
    await peer.rest()


def closes(code, reason=""):
    async def close(peer):
        await peer.close(code, reason)

    return close


# The token of each connect.


async def test_without_a_token_there_is_no_header(setup, autojump_clock):
    async with setup.place(closes(4003)):
        pass
    assert setup.server.authorizations == [None]


async def test_a_text_goes_into_the_header_of_each_handshake(setup, autojump_clock):
    async with setup.place(vanishes, resumes_and_ends, token=JWT) as place:
        await place.wait_over()
    assert setup.server.authorizations == [f"Bearer {JWT}"] * 2


async def test_a_function_is_asked_anew_at_each_connect(setup, autojump_clock):
    issuer = Issuer()
    async with setup.place(moves, vanishes, resumes_and_ends, token=issuer) as place:
        await place.wait_over()
    assert setup.tokens == ["T1", "T2", "T3"]
    assert place.ended is not None


@in_any_order
async def test_at_a_move_the_client_asks_for_a_new_token_and_resumes_at_once(setup, autojump_clock):
    issuer, resumes = Issuer(), []

    async def moves_at_the_end_of_the_token(peer):
        await peer.send(t="msg", seq=1, d="one")
        await trio.sleep(9)
        await moves(peer)

    async def resumes_with_another(peer):
        resumes.append(await peer.resume())
        await peer.send(t="msg", seq=2, d="two")
        await peer.send(**ENDED)
        await peer.rest()

    scripts = (moves_at_the_end_of_the_token, resumes_with_another)
    async with setup.place(*scripts, token=issuer) as place:
        assert [message.data async for message in place] == ["one", "two"]
    assert setup.tokens == ["T1", "T2"]
    assert issuer.asked_at == setup.server.opened_at == [0, 10]
    assert resumes == [{"t": "resume", "ticket": "tk", "seen": 1}]


async def test_the_function_may_wait(setup, autojump_clock):
    async def issue():
        await trio.sleep(2.5)
        return "late"

    async with setup.place(closes(4003), token=issue):
        assert trio.current_time() == 2.5
    assert setup.tokens == ["late"]


async def test_each_url_gets_a_token_of_its_own(setup, autojump_clock):
    setup.server.refusals = [(500, [], b""), None]
    setup.server.script = seats
    async with connect([A, B], token=Issuer(), **setup.settings):
        pass
    assert setup.tokens == ["T1", "T2"]


async def test_one_connection_has_a_token_too(setup, autojump_clock):
    async with open_connection(A, token=Issuer(), open_stream=setup.server.open_stream):
        pass
    assert setup.tokens == ["T1"]


async def test_each_join_on_a_new_socket_asks_anew(setup, autojump_clock):
    async def ends_and_vanishes(peer):
        await peer.seat()
        await peer.send(**ENDED)
        await peer.vanish()

    setup.server.script = ends_and_vanishes
    options = {"open_stream": setup.server.open_stream, "token": Issuer()}
    async with open_client(A, **options) as client:
        for _ in range(3):
            await (await client.join(kind="k")).wait_over()
    assert setup.tokens == ["T1", "T2", "T3"]


# Refusals, which are final.


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("body", [b"this token has expired\n", b""])
async def test_a_refusal_of_the_handshake_is_raised_at_once(setup, autojump_clock, status, body):
    setup.server.refusals = [(status, [], body)]
    refused = await setup.fails(AuthRefused, token=Issuer())
    assert (refused.code, refused.reason) == (status, body.decode().strip())
    assert (setup.server.opened, trio.current_time()) == ([A], 0)


@pytest.mark.parametrize("greets", [True, False])
async def test_a_close_with_4001_is_such_a_refusal_with_or_without_a_hello(
    setup, autojump_clock, greets
):
    if not greets:
        setup.server.hello = {}
    setup.server.script = closes(4001, "who are you?")
    refused = await setup.fails(AuthRefused, token=Issuer())
    assert (refused.code, refused.reason) == (4001, "who are you?")
    assert setup.server.opened == [A]


async def test_a_connection_is_refused_as_a_client_is(setup, autojump_clock):
    setup.server.refusals = [NO]
    with pytest.raises(AuthRefused, match=r"refuses this client \(401: this token has expired\)"):
        async with open_connection([A, B], open_stream=setup.server.open_stream):
            pass


async def test_a_place_whose_socket_is_closed_with_4001_is_lost(setup, autojump_clock):
    async with setup.place(closes(4001, "banned"), token=Issuer()) as place:
        with pytest.raises(AuthRefused, match="banned"):
            await anext(place)
    assert setup.tokens == ["T1"]


@in_any_order
async def test_a_text_that_is_refused_on_the_way_back_is_final(setup, autojump_clock):
    async with setup.place(vanishes, refusals=[NO], token=JWT) as place:
        with pytest.raises(AuthRefused):
            await anext(place)
        with pytest.raises(PlaceLost) as lost:
            await place.say("anybody?")
    assert (lost.value.code, lost.value.reason) == (401, "this token has expired")
    assert setup.tokens == [JWT, JWT]


@in_any_order
@pytest.mark.parametrize("refused_by", ["status", "close", "close after the hello"])
async def test_a_function_is_asked_once_more_on_the_way_back_and_another_token_may_pass(
    setup, autojump_clock, refused_by
):
    async def refuses(peer):
        await peer.next()
        await peer.close(4001)

    refusals, scripts = {
        "status": ([NO], []),
        "close": ([], [closes(4001)]),
        "close after the hello": ([], [refuses]),
    }[refused_by]
    async with setup.place(
        vanishes, *scripts, resumes_and_ends, refusals=refusals, token=Issuer()
    ) as place:
        await place.wait_over()
    assert place.ended is not None
    assert setup.tokens == ["T1", "T2", "T3"]
    assert setup.server.opened_at == [0, 0.4, 0.4]


@in_any_order
async def test_the_same_token_is_not_sent_again_after_it_was_refused(setup, autojump_clock):
    issuer = Issuer("T1", "old", "old", "new")
    async with setup.place(vanishes, refusals=[NO], token=issuer) as place:
        await place.wait_over()
    assert isinstance(place.lost, AuthRefused)
    assert (setup.tokens, issuer.answers) == (["T1", "old"], ["new"])


@in_any_order
async def test_a_second_refusal_in_one_absence_is_final(setup, autojump_clock):
    async with setup.place(vanishes, refusals=[NO, NO], token=Issuer()) as place:
        await place.wait_over()
    assert isinstance(place.lost, AuthRefused)
    assert setup.tokens == ["T1", "T2", "T3"]


@in_any_order
async def test_a_token_that_was_never_refused_is_sent_again_after_a_failure(setup, autojump_clock):
    issuer = Issuer("T1", "old", "new", "new")
    refusals = [NO, (500, [], b"")]
    async with setup.place(vanishes, resumes_and_ends, refusals=refusals, token=issuer) as place:
        await place.wait_over()
    assert place.ended is not None
    assert setup.tokens == ["T1", "old", "new", "new"]


@in_any_order
async def test_each_absence_has_its_second_chance(setup, autojump_clock):
    async def resumes_and_vanishes(peer):
        await peer.resume()
        await peer.vanish()

    scripts = [vanishes, resumes_and_vanishes, resumes_and_ends]
    async with setup.place(*scripts, refusals=[NO, None, NO], token=Issuer()) as place:
        await place.wait_over()
    assert place.ended is not None
    assert setup.tokens == ["T1", "T2", "T3", "T4", "T5"]


# Busy servers, which are not final.


async def test_the_next_url_is_tried_when_a_server_is_busy(setup, autojump_clock):
    async with setup.place(vanishes, resumes_and_ends, refusals=[BUSY]) as place:
        await place.wait_over()
    assert setup.server.opened == [A, B, A]
    assert setup.server.opened_at == [0, 0.4, 0.4]


async def test_when_all_are_busy_the_client_waits_as_long_as_the_first_of_them_asks(
    setup, autojump_clock
):
    longer = (503, [(b"retry-after", b"9")], b"full")
    async with setup.place(vanishes, resumes_and_ends, refusals=[longer, BUSY]) as place:
        await place.wait_over()
    assert setup.server.opened == [A, B, A, A]  # B asked for more time than A
    assert setup.server.opened_at == [0, 0.4, 0.4, pytest.approx(0.4 + 4 + 0.125)]


async def test_a_busy_server_is_spared_while_another_one_is_down(setup, autojump_clock):
    async def a_goes_down(url):
        if url == A and 0 < trio.current_time() < 20:
            raise ConnectionRefusedError("refused")
        return await setup.server.open_stream(url)

    options = {"open_stream": a_goes_down, "refusals": [BUSY]}
    async with setup.place(vanishes, resumes_and_ends, **options) as place:
        await place.wait_over()
    back_off = [0.125, 0.25, 0.5, 1, 2, 4]
    assert setup.server.opened_at == [0, 0.4, pytest.approx(0.4 + sum(back_off))]


async def test_a_server_that_asks_for_an_hour_is_asked_again_after_10_s(setup, autojump_clock):
    hour = (503, [(b"Retry-After", b"3600")], b"")
    async with setup.place(vanishes, resumes_and_ends, urls=A, refusals=[hour]) as place:
        await place.wait_over()
    assert setup.server.opened_at == [0, 0.4, pytest.approx(0.4 + 10 + 0.125)]


@pytest.mark.parametrize("value", [b"Fri, 31 Dec 1999 23:59:59 GMT", b"-5", b"1e9", b"9" * 400])
async def test_a_retry_after_that_is_no_number_of_seconds_counts_as_none(
    setup, autojump_clock, value
):
    odd = (503, [(b"Retry-After", value)], b"")
    async with setup.place(vanishes, resumes_and_ends, urls=A, refusals=[odd]) as place:
        await place.wait_over()
    assert setup.server.opened_at == [0, 0.4, 0.525]


async def test_a_join_waits_for_busy_servers_within_its_time(setup, autojump_clock):
    setup.server.refusals = [BUSY, BUSY]
    setup.server.script = seats
    async with connect([A, B], **setup.settings):
        assert trio.current_time() == 4.125
    setup.server.refusals = [BUSY] * 9
    failed = await setup.fails(ConnectFailed, join_seconds=4)
    assert failed.retry_after == 4


@pytest.mark.parametrize("greets", [True, False])
async def test_a_close_with_1013_is_busy_too(setup, autojump_clock, greets):
    if not greets:
        setup.server.hello = {}
    setup.server.scripts = [closes(1013)]

    async def greets_and_seats(peer):
        if not greets:
            await peer.send(t="hello", v=1, node="api-1", version="7")
        await seats(peer)

    setup.server.script = greets_and_seats
    async with connect([A, B], **setup.settings):
        pass
    assert setup.server.opened == [A, B]


# Functions that fail.


async def test_an_error_of_the_function_ends_the_first_connect(setup, autojump_clock):
    error = LookupError("nobody is logged in")
    assert await setup.fails(LookupError, token=Issuer(error)) is error
    assert setup.server.opened == []


@in_any_order
async def test_an_error_of_the_function_on_the_way_back_is_a_failed_attempt(
    setup, autojump_clock, caplog
):
    issuer = Issuer("T1", OSError("the issuer is down"), trio.TooSlowError("slow"), "T4")
    async with setup.place(vanishes, resumes_and_ends, token=issuer) as place:
        await place.wait_over()
    assert place.ended is not None
    assert setup.tokens == ["T1", "T4"]
    assert issuer.asked_at == [0, 0.4, 0.525, 0.775]
    notices = [(record.levelno, record.getMessage()) for record in caplog.records]
    assert notices == [
        (logging.WARNING, "no token; the next attempt is in 0.1 s"),
        (logging.WARNING, "no token; the next attempt is in 0.2 s"),
    ]
    assert "the issuer is down" in caplog.text


@in_any_order
async def test_a_function_that_hangs_is_left_after_connect_seconds(setup, autojump_clock, caplog):
    hanging = Issuer()

    async def hangs_at_the_second_call():
        if len(hanging.asked_at) == 1:
            hanging()
            await trio.sleep_forever()
        return hanging()

    async with setup.place(vanishes, resumes_and_ends, token=hangs_at_the_second_call) as place:
        await place.wait_over()
    assert setup.server.opened_at == [0, 0.4 + 3 + 0.125]
    assert "the token function took longer than 3 s" in caplog.text


async def test_a_function_that_always_hangs_fails_the_join_after_join_seconds(
    setup, autojump_clock
):
    failed = await setup.fails(ConnectFailed, token=trio.sleep_forever)
    assert str(failed) == "the token function took longer than 3 s"
    assert trio.current_time() == 3 + 0.125 + 3 + 0.25 + 3 + 0.5 + 3


async def test_a_client_that_gives_up_waits_for_no_token(setup, autojump_clock):
    async with setup.place(
        vanishes, token=Issuer("T1", *[OSError()] * 99), give_up_seconds=5
    ) as place:
        with pytest.raises(PlaceLost, match="not back within 5 s"):
            await anext(place)
    assert trio.current_time() == 5


# Tokens that cannot be sent, and secrets that must not be seen.


@pytest.mark.parametrize("token", ["", "a b", "a\r\nX-Admin: 1", "schlüssel", "half\ud800"])
async def test_a_text_that_is_no_token_is_refused_and_not_shown(setup, autojump_clock, token):
    for source in (token, lambda: token):
        refused = await setup.fails(ValueError, token=source)
        assert str(refused) == "a token is visible ASCII characters without spaces, at least one"
    assert setup.server.opened == []


@pytest.mark.parametrize("token", [None, b"bytes", 7])
async def test_a_function_that_returns_no_text_is_refused(setup, autojump_clock, token):
    refused = await setup.fails(TypeError, token=lambda: token)
    assert type(token).__name__ in str(refused)


async def test_bytes_are_no_token(setup, autojump_clock):
    await setup.fails(TypeError, token=b"bytes")


SECRETS = ("SECRET-token", "SECRET-key", "SECRET-ticket", "SECRET-password", "SECRET-query")
LOUD_URL = "ws://ann:SECRET-password@a:8080/play?token=SECRET-query"


def shown(error):
    return "".join(traceback.format_exception(error)) + repr(error)


@pytest.mark.parametrize("refusal", [NO, BUSY, (500, [], b""), None])
async def test_no_error_and_no_log_shows_a_token_a_key_or_a_url_with_one(
    setup, autojump_clock, caplog, refusal
):
    caplog.set_level(logging.DEBUG)
    setup.server.refusals = [refusal] * 99
    setup.server.hello = {"t": "nonsense"}
    options = {"token": "SECRET-token", "key": "SECRET-key", "join_seconds": 1}
    failed = await setup.fails((AuthRefused, ConnectFailed), urls=LOUD_URL, **options)
    assert setup.server.authorizations[0] == "Bearer SECRET-token"
    for secret in SECRETS:
        assert secret not in shown(failed) + caplog.text


async def test_nothing_that_a_program_holds_shows_a_token_a_key_or_a_ticket(
    setup, autojump_clock, caplog
):
    caplog.set_level(logging.DEBUG)

    async def is_refused(peer):
        await peer.next()
        await peer.close(4004)

    async def gives_a_ticket_and_vanishes(peer):
        await peer.resume(ticket="SECRET-ticket")
        await peer.vanish()

    issuer = Issuer("SECRET-token", OSError("down"), "SECRET-token", "SECRET-token")
    setup.server.scripts = [seats_and_vanishes, gives_a_ticket_and_vanishes, is_refused]
    options = {"open_stream": setup.server.open_stream, "dice": FixedRandom(), "token": issuer}
    async with open_client(LOUD_URL, **options) as client:
        place = await client.join(kind="k", key="SECRET-key")
        await place.wait_over()
        held = [client, client.connection, place, place.lost, *place.errors, TokenSource(issuer)]
        seen = "".join(map(repr, held)) + shown(place.lost) + caplog.text
    assert (place.progress.ticket, place.lost.code) == ("SECRET-ticket", 4004)
    for secret in SECRETS:
        assert secret not in seen


@pytest.mark.parametrize(
    "url",
    [
        "http://ann:SECRET@a/?SECRET",
        "ws://ann:SECRET@a:port/#SECRET",
        "ws://ann:SECRET@\u2100/",
        "ws://:SECRET@/",
    ],
)
async def test_a_bad_address_is_shown_without_its_password_and_query(autojump_clock, url):
    with pytest.raises(BadAddress) as refused:
        async with open_client(url):
            pass
    assert "SECRET" not in shown(refused.value)


@in_any_order
async def test_a_place_is_away_while_the_function_works(setup, autojump_clock):
    async def issue():
        await trio.sleep(2)
        return "T"

    async with setup.place(moves, resumes_and_ends, token=issue) as place:
        await place.wait_state(PlaceState.AWAY)
        assert trio.current_time() == 3
        await place.wait_over()
    assert (place.away_seconds, setup.server.opened_at) == (2, [2, 5])
