import pytest

from lastcall.bus.address import HostPort
from lastcall.errors import BadAddress
from lastcall.runtime.address import InheritedSocket, parse_host, parse_listen, unmapped


@pytest.mark.parametrize("host", ["10.0.0.5", "game-1.svc", "fd00::2"])
def test_a_host_is_not_changed(host: str) -> None:
    assert parse_host(host) == host


def test_the_brackets_of_a_host_are_removed() -> None:
    assert parse_host("[fd00::2]") == "fd00::2"


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "[::]", "*", "0"])  # noqa: S104 (refused)
def test_a_host_that_means_every_interface_is_refused(host: str) -> None:
    with pytest.raises(BadAddress, match="which nobody can dial: give the name") as refused:
        parse_host(host)
    assert repr(host) in str(refused.value)


@pytest.mark.parametrize("text", ["host:1", "", "a b", "-a", "[a", "::1:x", "fe80::1%eth0"])
def test_a_text_that_is_not_a_host_is_refused(text: str) -> None:
    with pytest.raises(BadAddress, match="is not a host"):
        parse_host(text)


def test_a_client_port_is_an_address_or_a_descriptor() -> None:
    assert parse_listen("[::1]:80") == HostPort("::1", 80)
    assert parse_listen("fd:3") == InheritedSocket(3)


@pytest.mark.parametrize(
    ("host", "shown"),
    [
        ("::ffff:10.0.0.5", "10.0.0.5"),
        ("10.0.0.5", "10.0.0.5"),
        ("::1", "::1"),
        ("fe80::1%eth0", "fe80::1%eth0"),
        ("localhost", "localhost"),
    ],
)
def test_an_ipv4_address_loses_its_mapping_and_no_other_host_changes(host: str, shown: str) -> None:
    assert unmapped(host) == shown
