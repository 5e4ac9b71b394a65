"""The sources of addresses that ``--games`` names; see :mod:`lastcall.links.discovery`."""

from __future__ import annotations

from pathlib import Path

import msgspec

from lastcall.bus.address import HostPort, parse_host_port, parse_url
from lastcall.errors import BadAddress


class GameUrl(msgspec.Struct, frozen=True):
    """One game node."""

    address: HostPort

    def __str__(self) -> str:
        return self.address.url


class GameDns(msgspec.Struct, frozen=True):
    """``dns://host:port``: a game node at each address that the name has now."""

    address: HostPort

    def __str__(self) -> str:
        return f"dns://{self.address}"


class GameFile(msgspec.Struct, frozen=True):
    """``file:///PATH``: one URL a line; it may come to exist later."""

    path: str

    def __str__(self) -> str:
        return f"file://{self.path}"


GameSource = GameUrl | GameDns | GameFile


def parse_game_url(text: str) -> HostPort:
    """One game node's URL, as in ``--games`` and in each line of a ``file://`` list."""
    return parse_url(text, dialled=True)


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
        case "file" if rest.startswith("/"):
            return GameFile(rest)
        case "file" if rest:
            raise BadAddress(
                f"{text!r} is not an absolute path: it takes file:///PATH, such as "
                f"file://{Path(rest).absolute()}"
            )
    raise BadAddress(
        f"{text!r} is not a URL of game nodes: it takes tcp://HOST:PORT, dns://HOST:PORT or "
        "file:///PATH, such as tcp://127.0.0.1:7101"
    )
