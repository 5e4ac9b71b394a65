"""The options that both node programs have; a command receives them as frozen settings."""

from __future__ import annotations

import re
import socket
from importlib import metadata
from pathlib import Path
from typing import Literal

import click
import msgspec

from lastcall.bus.address import HostPort, parse_host_port
from lastcall.errors import UsageError
from lastcall.ids import NodeName
from lastcall.policy import DrainPolicy
from lastcall.runtime.address import parse_host
from lastcall.runtime.command import Command, Decorator, Parsed, config_option, gathered
from lastcall.runtime.logs import LogFormat

__all__ = ["NodeOptions", "drain_options", "node_options"]

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,62}[A-Za-z0-9])?")


class NodeOptions(msgspec.Struct, frozen=True):
    """What every node is told. ``version`` is the node's own, shown to operators and clients."""

    name: NodeName
    admin: HostPort
    log_format: LogFormat
    advertise: str | None
    version: str
    admin_token_file: Path | None = None


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
