"""Where the game nodes are: what ``--games`` says, read again for as long as the node runs.

* ``tcp://HOST:PORT`` an address, for ever;
* ``dns://HOST:PORT`` every address that the name has, asked again every 2 s;
* ``file://PATH`` one URL a line (``#`` begins a comment), read again every 0.5 s.

A source that fails for a while keeps what it said last: a name server that is away, or a file that
is being replaced, must not make a node forget its links.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Protocol
from urllib.parse import urlsplit

import structlog
import trio

from rooms.errors import BadAddress

__all__ = ["Discovery", "parse"]

log = structlog.get_logger()

DNS_EVERY_SECONDS = 2.0
FILE_EVERY_SECONDS = 0.5
FORMS = "tcp://HOST:PORT, dns://HOST:PORT or file:///PATH"


class Source(Protocol):
    """One part of ``--games``."""

    every_seconds: float

    async def read(self) -> frozenset[str]:
        """The addresses now; raises ``OSError`` or :class:`BadAddress` when it cannot tell."""


class _Fixed:
    every_seconds = float("inf")

    def __init__(self, address: str) -> None:
        self.address = address

    async def read(self) -> frozenset[str]:
        return frozenset({self.address})


class _Dns:
    every_seconds = DNS_EVERY_SECONDS

    def __init__(self, host: str, port: int) -> None:
        self.host = host
        self.port = port

    async def read(self) -> frozenset[str]:
        found = await trio.socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
        return frozenset(
            f"tcp://[{where[0]}]:{self.port}"
            if ":" in str(where[0])
            else f"tcp://{where[0]}:{self.port}"
            for *_, where in found
        )


class _File:
    every_seconds = FILE_EVERY_SECONDS

    def __init__(self, path: str) -> None:
        self.path = trio.Path(path)

    async def read(self) -> frozenset[str]:
        lines = (await self.path.read_text()).splitlines()
        stripped = (line.partition("#")[0].strip() for line in lines)
        return frozenset(_address(line, str(self.path)) for line in stripped if line)


def _address(text: str, where: str) -> str:
    """``text`` if it is ``tcp://HOST:PORT``, else :class:`BadAddress` that says where it stands."""
    try:
        parts = urlsplit(text)
        good = parts.scheme == "tcp" and parts.hostname and parts.port and not parts.path
    except ValueError:
        good = False
    if not good:
        raise BadAddress(f"{where}: {text!r} is no game node's address; it takes {FORMS}")
    return text


def parse(text: str) -> list[Source]:
    """The sources in ``text``, separated by commas; raises :class:`BadAddress`."""
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not parts:
        raise BadAddress(f"--games names no game node; it takes {FORMS}, separated by commas")
    return [_source(part) for part in parts]


def _source(text: str) -> Source:
    scheme, _, rest = text.partition("://")
    if scheme == "file" and rest:
        return _File(rest)
    if scheme == "dns":
        parts = urlsplit(_address(f"tcp://{rest}", "--games"))
        return _Dns(str(parts.hostname), int(parts.port or 0))
    return _Fixed(_address(text, "--games"))


class Discovery:
    """Asks every source again and again, and tells ``found`` all addresses when they change."""

    def __init__(self, sources: list[Source], found: Callable[[frozenset[str]], None]) -> None:
        self._sources = sources
        self._found = found
        self._known: list[frozenset[str] | None] = [None] * len(sources)
        self._told: frozenset[str] | None = None

    @property
    def complete(self) -> bool:
        """Whether every source has answered at least once."""
        return None not in self._known

    async def run(self) -> None:
        """Reads until cancelled."""
        async with trio.open_nursery() as nursery:
            for index, source in enumerate(self._sources):
                nursery.start_soon(self._follow, index, source)

    async def _follow(self, index: int, source: Source) -> None:
        trouble = ""
        while True:
            try:
                self._known[index] = await source.read()
                trouble = ""
            except (OSError, BadAddress, UnicodeDecodeError) as error:
                if str(error) != trouble:  # once for each trouble, not twice a second
                    trouble = str(error)
                    log.warning("games.unknown", error=trouble)
            self._tell()
            await trio.sleep(source.every_seconds)

    def _tell(self) -> None:
        known: frozenset[str] = frozenset().union(*(k for k in self._known if k is not None))
        if known != self._told and any(k is not None for k in self._known):
            self._told = known
            self._found(known)
