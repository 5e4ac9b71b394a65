"""Which values of ``Host`` are a node's own."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lastcall.errors import BadAddress
from lastcall.runtime.admin.hosts import KnownHosts, parse_hosts

KNOWN = KnownHosts(["game-1", "Game.Example.com"])
PORT = st.sampled_from(["", ":80", ":9001", ":65535"])


@given(address=st.ip_addresses(v=4), port=PORT)
def test_an_ipv4_address_is_always_right(address: IPv4Address, port: str) -> None:
    assert f"{address}{port}" in KNOWN


@given(address=st.ip_addresses(v=6), port=PORT)
def test_an_ipv6_address_is_always_right(address: IPv6Address, port: str) -> None:
    assert f"[{address}]{port}" in KNOWN
    assert f"{address}" not in KNOWN


@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST:9001", "game-1:9001", "game.example.com", "GAME.example.COM.:80"],
)
def test_a_configured_name_is_right_in_any_case_with_or_without_a_port(host: str) -> None:
    assert host in KNOWN


@given(name=st.text(alphabet="abcxyz0123456789-.", min_size=1, max_size=30), port=PORT)
def test_any_other_name_is_wrong(name: str, port: str) -> None:
    suffixed = f"{name}.rebound.example{port}"
    assert suffixed not in KNOWN
    assert f"game-1.{suffixed}" not in KNOWN


@pytest.mark.parametrize(
    "host",
    [
        *("", ":9001", "user@127.0.0.1", "127.0.0.1, game-1", "127.0.0.1:", "127.0.0.1:port"),
        *("0x7f000001", "2130706433", "127.1", "127.0.0.1.rebound.example", "[127.0.0.1", "[::1"),
        *("game-1\n", "game-1/", "game-1..", "[::1]x", "[fe80::1%eth0]"),
    ],
)
def test_what_is_not_a_plain_host_is_wrong(host: str) -> None:
    assert host not in KNOWN


def test_names_are_comma_separated() -> None:
    assert parse_hosts("a.example, b") == ("a.example", "b")
    assert parse_hosts("") == ()


@pytest.mark.parametrize("text", ["a,", "a b", "http://a", "a:80", ","])
def test_a_list_with_something_else_in_it_is_refused(text: str) -> None:
    with pytest.raises(BadAddress, match="names without a port"):
        parse_hosts(text)
