"""The options that only an api node has."""

from __future__ import annotations

from typing import Any, Literal

import click
import msgspec

from lastcall.api.games.sources import GameSource, parse_games
from lastcall.bus.address import HostPort, parse_url
from lastcall.errors import UsageError
from lastcall.runtime.address import ListenAddress, parse_listen
from lastcall.runtime.command import Command, Parsed, gathered


class ApiOptions(msgspec.Struct, frozen=True):
    """The options of an api node, besides those of every node."""

    listen: tuple[ListenAddress, ...]
    feed: HostPort
    games: tuple[GameSource, ...]
    clients: Literal["finish", "move"]


def api_options(command: Command) -> Command:
    """The options of an api node, gathered into ``api: ApiOptions``."""
    options = {
        "--listen": {
            "type": Parsed("address", parse_listen),
            "multiple": True,
            "metavar": "HOST:PORT|fd:N",
            "default": ["127.0.0.1:8080"],
            "help": "Where clients connect; may be repeated. [::] means every interface, IPv4 too; "
            "fd:N takes an inherited listening socket.",
        },
        "--feed": {
            "type": Parsed("URL", parse_url),
            "default": "tcp://127.0.0.1:7001",
            "help": "Where game nodes send to. Port 0: a free one.",
        },
        "--games": {
            "type": Parsed("SOURCES", parse_games),
            "required": True,
            "help": "The game nodes: tcp://HOST:PORT, dns://HOST:PORT (asked every 2 s) or "
            "file:///PATH (a URL a line, read every 0.5 s), comma separated.",
        },
        "--clients": {
            "type": click.Choice(["finish", "move"]),
            "default": "finish",
            "help": "At a drain, clients in rooms stay to their room's end, or are moved at once, "
            "as all others are; a moved client resumes on another api node.",
        },
    }
    return gathered("api", _checked_api_options, options)(command)


def _checked_api_options(**values: Any) -> ApiOptions:
    options = ApiOptions(**values)
    for place in options.listen:
        if options.listen.count(place) > 1:
            raise UsageError(f"--listen {place} is given twice")
    if options.feed.is_wildcard and click.get_current_context().params.get("advertise") is None:
        raise UsageError(
            f"--feed {options.feed.url} binds every interface, so game nodes cannot dial it as it "
            "stands: say with --advertise HOST what they dial"
        )
    return options
