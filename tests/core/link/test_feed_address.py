"""A game node dials a feed only where its api node is, or where the operator says."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lastcall.core.link.feed_address import Answer, feed_host, parse_apis
from lastcall.errors import UsageError
from lastcall.peer import Peer

NOBODY = parse_apis("")
POD, HERE = Peer("10.1.2.3"), Peer("127.0.0.1", same_machine=True)


Address = IPv4Address | IPv6Address


@given(st.ip_addresses(), st.ip_addresses())
@example(IPv4Address(0), IPv6Address("::ffff:0:0"))
def test_an_address_is_dialled_only_if_the_attach_came_from_it(
    feed: Address, peer: Address
) -> None:
    found = feed_host(str(feed), Peer(str(peer)), NOBODY)
    both_here = feed.is_loopback and peer.is_loopback
    assert (found is not Answer.REFUSE) == (_unmapped(feed) == _unmapped(peer) or both_here)


def _unmapped(address: Address) -> Address:
    """An IPv4 address may come as IPv6 (RFC 4291 §2.5.5.2)."""
    return getattr(address, "ipv4_mapped", None) or address


@pytest.mark.parametrize("host", ["10.1.2.3", "::ffff:10.1.2.3"])
def test_a_pod_is_dialled_back(host: str) -> None:
    assert feed_host(host, POD, NOBODY) == "10.1.2.3"


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.3", "::1", "localhost"])
def test_loopback_is_dialled_for_a_peer_on_this_machine_only(host: str) -> None:
    assert feed_host(host, HERE, NOBODY) == host
    assert feed_host(host, Peer("10.0.0.7", same_machine=True), NOBODY) == host
    assert feed_host(host, POD, NOBODY) is Answer.REFUSE


@pytest.mark.parametrize("host", ["169.254.169.254", "10.1.2.4", "192.0.2.1"])
def test_another_host_is_not_dialled(host: str) -> None:
    assert feed_host(host, POD, NOBODY) is Answer.REFUSE
    assert feed_host(host, HERE, NOBODY) is Answer.REFUSE
    assert feed_host(host, Peer(), NOBODY) is Answer.REFUSE


def test_a_name_is_looked_up_and_dialled_by_the_address_that_was_checked() -> None:
    assert feed_host("api-1", POD, NOBODY) is Answer.LOOK_UP
    assert feed_host("api-1", POD, NOBODY, ["192.0.2.1", "10.1.2.3"]) == "10.1.2.3"
    assert feed_host("api-1", POD, NOBODY, ["192.0.2.1"]) is Answer.REFUSE
    assert feed_host("api-1", POD, NOBODY, []) is Answer.REFUSE


def test_listed_hosts_are_dialled_wherever_the_attach_comes_from() -> None:
    apis = parse_apis("API.example, 10.8.0.0/16,[2001:db8::1], 192.0.2.7")
    translated = Peer("172.17.0.1")
    assert feed_host("api.example", translated, apis) == "api.example"
    assert feed_host("10.8.9.9", translated, apis) == "10.8.9.9"
    assert feed_host("2001:db8::1", translated, apis) == "2001:db8::1"
    assert feed_host("other", translated, apis, ["10.8.0.1"]) == "10.8.0.1"
    assert feed_host("10.9.0.1", translated, apis) is Answer.REFUSE


@pytest.mark.parametrize("text", ["10.0.0.0/33", "10.0.0.1/8", "1.2.3", "a:b"])
def test_a_wrong_list_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(UsageError, match=r"--apis: .*10\.0\.0\.0/8"):
        parse_apis(text)
