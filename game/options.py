"""The options that only a game node has."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from lastcall.bus.address import HostPort, parse_url
from lastcall.core.link.feed_address import AllowedApis, parse_apis
from lastcall.errors import BadRooms
from lastcall.links.options import check_feed, feed_option, games_option
from lastcall.links.sources import GameSource
from lastcall.runtime.command import Command, Parsed, gathered
from lastcall.runtime.completion import EXAMPLES, complete_modules

_MODULE = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*", re.ASCII)


class GameOptions(msgspec.Struct, frozen=True):
    """The options that only a game node has; ``rooms`` are modules to import."""

    listen: HostPort
    rooms: tuple[str, ...]
    apis: AllowedApis
    feed: HostPort
    games: tuple[GameSource, ...]


def parse_rooms(text: str) -> tuple[str, ...]:
    """The modules of ``--rooms``; raises :class:`BadRooms`."""
    modules = tuple(part.strip() for part in text.split(","))
    for module in modules:
        if not _MODULE.fullmatch(module):
            raise BadRooms(
                f"{module!r} is not a module's name: it takes package.module, comma separated"
            )
    return modules


OPTIONS: dict[str, dict[str, Any]] = {
    "--listen": {
        "type": Parsed("URL", parse_url),
        "default": "tcp://127.0.0.1:7101",
        "help": "Where other nodes send to. Port 0: a free one.",
    },
    "--rooms": {
        "type": Parsed("MODULES", parse_rooms),
        "default": EXAMPLES,
        "shell_complete": complete_modules,
        "help": "The modules with the kinds of rooms to serve, comma separated.",
    },
    "--apis": {
        "type": Parsed("HOSTS", parse_apis),
        "default": "",
        "show_default": "only back",
        "help": "Hosts, addresses and networks (10.0.0.0/8) of other nodes' feeds, comma "
        "separated. Without it a feed is dialled only at the address that its node's "
        "requests come from, or at a name of that address; give it where addresses are "
        "translated in between.",
    },
    "--games": games_option(
        "The other game nodes, to which rooms can move; this node may be among them:",
        default=(),
        show_default="none",
    ),
    "--feed": feed_option(
        "tcp://127.0.0.1:0",
        "With --games: where the other game nodes send to. Port 0: a free one.",
    ),
}


def game_options(command: Command) -> Command:
    """The options of a game node, gathered into ``game: GameOptions``."""
    return gathered("game", _checked_game_options, OPTIONS)(command)


def _checked_game_options(**values: Any) -> GameOptions:
    options = GameOptions(**values)
    if options.games:
        check_feed(options.feed)
    return options
