"""The options of both node programs; a command receives them as frozen settings::

@click.command("game", epilog=epilog("python -m game --rooms game.examples"))
@node_options("game")
@drain_options
@game_options
def command(node: NodeOptions, drain: DrainPolicy, game: GameOptions) -> int: …


def main() -> None:
run_command(command)
"""

from __future__ import annotations

import re
import socket
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

import click
import msgspec

from rooms.errors import BadRooms, UsageError
from rooms.ids import NodeName
from rooms.policy import DrainPolicy
from rooms.runtime.address import (
    GameSource,
    HostPort,
    InheritedSocket,
    parse_games,
    parse_host,
    parse_host_port,
    parse_listen,
    parse_url,
)
from rooms.runtime.command import Command, Decorator, Parsed, config_option, gathered
from rooms.runtime.events import LogFormat

__all__ = [
    "ApiOptions",
    "GameOptions",
    "NodeOptions",
    "api_options",
    "drain_options",
    "game_options",
    "node_options",
]

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,62}[A-Za-z0-9])?")
_MODULE = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*", re.ASCII)


class NodeOptions(msgspec.Struct, frozen=True):
    """What every node is told. ``version`` is the node's own, shown to operators and clients."""

    name: NodeName
    admin: HostPort
    log_format: LogFormat
    advertise: str | None
    version: str
    admin_token_file: Path | None = None


class ApiOptions(msgspec.Struct, frozen=True):
    """What an api node is told besides."""

    listen: HostPort | InheritedSocket
    feed: HostPort
    games: tuple[GameSource, ...]
    clients: Literal["finish", "move"]


class GameOptions(msgspec.Struct, frozen=True):
    """What a game node is told besides; ``rooms`` are modules to import."""

    listen: HostPort
    rooms: tuple[str, ...]


def node_options(tier: Literal["api", "game"]) -> Decorator:
    """The options of every node, gathered into ``node: NodeOptions``; and ``--config``."""
    both = gathered(
        "node",
        NodeOptions,
        {
            "--name": {
                "type": Parsed("name", _parse_name),
                "default": lambda: _default_name(tier),
                "show_default": f"{tier}-HOSTNAME",
                "help": "What this node is called; unique among the nodes that run.",
            },
            "--admin": {
                "type": Parsed("HOST:PORT", parse_host_port),
                "default": "127.0.0.1:9001" if tier == "api" else "127.0.0.1:9101",
                "help": "Where it answers /livez /readyz /status /metrics. Port 0: a free one.",
            },
            "--log-format": {
                "type": click.Choice(["console", "json"]),
                "default": "console",
                "help": "For eyes, or one JSON object a line.",
            },
            "--advertise": {
                "type": Parsed("HOST", parse_host),
                "help": "What other nodes dial, when it is not the host that we bind.",
            },
            "--admin-token-file": {
                "type": click.Path(dir_okay=False, path_type=Path),
                "help": "A file with the token that /cordon, /uncordon and /drain want from "
                "beyond loopback.",
            },
            "--version": {
                "metavar": "V",
                "default": lambda: metadata.version("lastcall"),
                "show_default": "the package's",
                "help": "The version that this node says it is.",
            },
        },
    )
    return lambda command: both(config_option(command))


def drain_options(command: Command) -> Command:
    """The options of the drain, gathered into ``drain: DrainPolicy``."""
    usual = DrainPolicy()
    seconds = {"type": float, "metavar": "SECONDS"}
    help_texts = {
        "--grace": (usual.grace_seconds, "From the signal to the end, at most."),
        "--lame-duck": (usual.lame_duck_seconds, "Doors still open, for balancers that poll."),
        "--farewell": (usual.farewell_seconds, "The end of grace, from the cut on."),
        "--spread": (usual.spread_seconds, "Over which clients are moved away."),
    }
    options = {
        flag: {**seconds, "default": default, "help": text}
        for flag, (default, text) in help_texts.items()
    }
    return gathered("drain", _drain_policy, options)(command)


def _drain_policy(grace: float, lame_duck: float, farewell: float, spread: float) -> DrainPolicy:
    return DrainPolicy(grace, lame_duck, farewell, spread)


def api_options(command: Command) -> Command:
    """The options of an api node, gathered into ``api: ApiOptions``."""
    options = {
        "--listen": {
            "type": Parsed("address", parse_listen),
            "metavar": "HOST:PORT|fd:N",
            "default": "127.0.0.1:8080",
            "help": "Where clients connect; fd:N takes an inherited listening socket.",
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
            "file://PATH (a URL a line, read every 0.5 s), comma separated.",
        },
        "--clients": {
            "type": click.Choice(["finish", "move"]),
            "default": "finish",
            "help": "At a drain, clients in rooms stay to their room's end, or are moved now.",
        },
    }
    return gathered("api", _checked_api_options, options)(command)


def _checked_api_options(**values: Any) -> ApiOptions:
    options = ApiOptions(**values)
    if options.feed.is_wildcard and click.get_current_context().params.get("advertise") is None:
        raise UsageError(
            f"--feed {options.feed.url} binds every interface, so game nodes cannot dial it as it "
            "stands: say with --advertise HOST what they dial"
        )
    return options


def game_options(command: Command) -> Command:
    """The options of a game node, gathered into ``game: GameOptions``."""
    options = {
        "--listen": {
            "type": Parsed("URL", parse_url),
            "default": "tcp://127.0.0.1:7101",
            "help": "Where api nodes send to. Port 0: a free one.",
        },
        "--rooms": {
            "type": Parsed("MODULES", _parse_rooms),
            "required": True,
            "help": "The modules with the kinds of rooms to serve, such as game.examples.",
        },
    }
    return gathered("game", GameOptions, options)(command)


def _parse_rooms(text: str) -> tuple[str, ...]:
    modules = tuple(part.strip() for part in text.split(","))
    for module in modules:
        if not _MODULE.fullmatch(module):
            raise BadRooms(
                f"{module!r} is no module's name: it takes package.module, comma separated"
            )
    return modules


def _parse_name(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise UsageError(
            f"{text!r} is no node's name: it takes 1 to 64 letters, digits, dots, dashes and "
            "underscores, such as game-1"
        )
    return text


def _default_name(tier: str) -> str:
    host = re.sub(r"[^A-Za-z0-9._-]", "-", socket.gethostname())
    return f"{tier}-{host}"[:64].rstrip("._-")
