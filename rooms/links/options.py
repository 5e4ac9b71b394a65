"""The options by which a node finds game nodes, and by which they reach it; for both tiers."""

from __future__ import annotations

from typing import Any

import click

from lastcall.bus.address import HostPort, parse_url
from lastcall.errors import UsageError
from lastcall.links.sources import parse_games
from lastcall.runtime.command import Parsed

SOURCES = (
    "tcp://HOST:PORT, dns://HOST:PORT (asked every 2 s) or file:///PATH (a URL a line, read every "
    "0.5 s), comma separated."
)


def games_option(whose: str, **settings: Any) -> dict[str, Any]:
    """``--games``; the help begins with ``whose`` nodes they are."""
    return {"type": Parsed("SOURCES", parse_games), "help": f"{whose} {SOURCES}"} | settings


def feed_option(default: str, text: str) -> dict[str, Any]:
    """``--feed``."""
    return {"type": Parsed("URL", parse_url), "default": default, "help": text}


def check_feed(feed: HostPort, flag: str = "--feed") -> None:
    """Raises :class:`UsageError` for a feed that nobody can dial as it stands; in a command."""
    if feed.is_wildcard and click.get_current_context().params.get("advertise") is None:
        raise UsageError(
            f"{flag} {feed.url} binds every interface, so game nodes cannot dial it as it "
            "stands: say with --advertise HOST what they dial"
        )
