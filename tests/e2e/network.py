"""A network of nodes on one machine, which a test can part: a namespace for each host (Linux).

::

    the test ── veth ── [ router ] ── veth ── [ host ], [ host ] …

The router drops what one host sends another while the two are parted, in both directions and
without a word, as a broken switch does. The namespaces and all in them go at the end.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

COMMAND_SECONDS = 10.0


class Host:
    """A namespace with one address; ``prefix`` is the command that runs others in it."""

    def __init__(self, namespace: str, address: str) -> None:
        self.address = address
        self.prefix = ("ip", "netns", "exec", namespace)


class Network:
    """The router and its hosts. Made by :func:`open_network`."""

    def __init__(self) -> None:
        number = os.getpid()
        self._net = f"198.19.{number % 256}"  # a part of the networks for benchmarks (RFC 2544)
        self._name = f"lastcall-{number}-e2e"
        self._router = f"{self._name}-router"
        self._parted: list[str] = []
        self._namespaces: list[str] = []

    def set_up(self) -> None:
        """Makes the router, and the way from the test to it."""
        self._add_namespace(self._router)
        self._connect(0, "")
        forward = "echo 1 > /proc/sys/net/ipv4/ip_forward"
        _run("ip", "netns", "exec", self._router, "sh", "-c", forward)
        _run("ip", "route", "add", f"{self._net}.0/24", "via", f"{self._net}.1")

    def add_host(self) -> Host:
        """A new host, which reaches all others."""
        number = len(self._namespaces)
        name = f"{self._name}-{number}"
        self._add_namespace(name)
        address = self._connect(number, name)
        _run("ip", "-n", name, "route", "add", "default", "via", f"{self._net}.{4 * number + 1}")
        return Host(name, address)

    def part(self, one: Host, other: Host) -> None:
        """Nothing that one of the two sends reaches the other, until :meth:`heal`."""
        for a, b in ((one, other), (other, one)):
            rule = f"from {a.address} to {b.address} blackhole"
            self._rule("add", rule)
            self._parted.append(rule)

    def heal(self) -> None:
        """All reach each other again."""
        for rule in self._parted:
            self._rule("delete", rule)
        self._parted.clear()

    def remove(self) -> None:
        """Removes the namespaces; the interfaces and routes go with them."""
        for name in self._namespaces:
            subprocess.run(["ip", "netns", "delete", name], timeout=COMMAND_SECONDS, check=False)

    def _rule(self, change: str, rule: str) -> None:
        _run("ip", "-n", self._router, "rule", change, *rule.split())

    def _add_namespace(self, name: str) -> None:
        _run("ip", "netns", "add", name)
        self._namespaces.append(name)
        _run("ip", "-n", name, "link", "set", "lo", "up")

    def _connect(self, number: int, namespace: str) -> str:
        """A cable from the router to the namespace, or to the test; returns the far address."""
        near, far = f"lc{number}", f"lc{os.getpid() % 100_000}e{number}"
        address = f"{self._net}.{4 * number + 2}"
        inside = ("-n", namespace) if namespace else ()
        into = ("netns", namespace) if namespace else ()
        link = ("link", "add", far, *into, "type", "veth", "peer", "name", near)
        _run("ip", *link, "netns", self._router)
        for where, name, own in (
            (("-n", self._router), near, f"{self._net}.{4 * number + 1}"),
            (inside, far, address),
        ):
            _run("ip", *where, "addr", "add", f"{own}/30", "dev", name)
            _run("ip", *where, "link", "set", name, "up")
        return address


@contextmanager
def open_network() -> Iterator[Network]:
    """Skips the test where a process may not set up a network."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("network namespaces need root and the command ip")
    network = Network()
    try:
        try:
            network.set_up()
        except subprocess.CalledProcessError as error:
            pytest.skip(f"network namespaces are not allowed here: {error.stderr}")
        yield network
    finally:
        network.remove()


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True, timeout=COMMAND_SECONDS)
