"""Where the game nodes are: what ``--games`` says, read again for as long as the node runs.

* ``tcp://HOST:PORT`` an address, for ever;
* ``dns://HOST:PORT`` every address that the name has, asked again every 2 s;
* ``file:///PATH`` one URL a line (``#`` begins a comment), read again every 0.5 s.

A source that fails for a while keeps what it said last: a name server that is away, or a file that
is being replaced, must not make a node forget its links.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from typing import Protocol

import structlog
import trio

from lastcall.bus.address import HostPort
from lastcall.errors import BadAddress
from lastcall.links.sources import GameDns, GameFile, GameSource, GameUrl, parse_game_url

log = structlog.get_logger()

DNS_EVERY_SECONDS = 2.0
FILE_EVERY_SECONDS = 0.5
"""Each read takes 0.3 ms of processor time, most of it for the thread."""


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

    def __init__(self, address: HostPort) -> None:
        self._address = address

    async def read(self) -> frozenset[str]:
        host, port = self._address.host, self._address.port
        found = await trio.socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        return frozenset(HostPort(str(where[0]), port).url for *_, where in found)


class _File:
    every_seconds = FILE_EVERY_SECONDS

    def __init__(self, path: str) -> None:
        self._path = trio.Path(path)

    async def read(self) -> frozenset[str]:
        lines = (await self._path.read_text()).splitlines()
        stripped = (line.partition("#")[0].strip() for line in lines)
        return frozenset(parse_game_url(line).url for line in stripped if line)


def _source(source: GameSource) -> Source:
    match source:
        case GameUrl(address):
            return _Fixed(address.url)
        case GameDns(address):
            return _Dns(address)
        case GameFile(path):
            return _File(path)


class Discovery:
    """Asks every source again and again, and reports all addresses when they change."""

    def __init__(self, sources: Sequence[GameSource]) -> None:
        self._sources = sources
        self._known: list[frozenset[str] | None] = [None] * len(sources)
        self._reported: frozenset[str] | None = None

    @property
    def complete(self) -> bool:
        """Whether every source has answered at least once."""
        return None not in self._known

    async def run(self, found: Callable[[frozenset[str]], None]) -> None:
        """Reads until cancelled; calls ``found`` with all addresses."""
        async with trio.open_nursery() as nursery:
            for index, source in enumerate(self._sources):
                nursery.start_soon(self._follow, index, source, found)

    async def _follow(
        self, index: int, asked: GameSource, found: Callable[[frozenset[str]], None]
    ) -> None:
        source = _source(asked)
        trouble = ""
        while True:
            try:
                self._known[index] = await source.read()
                trouble = ""
            except (OSError, BadAddress, UnicodeDecodeError) as error:
                if str(error) != trouble:  # once for each trouble, not several a second
                    trouble = str(error)
                    log.warning("discovery.failed", source=str(asked), error=trouble)
            self._report(found)
            await trio.sleep(source.every_seconds)

    def _report(self, found: Callable[[frozenset[str]], None]) -> None:
        known: frozenset[str] = frozenset().union(*(k for k in self._known if k is not None))
        if known != self._reported and any(k is not None for k in self._known):
            self._reported = known
            found(known)
