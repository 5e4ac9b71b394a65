"""Parses addresses: ``HOST:PORT``, ``tcp://HOST:PORT`` and ``ipc:///PATH``.

A host is a name, an IPv4 address, or an IPv6 address in brackets. ``0.0.0.0`` and ``[::]`` stand
for every interface; nng's ``*`` is refused, since only nng knows it.
"""

from __future__ import annotations

import re
import socket
from ipaddress import IPv6Address

import msgspec

from lastcall.errors import BadAddress

PORT_MAX = 65_535
SUN_PATH_BYTES = 108
"""The space for a Unix socket's path, with its final zero byte (``unix(7)``)."""

_HOST_PORT = re.compile(r"(?:\[(?P<v6>[^\]]+)\]|(?P<host>[^:\[\]/\s]+)):(?P<port>[0-9]{1,5})")
_HOST_NAME = re.compile(r"(?!-)[A-Za-z0-9_.-]{1,253}")


class HostPort(msgspec.Struct, frozen=True):
    """A TCP address: a name or IP address without brackets, and a port; 0 means a free port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        """The address as the bus takes it."""
        return f"tcp://{self}"

    @property
    def from_here(self) -> HostPort:
        """The address for this machine, where every interface is reached by loopback."""
        if not self.is_wildcard:
            return self
        return HostPort("::1" if ":" in self.host else "127.0.0.1", self.port)

    @property
    def is_wildcard(self) -> bool:
        """Whether it stands for every interface, so that other nodes cannot dial it."""
        return is_wildcard(self.host)

    def dialled(self, advertise: str | None, port: int | None = None) -> HostPort:
        """The address for other nodes: ``advertise`` if given, and the real ``port`` if known."""
        return HostPort(advertise or self.host, self.port if port is None else port)


def host_of(url: str) -> str:
    """The host of a node's address; empty for one that has none."""
    try:
        return parse_url(url).host
    except BadAddress:
        return ""


def is_host(text: str) -> bool:
    """Whether ``text`` is a name or an IP address without brackets."""
    return _HOST_NAME.fullmatch(text) is not None or _ipv6(text) is not None


def is_wildcard(host: str) -> bool:
    """Whether ``host`` stands for every interface, in any spelling: ``::``, ``0.0.0.0``, ``0``."""
    v6 = _ipv6(host)
    if v6 is not None:
        return v6.is_unspecified
    try:
        return host == "*" or socket.inet_aton(host) == bytes(4)
    except OSError:
        return False


def parse_host_port(text: str, *, example: str = "127.0.0.1:9001") -> HostPort:
    """Parses ``HOST:PORT`` or ``[IPv6]:PORT``; raises :class:`BadAddress` with ``example``."""
    return _parse(text, text, example)


def parse_url(
    text: str, *, dialled: bool = False, example: str = "tcp://127.0.0.1:7101"
) -> HostPort:
    """Parses ``tcp://HOST:PORT``, with or without a final slash: where a node listens to others.

    With ``dialled``, port 0 is refused too. Raises :class:`BadAddress` with ``example``, also for
    an IPv6 address with a zone (``fe80::1%eth0``): nng cannot listen there.
    """
    if not text.startswith("tcp://"):
        raise BadAddress(f"{text!r} is not a URL of the form tcp://HOST:PORT, such as {example}")
    where = _parse(text.removeprefix("tcp://").removesuffix("/"), text, example)
    if "%" in where.host:
        raise BadAddress(
            f"{text!r}: nodes cannot reach each other by an address with a zone, {where.host!r}; "
            f"give one without, such as {example}"
        )
    if dialled and where.port == 0:
        raise BadAddress(
            f"{text!r}: port 0 cannot be dialled; give the port that the node listens at"
        )
    return where


def _parse(text: str, shown: str, example: str) -> HostPort:
    found = _HOST_PORT.fullmatch(text)
    if found is None:
        raise BadAddress(f"{shown!r} is not an address of the form HOST:PORT, such as {example}")
    host, port = found["v6"] or found["host"], int(found["port"])
    if not (_ipv6(host) if found["v6"] else _HOST_NAME.fullmatch(host)):
        raise BadAddress(f"{shown!r}: {host!r} is not a host; give HOST:PORT, such as {example}")
    if port > PORT_MAX:
        raise BadAddress(f"{shown!r}: there is no port {port}; ports end at {PORT_MAX}")
    return HostPort(host, port)


def _ipv6(text: str) -> IPv6Address | None:
    try:
        return IPv6Address(text)
    except ValueError:
        return None


def parse_ipc(address: str) -> str | None:
    """Returns the path of ``ipc:///PATH``, or None for an address of another scheme.

    Raises :class:`lastcall.errors.BadAddress` for a path that no Unix socket can have.
    """
    if not address.startswith("ipc://"):
        return None
    path = address.removeprefix("ipc://")
    if not path.startswith("/") or len(path.encode()) >= SUN_PATH_BYTES:
        raise BadAddress(
            f"{address!r} is not tcp://HOST:PORT, nor ipc:///PATH with an absolute path "
            f"of less than {SUN_PATH_BYTES} bytes"
        )
    return path
