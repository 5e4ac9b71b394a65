"""Addresses of nodes: the accepted forms, and the errors for the others."""

import pynng
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lastcall.bus.address import HostPort, is_wildcard, parse_host_port, parse_url
from lastcall.errors import BadAddress


@pytest.mark.parametrize("text", ["127.0.0.1:80", "[::1]:80", "[fe80::1%eth0]:80", "my-host.svc:0"])
def test_an_address_is_printed_as_it_was_written(text: str) -> None:
    assert str(parse_host_port(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "80",
        ":80",
        "host",
        "host:",
        "host:x",
        "::1:80",
        "[host]:80",
        "a b:80",
        "h:65536",
        "-a:1",
        "*:1",
        "[1.2]:5",
        "[*]:1",
        "[fe80::1%]:80",
    ],
)
def test_the_error_for_a_bad_address_shows_the_address_and_the_right_form(text: str) -> None:
    with pytest.raises(BadAddress, match=r"127\.0\.0\.1:9001|ports end at 65535") as refused:
        parse_host_port(text)
    assert repr(text) in str(refused.value)


def test_a_final_slash_of_a_url_is_dropped() -> None:
    assert parse_url("tcp://[::1]:7101/") == HostPort("::1", 7101)
    assert parse_url("tcp://[::1]:7101/").url == "tcp://[::1]:7101"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("127.0.0.1:7101", "is not a URL of the form tcp://HOST:PORT"),
        ("ws://a:1", "is not a URL"),
        ("tcp://a:1/path", "is not an address"),
        ("tcp://a:1//", "is not an address"),
        ("tcp://*:1", r"'\*' is not a host"),
        ("tcp://[1.2]:5", r"'1\.2' is not a host"),
        ("tcp://[fe80::1%eth0]:1", "an address with a zone, 'fe80::1%eth0'"),
        ("tcp://a:65536", "there is no port 65536"),
    ],
)
def test_the_error_for_a_bad_url_shows_the_url(text: str, complaint: str) -> None:
    with pytest.raises(BadAddress, match=complaint) as refused:
        parse_url(text)
    assert repr(text) in str(refused.value)


def test_port_0_can_be_listened_at_but_not_dialled() -> None:
    assert parse_url("tcp://a:0") == HostPort("a", 0)
    with pytest.raises(BadAddress, match="port 0 cannot be dialled"):
        parse_url("tcp://a:0", dialled=True)


@pytest.mark.parametrize("host", ["0.0.0.0", "0", "::", "0:0:0:0:0:0:0:0", "*"])  # noqa: S104
def test_each_spelling_of_every_interface_is_a_wildcard(host: str) -> None:
    assert is_wildcard(host)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "10.0.0.0", "a.b"])
def test_the_address_of_one_interface_is_not_a_wildcard(host: str) -> None:
    assert not is_wildcard(host)


HOSTS = (
    st.ip_addresses(v=4).map(str)
    | st.ip_addresses(v=6).map(lambda address: f"[{address}]")
    | st.from_regex(r"[A-Za-z0-9_.-]{1,80}", fullmatch=True)
    | st.text("[]:%*/@?# a1.-", max_size=8)
)


@given(HOSTS, st.integers(1, 70_000), st.sampled_from(["", "/"]))
def test_nng_can_dial_each_address_that_is_accepted(host: str, port: int, end: str) -> None:
    try:
        url = parse_url(f"tcp://{host}:{port}{end}", dialled=True).url
    except BadAddress:
        return
    with pynng.Req0() as socket:
        socket.dial(url, block=False)


@pytest.mark.parametrize("text", ["tcp://127.0.0.1:0/", "tcp://localhost:00", "tcp://0.0.0.0:0"])
def test_nng_can_listen_at_each_address_that_is_accepted(text: str) -> None:
    with pynng.Rep0() as socket:
        socket.listen(parse_url(text).url)
