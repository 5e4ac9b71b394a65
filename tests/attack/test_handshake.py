"""Strangers at the client port, until they are a WebSocket: on both paths, with real sockets."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
import structlog.testing
import trio
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from lastcall.api.gateway.handshake import EntryRules
from lastcall.core.edge.origins import parse_origins
from tests.api.conftest import UPGRADE
from tests.api.paths import CLOSE, Peer, Server, frame, serving
from tests.core.edge.test_opening_request import RIGHT, WRONG
from tests.fuzz.handshake import target

PATHS = pytest.mark.parametrize("pumped", [True, False], ids=["pump", "plain"])
EVIL = UPGRADE.replace(b"\r\n\r\n", b"\r\nOrigin: https://evil.example\r\n\r\n")
OFFERS = b"\r\nSec-WebSocket-Protocol: lastcall.v1, lastcall.refuse-by-close, bearer.5ec7e7\r\n\r\n"


def only(origins: str) -> EntryRules:
    return EntryRules(origins=parse_origins(origins))


async def answer(server: Server, data: bytes) -> bytes:
    peer = server.dial()
    await peer.send(data)
    return await peer.head()


@PATHS
async def test_each_wrong_request_gets_its_4xx_and_never_101_nor_an_error_in_the_log(
    autojump_clock, monkeypatch: pytest.MonkeyPatch, *, pumped: bool
) -> None:
    with structlog.testing.capture_logs() as events:
        async with serving(monkeypatch, pumped=pumped) as server:
            for what, (status, data) in WRONG.items():
                assert (await answer(server, data)).startswith(b"HTTP/1.1 %d " % status), what
            await server.gateway.wait_empty()
            ends = dict(server.gateway.counts.ends)
    assert ends == {"handshake": len(WRONG)}
    assert {event["event"] for event in events} == {"client.closed"}


@PATHS
async def test_each_right_request_gets_101_and_its_hello(
    autojump_clock, monkeypatch: pytest.MonkeyPatch, *, pumped: bool
) -> None:
    async with serving(monkeypatch, pumped=pumped) as server:
        for what, data in RIGHT.items():
            peer = server.dial()
            await peer.send(data)
            assert (await peer.head()).startswith(b"HTTP/1.1 101 "), what
            hello = await peer.next()
            assert json.loads(hello[1])["t"] == "hello"


@PATHS
async def test_frames_that_come_with_the_request_are_heard(
    autojump_clock, monkeypatch: pytest.MonkeyPatch, *, pumped: bool
) -> None:
    async with serving(monkeypatch, pumped=pumped) as server:
        peer = server.dial()
        await peer.send(UPGRADE + frame(b"early") + frame(b"too"))
        assert b" 101 " in await peer.head()
        assert [one[1] for one in await peer.take(3)][1:] == [b"early", b"too"]


@PATHS
@pytest.mark.parametrize("before", [b"", b"GET / HTTP/1.1\r\nX: "], ids=["nothing", "a header"])
async def test_a_head_that_never_ends_is_bounded_in_bytes(
    autojump_clock,
    monkeypatch: pytest.MonkeyPatch,
    before: bytes,
    *,
    pumped: bool,
) -> None:
    async with serving(monkeypatch, pumped=pumped) as server:
        peer = server.dial()
        await peer.send(before + b"x" * 17_408)
        assert (await peer.head()).startswith(b"HTTP/1.1 431 ")


@PATHS
async def test_a_page_of_another_origin_gets_403_and_programs_without_one_pass(
    autojump_clock, monkeypatch: pytest.MonkeyPatch, *, pumped: bool
) -> None:
    async with serving(monkeypatch, pumped=pumped, rules=only("https://play.example")) as server:
        assert (await answer(server, EVIL)).startswith(b"HTTP/1.1 403 ")
        assert b" 101 " in await answer(server, EVIL.replace(b"evil", b"play"))
        assert b" 101 " in await answer(server, UPGRADE)
        assert server.gateway.counts.refused == 1
        assert server.gateway.counts.ends["refused"] == 1


@PATHS
async def test_a_browser_that_is_refused_reads_4001_and_why_and_no_token_is_echoed(
    autojump_clock, monkeypatch: pytest.MonkeyPatch, *, pumped: bool
) -> None:
    async with serving(monkeypatch, pumped=pumped, rules=only("https://play.example")) as server:
        peer = server.dial()
        await peer.send(EVIL.replace(b"\r\n\r\n", OFFERS))
        head = await peer.head()
        assert head.startswith(b"HTTP/1.1 101 ")
        assert b"protocol: lastcall.v1" in head.lower()
        assert b"5ec7e7" not in head
        assert await peer.rest() == [(CLOSE, 4001)]
        await server.gateway.wait_empty()
        assert (server.gateway.counts.opened, server.gateway.counts.refused) == (0, 1)


@PATHS
async def test_a_busy_node_says_503_to_everybody(
    autojump_clock, monkeypatch: pytest.MonkeyPatch, *, pumped: bool
) -> None:
    async with serving(monkeypatch, pumped=pumped) as server:
        server.gateway.handshakes.refuse = "draining"
        head = await answer(server, UPGRADE.replace(b"\r\n\r\n", OFFERS))
        assert head.startswith(b"HTTP/1.1 503 ")
        assert b"Retry-After: 1" in head


@PATHS
@pytest.mark.parametrize("end", [Peer.finish, Peer.reset])
async def test_a_refused_peer_that_goes_at_once_is_no_error(
    autojump_clock,
    monkeypatch: pytest.MonkeyPatch,
    end: Callable[[Peer], None],
    *,
    pumped: bool,
) -> None:
    with structlog.testing.capture_logs() as events:
        async with serving(monkeypatch, pumped=pumped, rules=only("null")) as server:
            for data in (EVIL, EVIL.replace(b"\r\n\r\n", OFFERS), EVIL[:60], b"\xff\r\n\r\n"):
                peer = server.dial()
                peer.send_nowait(data)
                end(peer)
            await trio.sleep(1)
            await server.gateway.wait_empty()
    assert {event["event"] for event in events} == {"client.closed"}


LINES = st.sampled_from(UPGRADE.split(b"\r\n")) | st.binary(max_size=40)
MUTATED = st.lists(LINES, max_size=12).map(b"\r\n".join) | st.builds(
    lambda at, some, data: data[:at] + some + data[at + len(some) :],
    st.integers(0, len(UPGRADE)),
    st.binary(min_size=1, max_size=3),
    st.sampled_from([UPGRADE, EVIL, EVIL.replace(b"\r\n\r\n", OFFERS)]),
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.binary(max_size=200)
    | st.binary(max_size=60).map(lambda frames: UPGRADE + frames)
    | MUTATED
    | MUTATED.map(lambda data: data + b"\r\n\r\n")
)
@example(UPGRADE.replace(b"here", b"h\xffere"))
@example(UPGRADE + b"\x81\x80")
@example(UPGRADE + b"\x88\x82\x00\x00\x00\x00\x03\xe8")
def test_whatever_comes_is_answered_101_or_4xx_or_not_at_all(data: bytes) -> None:
    target(data)
