import time
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lastcall.core.edge.addresses import (
    TrustedProxies,
    parse_networks,
    plain_address,
)
from lastcall.errors import UsageError

INSIDE = parse_networks("10.0.0.0/8, 127.0.0.1, fd00::/8")
PROXY, CLIENT = "10.0.0.1", "203.0.113.9"

X_FORWARDED_FOR = {
    "203.0.113.9": CLIENT,
    "203.0.113.9:4711": CLIENT,
    "6.6.6.6, 203.0.113.9": CLIENT,
    "203.0.113.9, 10.1.2.3": CLIENT,
    "6.6.6.6, 203.0.113.9, 10.1.2.3, 10.0.0.2": CLIENT,
    "6.6.6.6,,203.0.113.9,": CLIENT,
    "::ffff:203.0.113.9": CLIENT,
    "2001:db8:0::9": "2001:db8::9",
    "[2001:db8::9]": "2001:db8::9",
    "[2001:db8::9]:4711": "2001:db8::9",
    "fe80::1%eth0": PROXY,
    "unknown": PROXY,
    "203.0.113.9, unknown": PROXY,
    "203.0.113.9, unknown, 10.0.0.2": "10.0.0.2",
    "203.0.113.9 6.6.6.6": PROXY,
    "203.0.113.999": PROXY,
    "": PROXY,
    ",": PROXY,
}

FORWARDED = {
    "for=203.0.113.9": CLIENT,
    "For=203.0.113.9;proto=http;by=10.0.0.1": CLIENT,
    "proto=http; for=203.0.113.9": CLIENT,
    'for="203.0.113.9:4711"': CLIENT,
    'for="203.0.113.9:_port"': CLIENT,
    'for="[2001:db8::9]:4711"': "2001:db8::9",
    'for="[2001:db8::9]"': "2001:db8::9",
    'for="\\203.0.113.9"': CLIENT,
    "for=6.6.6.6, for=203.0.113.9": CLIENT,
    "for=203.0.113.9, for=10.1.2.3": CLIENT,
    'for=203.0.113.9;host="a, for=6.6.6.6"': CLIENT,
    'host="; for=6.6.6.6";for=203.0.113.9': CLIENT,
    "for=_hidden": PROXY,
    "for=unknown": PROXY,
    "for=203.0.113.9, for=_hidden": PROXY,
    "for=2001:db8::9": PROXY,
    "for=203.0.113.9;for=6.6.6.6": PROXY,
    "proto=http": PROXY,
    'for=6.6.6.6, for="x, for=203.0.113.9': PROXY,
    'for=6.6.6.6, for="x, for="[2001:db8::9]"': PROXY,
    "for=203.0.113.9 for=6.6.6.6": PROXY,
    "nonsense": PROXY,
    ",;, ;": PROXY,
}


@pytest.mark.parametrize(("header", "client"), X_FORWARDED_FOR.items())
def test_x_forwarded_for_is_believed_up_to_the_last_hop_that_is_not_trusted(
    header: str, client: str
) -> None:
    assert INSIDE.client(PROXY, [], [header]) == client
    assert INSIDE.client(CLIENT, [], [header]) == CLIENT
    assert TrustedProxies().client(PROXY, [], [header]) == PROXY


@pytest.mark.parametrize(("header", "client"), FORWARDED.items())
def test_forwarded_is_believed_up_to_the_last_hop_that_is_not_trusted(
    header: str, client: str
) -> None:
    assert INSIDE.client(PROXY, [header], []) == client
    assert INSIDE.client(CLIENT, [header], []) == CLIENT


def test_several_headers_are_one_list_and_a_malformed_one_hides_no_later_one() -> None:
    assert INSIDE.client(PROXY, [], ["6.6.6.6", CLIENT, "10.0.0.3"]) == CLIENT
    assert INSIDE.client(PROXY, ['for="', f"for={CLIENT}"], []) == CLIENT
    assert INSIDE.client(PROXY, [f"for={CLIENT}", 'for="'], []) == PROXY


def test_two_headers_that_differ_are_not_believed() -> None:
    assert INSIDE.client(PROXY, [f"for={CLIENT}"], [CLIENT]) == CLIENT
    assert INSIDE.client(PROXY, ["for=6.6.6.6"], [CLIENT]) == PROXY


def test_a_network_of_ipv4_in_ipv6_is_one_of_ipv4() -> None:
    mapped = parse_networks("::ffff:10.0.0.0/104")
    assert mapped == parse_networks("10.0.0.0/8")
    assert mapped.client(PROXY, [], [CLIENT]) == CLIENT
    assert parse_networks("::/0").trusts("2001:db8::9")


@pytest.mark.parametrize("text", ["", "10.0.0.1/8", "10.0.0.0/33", "proxy.example", "10.0.0.0/8,"])
def test_a_text_that_is_not_a_network_is_refused_with_what_would_be_right(text: str) -> None:
    with pytest.raises(UsageError, match=r"such as 10\.0\.0\.0/8,fd00::/8"):
        parse_networks(text)


LONG = [" ", '"', "\\", ";", ",", "for=1.2.3.4,", "for ", 'for="\\', "a", "for=a ", 'for="a" \t;']


@pytest.mark.parametrize("unit", LONG)
def test_a_header_of_16_kib_is_read_at_once(unit: str) -> None:
    header = unit * (16_384 // len(unit)) + "?"
    began = time.process_time()
    INSIDE.client(PROXY, [header], [header])
    INSIDE.client(PROXY, ["for=10.0.0.1,"[: -len(unit)] + header], [])
    assert time.process_time() - began < 0.5


PARTS = [
    "for",
    "=",
    '"',
    "6.6.6.6",
    ",",
    ";",
    " ",
    "\\",
    "[::1]",
    "by",
    "_x",
    "unknown",
    "10.0.0.1",
]
BEGINNINGS = st.lists(st.sampled_from(PARTS), max_size=12).map("".join)


@given(BEGINNINGS, st.sampled_from([CLIENT, "2001:db8::9"]))
def test_nothing_that_a_client_sends_first_makes_it_another_address(left: str, client: str) -> None:
    bracketed = f'"[{client}]"' if ":" in client else client
    assert INSIDE.client(PROXY, [f"{left}, for={bracketed}"], []) in {client, PROXY}
    assert INSIDE.client(PROXY, [left, f"for={bracketed}"], []) == client
    assert INSIDE.client(PROXY, [], [f"{left}, {client}"]) == client


@given(st.ip_addresses().map(str) | st.text(max_size=30))
def test_a_plain_address_is_an_address_without_a_zone_and_not_ipv4_in_ipv6(text: str) -> None:
    plain = plain_address(text)
    if plain is not None:
        address = ip_address(plain)
        assert str(address) == plain
        assert getattr(address, "ipv4_mapped", None) is None
