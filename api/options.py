"""The options that only an api node has."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import click
import msgspec

from lastcall.bus.address import HostPort
from lastcall.core.edge.addresses import TrustedProxies, parse_networks
from lastcall.core.edge.origins import parse_origins
from lastcall.errors import UsageError
from lastcall.links.options import check_feed, feed_option, games_option
from lastcall.links.sources import GameSource
from lastcall.runtime.address import ListenAddress, parse_listen
from lastcall.runtime.command import Command, Parsed, gathered


class ApiOptions(msgspec.Struct, frozen=True):
    """The options of an api node, besides those of every node."""

    listen: tuple[ListenAddress, ...]
    feed: HostPort
    games: tuple[GameSource, ...]
    clients: Literal["finish", "move"]
    origins: frozenset[str] | None = None
    trusted_proxies: TrustedProxies = TrustedProxies()
    tls_cert: Path | None = None
    tls_key: Path | None = None


OPTIONS: dict[str, dict[str, Any]] = {
    "--listen": {
        "type": Parsed("address", parse_listen),
        "multiple": True,
        "metavar": "HOST:PORT|fd:N",
        "default": ["127.0.0.1:8080"],
        "help": "Where clients connect; may be repeated. [::] means every interface, IPv4 too; "
        "fd:N takes an inherited listening socket.",
    },
    "--feed": feed_option("tcp://127.0.0.1:7001", "Where game nodes send to. Port 0: a free one."),
    "--games": games_option("The game nodes:", required=True),
    "--clients": {
        "type": click.Choice(["finish", "move"]),
        "default": "finish",
        "help": "At a drain, clients in rooms stay to their room's end, or are moved at once, "
        "as all others are; a moved client resumes on another api node.",
    },
    "--origins": {
        "type": Parsed("ORIGINS", parse_origins),
        "default": None,
        "show_default": "any",
        "help": "The web pages that may connect, by scheme, host and port, comma separated: "
        "https://play.example. Others get 403; programs that are not browsers send none.",
    },
    "--trusted-proxies": {
        "type": Parsed("NETWORKS", parse_networks),
        "default": TrustedProxies(),
        "show_default": "none",
        "help": "The addresses of your proxies (10.0.0.0/8,fd00::/8). Only they are believed "
        "who a client is: by Forwarded, X-Forwarded-For or a PROXY header (v1, v2).",
    },
    "--tls-cert": {
        "type": click.Path(path_type=Path),
        "metavar": "FILE",
        "default": None,
        "help": "Clients connect by TLS (wss): a PEM file with the certificate of this node "
        "and its chain. Read again on SIGHUP, as the key is.",
    },
    "--tls-key": {
        "type": click.Path(path_type=Path),
        "metavar": "FILE",
        "default": None,
        "help": "The private key of --tls-cert: PEM, without a password.",
    },
}


def api_options(command: Command) -> Command:
    """The options of an api node, gathered into ``api: ApiOptions``."""
    return gathered("api", checked_api_options, OPTIONS)(command)


def checked_api_options(**values: Any) -> ApiOptions:
    """Raises :class:`UsageError` for options that do not fit together; in a command."""
    options = ApiOptions(**values)
    for place in options.listen:
        if options.listen.count(place) > 1:
            raise UsageError(f"--listen {place} is given twice")
    if (options.tls_cert is None) is not (options.tls_key is None):
        raise UsageError("--tls-cert and --tls-key belong together: give both, or neither")
    check_feed(options.feed)
    return options
