"""Strangers and proxies that say for whom they ask, at the client port, over real sockets."""

from __future__ import annotations

import ipaddress

import pytest
import structlog.testing
import trio
from hypothesis import example, given
from hypothesis import strategies as st
from proxyprotocol.result import ProxyResultIPv4, ProxyResultIPv6, ProxyResultLocal
from proxyprotocol.tlv import ProxyProtocolTLV
from proxyprotocol.v1 import ProxyProtocolV1
from proxyprotocol.v2 import ProxyProtocolV2

from lastcall.api.gateway.arrivals import V1_BYTES_MAX
from lastcall.api.gateway.handshake import EntryRules
from lastcall.core.edge.addresses import parse_networks
from lastcall.limits import Limits
from tests.api.conftest import UPGRADE
from tests.api.paths import frame, serving
from tests.fuzz.proxy_header import target

PATHS = pytest.mark.parametrize("pumped", [True, False], ids=["pump", "plain"])
HERE = EntryRules(proxies=parse_networks("127.0.0.1,10.0.0.0/8"))
ELSEWHERE = EntryRules(proxies=parse_networks("10.0.0.0/8"))
CLIENT, NODE = "203.0.113.9", "192.0.2.1"


def header(source: str = CLIENT, **tlv: str) -> bytes:
    one = ipaddress.ip_address(source)
    more = ProxyProtocolTLV(**tlv)
    if isinstance(one, ipaddress.IPv4Address):
        here = (ipaddress.IPv4Address(NODE), 8080)
        return ProxyProtocolV2().pack(ProxyResultIPv4((one, 4711), here, tlv=more))
    there = (ipaddress.IPv6Address("2001:db8::1"), 8080)
    return ProxyProtocolV2().pack(ProxyResultIPv6((one, 4711), there, tlv=more))


def line(source: str = CLIENT) -> bytes:
    here = (ipaddress.IPv4Address(NODE), 8080)
    result = ProxyResultIPv4((ipaddress.IPv4Address(source), 4711), here)
    return ProxyProtocolV1().pack(result)


LOCAL = ProxyProtocolV2().pack(ProxyResultLocal())
UNKNOWN = b"PROXY UNKNOWN\r\n"
UNIX = b"\r\n\r\n\x00\r\nQUIT\n\x21\x31\x00\xd8" + b"/a".ljust(108, b"\0") * 2


def says(**headers: str) -> bytes:
    lines = "".join(f"\r\n{name.replace('_', '-')}: {value}" for name, value in headers.items())
    return UPGRADE.replace(b"\r\n\r\n", lines.encode() + b"\r\n\r\n")


BELIEVED = {
    "nothing": (UPGRADE, "127.0.0.1"),
    "X-Forwarded-For": (says(X_Forwarded_For=f"6.6.6.6, {CLIENT}"), CLIENT),
    "Forwarded": (says(Forwarded=f"for=6.6.6.6, for={CLIENT};proto=https"), CLIENT),
    "both, and they differ": (says(X_Forwarded_For=CLIENT, Forwarded="for=6.6.6.6"), "127.0.0.1"),
    "a PROXY header": (header() + UPGRADE, CLIENT),
    "a PROXY header with extensions": (header(authority="play.example") + UPGRADE, CLIENT),
    "a PROXY header of IPv6": (header("2001:db8:1:2:3::4") + UPGRADE, "2001:db8:1:2::"),
    "a PROXY header of version 1": (line() + UPGRADE, CLIENT),
    "a balancer's own check": (LOCAL + UPGRADE, "127.0.0.1"),
    "an unknown source": (UNKNOWN + UPGRADE, "127.0.0.1"),
    "a Unix socket": (UNIX + UPGRADE, "127.0.0.1"),
    "a PROXY header of a stranger who lies": (header() + says(X_Forwarded_For="6.6.6.6"), CLIENT),
    "a PROXY header of another proxy": (
        header("10.0.0.7") + says(X_Forwarded_For=f"6.6.6.6, {CLIENT}"),
        CLIENT,
    ),
}


@PATHS
async def test_a_trusted_proxy_is_believed_who_the_client_is(
    autojump_clock, monkeypatch: pytest.MonkeyPatch, *, pumped: bool
) -> None:
    async with serving(monkeypatch, pumped=pumped, rules=HERE) as server:
        for what, (data, counted) in BELIEVED.items():
            peer = server.dial()
            await peer.send(data + frame(b"heard"))
            assert b" 101 " in await peer.head(), what
            assert (await peer.take(2))[1] == (0x81, b"heard"), what
            assert server.sessions[-1].guest.address == counted, what


@PATHS
async def test_a_stranger_is_not_believed(
    autojump_clock, monkeypatch: pytest.MonkeyPatch, *, pumped: bool
) -> None:
    async with serving(monkeypatch, pumped=pumped, rules=ELSEWHERE) as server:
        for data, _ in BELIEVED.values():
            peer = server.dial()
            await peer.send(data)
            if data.startswith(b"GET"):
                assert b" 101 " in await peer.head()
                assert server.sessions[-1].guest.address == "127.0.0.1"
            else:
                assert (await peer.head()).startswith(b"HTTP/1.1 4")
    assert server.gateway.counts.opened == sum(
        data.startswith(b"GET") for data, _ in BELIEVED.values()
    )


UNREADABLE = {
    "half a signature": header()[:8] + UPGRADE,
    "another version": b"\r\n\r\n\x00\r\nQUIT\n\x31\x11\x00\x0c" + bytes(12),
    "another command": b"\r\n\r\n\x00\r\nQUIT\n\x2f\x11\x00\x0c" + bytes(12),
    "too few bytes for its addresses": b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x04" + bytes(4),
    "64 KiB of extensions": b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\xff\xff" + bytes(65_535),
    "a line that never ends": b"PROXY TCP4 " + b"1" * 4_096,
    "a line that is not one": b"PROXY TCP4 a b c d\r\n",
    "a POST": b"POST / HTTP/1.1\r\n\r\n",
}


@PATHS
async def test_a_header_that_cannot_be_read_ends_the_connection_without_an_error(
    autojump_clock, monkeypatch: pytest.MonkeyPatch, *, pumped: bool
) -> None:
    with structlog.testing.capture_logs() as events:
        async with serving(monkeypatch, pumped=pumped, rules=HERE) as server:
            for data in UNREADABLE.values():
                peer = server.dial()
                peer.send_nowait(data)
                await server.gateway.wait_empty()
                assert await peer.rest() == []
            assert server.gateway.counts.ends == {"handshake": len(UNREADABLE)}
    assert {event["event"] for event in events} == {"client.closed"}


@PATHS
@pytest.mark.parametrize(
    "begun", [b"", b"\r", header()[:20], line()[:20]], ids=["nothing", "a byte", "half", "a line"]
)
async def test_a_header_that_never_ends_has_5_s(
    autojump_clock, monkeypatch: pytest.MonkeyPatch, begun: bytes, *, pumped: bool
) -> None:
    async with serving(monkeypatch, pumped=pumped, rules=HERE) as server:
        peer = server.dial()
        await peer.send(begun)
        began = trio.current_time()
        assert await peer.rest() == []
        assert trio.current_time() - began == 5
        await server.gateway.wait_empty()


async def test_half_open_connections_within_their_header_are_counted_and_hurried(
    autojump_clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(monkeypatch, pumped=True, rules=HERE, limits=Limits(sockets=1)) as server:
        peers = [server.dial() for _ in range(server.policy.max_connections)]
        await peers[0].send(b"\r")
        one_more = server.dial()
        assert await one_more.rest() == []
        began = trio.current_time()
        server.gateway.close_doors()
        await server.gateway.wait_empty()
        assert trio.current_time() - began == 1


@given(
    st.binary(max_size=60)
    | st.binary(max_size=60).map(lambda data: b"\r\n\r\n\x00\r\nQUIT\n" + data)
    | st.binary(max_size=60).map(lambda data: header()[:14] + data)
    | st.text("0123456789.: TCPUNKOW", max_size=60).map(lambda text: f"PROXY {text}\r\n".encode())
)
@example(header(authority="x" * 255))
@example(b"PROXY TCP6 ::1%x ::1 1 2\r\n")
def test_whatever_begins_like_a_header_is_an_address_none_or_refused(data: bytes) -> None:
    target(data)


def test_a_line_of_version_1_may_be_as_long_as_the_specification_says() -> None:
    longest = b"PROXY TCP6 " + b" ".join([b"f" * 4 + b":ffff" * 7] * 2 + [b"65535"] * 2) + b"\r\n"
    assert len(longest) <= V1_BYTES_MAX
