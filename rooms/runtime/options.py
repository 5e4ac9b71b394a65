"""The options of both kinds of node; a command receives them as frozen settings."""

from __future__ import annotations

import re
import socket
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

import click
import msgspec

from lastcall.bus.address import HostPort, parse_host_port
from lastcall.errors import UsageError
from lastcall.ids import NodeName
from lastcall.limits import Limits, read_limits
from lastcall.policy import DrainPolicy
from lastcall.runtime.address import parse_host
from lastcall.runtime.admin.hosts import parse_hosts
from lastcall.runtime.command import (
    Command,
    Decorator,
    Parsed,
    config_limits,
    config_option,
    gathered,
)
from lastcall.runtime.logs import LogFormat, LogLevel

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,62}[A-Za-z0-9])?")


class NodeOptions(msgspec.Struct, frozen=True):
    """The settings of every node. ``version`` is shown to operators and clients."""

    name: NodeName
    admin: HostPort
    log_format: LogFormat
    advertise: str | None
    version: str
    admin_token_file: Path | None = None
    admin_hosts: tuple[str, ...] = ()
    log_level: LogLevel = "info"
    limits: Limits = Limits()


PROGRAM_VERSION = "?"
"""The value of ``--version`` without one."""


def _print_version(ctx: click.Context, _param: click.Parameter, value: str) -> str:
    if value == PROGRAM_VERSION and not ctx.resilient_parsing:
        click.echo(f"{ctx.command.name} {metadata.version('lastcall')}")
        ctx.exit()
    return value


OPTIONS: dict[str, dict[str, Any]] = {
    "--log-format": {
        "type": click.Choice(["console", "json"]),
        "default": "console",
        "help": "Log lines for people, or one JSON object per line.",
    },
    "--log-level": {
        "type": click.Choice(["info", "debug"]),
        "default": "info",
        "help": "debug: the log also says why each client's connection ended.",
    },
    "--advertise": {
        "type": Parsed("HOST", parse_host),
        "help": "The host that other nodes dial, if it is not the one this node binds.",
    },
    "--admin-token-file": {
        "type": click.Path(dir_okay=False, path_type=Path),
        "help": "A file with the token that /cordon, /uncordon and /drain require, from "
        "loopback too. Without it they come from loopback only.",
    },
    "--admin-hosts": {
        "type": Parsed("NAME,...", parse_hosts),
        "default": "",
        "show_default": "none",
        "help": "Further names by which the admin port may be asked. IP addresses, "
        "localhost, and the hosts of --name, --admin and --advertise always are.",
    },
    "--version": {
        "metavar": "V",
        "is_flag": False,
        "flag_value": PROGRAM_VERSION,
        "is_eager": True,  # alone it needs no other option
        "callback": _print_version,
        "default": lambda: metadata.version("lastcall"),
        "show_default": "the package's",
        "help": "The version that this node reports. Without V: prints the program's, and ends.",
    },
}
"""Those that do not depend on the tier; ``--name`` and ``--admin`` do."""


ADMIN = {"api": "127.0.0.1:9001", "game": "127.0.0.1:9101", "serve": "127.0.0.1:9000"}


def node_options(tier: Literal["api", "game", "serve"]) -> Decorator:
    """Adds the options of every node, gathered into ``node: NodeOptions``, and ``--config``."""
    of_tier: dict[str, dict[str, Any]] = {
        "--name": {
            "type": Parsed("name", _parse_name),
            "default": lambda: _default_name(tier),
            "show_default": f"{tier}-HOSTNAME",
            "help": "The node's name; unique among the nodes that run.",
        },
        "--admin": {
            "type": Parsed("HOST:PORT", parse_host_port),
            "default": ADMIN[tier],
            "help": "The address of /livez /readyz /status /metrics. Port 0: a free port.",
        },
    }
    add_options = gathered("node", _with_limits, of_tier | OPTIONS)
    return lambda command: add_options(config_option(command))


def _with_limits(**values: Any) -> NodeOptions:
    return NodeOptions(**values, limits=read_limits(*config_limits()))


def drain_options(command: Command) -> Command:
    """Adds the options of the drain, gathered into ``drain: DrainPolicy``."""
    usual = DrainPolicy()
    help_texts = {
        "--grace": (usual.grace_seconds, "Time limit from the signal to the exit."),
        "--lame-duck": (usual.lame_duck_seconds, "Doors stay open this long after the signal."),
        "--farewell": (usual.farewell_seconds, "End of grace: time from the cut to the exit."),
        "--spread": (usual.spread_seconds, "Time over which clients are moved."),
    }
    options = {
        flag: {"type": float, "metavar": "SECONDS", "default": default, "help": text}
        for flag, (default, text) in help_texts.items()
    }

    def policy(grace: float, lame_duck: float, farewell: float, spread: float) -> DrainPolicy:
        return DrainPolicy(grace, lame_duck, farewell, spread)

    return gathered("drain", policy, options)(command)


def _parse_name(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise UsageError(
            f"{text!r} is not a valid node name: use 1 to 64 letters, digits, dots, dashes and "
            "underscores, such as game-1"
        )
    return text


def _default_name(tier: str) -> str:
    host = re.sub(r"[^A-Za-z0-9._-]", "-", socket.gethostname())
    return f"{tier}-{host}"[:64].rstrip("._-")
