"""Addresses: what an option's text means, and the sockets that are opened from it."""

from __future__ import annotations

import errno
import re
import socket

import msgspec
import trio

from rooms.bus.address import parse_tcp
from rooms.errors import AddressInUse, BadAddress

__all__ = [
    "GameDns",
    "GameFile",
    "GameSource",
    "GameUrl",
    "HostPort",
    "InheritedSocket",
    "bound_address",
    "open_listeners",
    "parse_game_url",
    "parse_games",
    "parse_host",
    "parse_host_port",
    "parse_listen",
    "parse_url",
]

BACKLOG = 4096
"""Connections that the kernel accepts for us while the loop is busy; a rollout brings thousands."""

_HOST_PORT = re.compile(r"(?:\[(?P<v6>[^\]]+)\]|(?P<host>[^:\[\]/\s]+)):(?P<port>[0-9]{1,5})")
_HOST_NAME = re.compile(r"(?!-)[A-Za-z0-9_.-]{1,253}")
_WILDCARDS = frozenset({"0.0.0.0", "::", "*"})  # noqa: S104 (recognised, not bound)


class HostPort(msgspec.Struct, frozen=True):
    """A TCP address: a name or IP address without brackets, and a port, where 0 is a free one."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        """The same as nng takes it."""
        return f"tcp://{self}"

    @property
    def is_wildcard(self) -> bool:
        """Whether it binds every interface, so that nobody can dial it as it stands."""
        return self.host in _WILDCARDS

    def dialled(self, advertise: str | None, port: int | None = None) -> HostPort:
        """What others dial to get here: ``advertise`` if given, and the real ``port`` if known."""
        return HostPort(advertise or self.host, self.port if port is None else port)


class InheritedSocket(msgspec.Struct, frozen=True):
    """``fd:N``: a listening socket that the process was started with."""

    descriptor: int

    def __str__(self) -> str:
        return f"fd:{self.descriptor}"


class GameUrl(msgspec.Struct, frozen=True):
    """One game node."""

    address: HostPort


class GameDns(msgspec.Struct, frozen=True):
    """``dns://host:port``: a game node at each address that the name has now."""

    address: HostPort


class GameFile(msgspec.Struct, frozen=True):
    """``file://PATH``: one URL a line; it may come to exist later."""

    path: str


GameSource = GameUrl | GameDns | GameFile


def parse_host(text: str) -> str:
    """A host name or IP address alone, as ``--advertise`` takes it."""
    bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    if not (_HOST_NAME.fullmatch(bare) or _is_ipv6(bare)):
        raise BadAddress(f"{text!r} is no host: it takes a name or an IP address without a port")
    return bare


def parse_host_port(text: str, *, example: str = "127.0.0.1:9001") -> HostPort:
    """``HOST:PORT``, or ``[IPv6]:PORT``; raises :class:`BadAddress` with ``example``."""
    found = _HOST_PORT.fullmatch(text)
    if found is None:
        raise BadAddress(f"{text!r} is no address: it takes HOST:PORT, such as {example}")
    host, port = found["v6"] or found["host"], int(found["port"])
    if not (_is_ipv6(host) if found["v6"] else _HOST_NAME.fullmatch(host)):
        raise BadAddress(f"{text!r}: {host!r} is no host; it takes HOST:PORT, such as {example}")
    if port > 65_535:
        raise BadAddress(f"{text!r}: there is no port {port}; ports end at 65535")
    return HostPort(host, port)


def parse_listen(text: str) -> HostPort | InheritedSocket:
    """``HOST:PORT`` or ``fd:N``, for a client port."""
    if text.startswith("fd:"):
        number = text.removeprefix("fd:")
        if not (number.isascii() and number.isdigit()):
            raise BadAddress(f"{text!r}: it takes fd:N with the number of an open socket, as fd:3")
        return InheritedSocket(int(number))
    return parse_host_port(text, example="127.0.0.1:8080, or fd:3 for an inherited socket")


def parse_url(text: str, *, example: str = "tcp://127.0.0.1:7101") -> HostPort:
    """``tcp://HOST:PORT``, the form in which nodes listen to each other."""
    if not text.startswith("tcp://"):
        raise BadAddress(f"{text!r} is no URL: it takes tcp://HOST:PORT, such as {example}")
    return parse_host_port(text.removeprefix("tcp://").removesuffix("/"), example=example)


def parse_game_url(text: str) -> HostPort:
    """One game node's URL, as in ``--games`` and in each line of a ``file://`` list."""
    address = parse_url(text)
    if address.port == 0:
        raise BadAddress(f"{text!r}: port 0 is none to dial; say the one the game node listens on")
    parse_tcp(address.url, dialled=True)  # what the bus would refuse later is refused here
    return address


def parse_games(text: str) -> tuple[GameSource, ...]:
    """The sources of ``--games``: ``tcp://``, ``dns://`` and ``file://``, comma separated."""
    parts = [part.strip() for part in text.split(",")]
    sources = tuple(_parse_source(part) for part in parts if part)
    if not sources:
        raise BadAddress("it names no game node; it takes URLs such as tcp://127.0.0.1:7101")
    return sources


def _parse_source(text: str) -> GameSource:
    scheme, separator, rest = text.partition("://")
    match scheme if separator else "":
        case "tcp":
            return GameUrl(parse_game_url(text))
        case "dns":
            return GameDns(parse_host_port(rest, example="dns://game.default.svc:7101"))
        case "file" if rest:
            return GameFile(rest)
    raise BadAddress(
        f"{text!r} is no URL of game nodes: it takes tcp://HOST:PORT, dns://HOST:PORT or "
        "file://PATH, such as tcp://127.0.0.1:7101"
    )


def _is_ipv6(text: str) -> bool:
    try:
        socket.inet_pton(socket.AF_INET6, text.partition("%")[0])
    except OSError:
        return False
    return True


def bound_address(listener: trio.SocketListener) -> HostPort:
    """Where a listener really listens, its port included."""
    host, port = listener.socket.getsockname()[:2]
    return HostPort(host, port)


async def open_listeners(where: HostPort | InheritedSocket) -> list[trio.SocketListener]:
    """Opens, or adopts, the listening sockets of ``where``: one for each address of its host.

    With port 0 there is one only, since each would get a port of its own. Raises
    :class:`AddressInUse`, or :class:`BadAddress` for anything else that the operator can mend.
    """
    if isinstance(where, InheritedSocket):
        return [_adopt(where)]
    try:
        listeners = await trio.open_tcp_listeners(where.port, host=where.host, backlog=BACKLOG)
    except OSError as error:
        raise _translated(error, where) from error
    if where.port == 0:
        for surplus in listeners[1:]:
            await surplus.aclose()
        del listeners[1:]
    return listeners


def _adopt(where: InheritedSocket) -> trio.SocketListener:
    try:
        inherited = socket.socket(fileno=where.descriptor)
    except OSError as error:
        raise BadAddress(f"{where}: descriptor {where.descriptor} is no open socket") from error
    tcp = inherited.family in {socket.AF_INET, socket.AF_INET6}
    if not (tcp and inherited.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)):
        inherited.detach()  # not ours, so not ours to close
        raise BadAddress(f"{where}: descriptor {where.descriptor} is no listening TCP socket")
    inherited.set_inheritable(False)
    return trio.SocketListener(trio.socket.from_stdlib_socket(inherited))


def _translated(error: OSError, where: HostPort) -> BadAddress | AddressInUse:
    if isinstance(error, socket.gaierror):
        return BadAddress(f"{where}: no such host {where.host!r} ({error.strerror})")
    match error.errno:
        case errno.EADDRINUSE:
            return AddressInUse(f"{where} is in use: another process listens there")
        case errno.EADDRNOTAVAIL:
            return BadAddress(f"{where}: no interface of this machine has that address")
        case errno.EACCES:
            return BadAddress(f"{where}: this user may not listen on port {where.port}")
    return BadAddress(f"{where}: cannot listen there ({error.strerror or error})")
