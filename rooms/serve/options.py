"""The options of a node with both tiers, besides those of every node."""

from __future__ import annotations

from typing import Any

import msgspec

from lastcall.api.options import OPTIONS as API_OPTIONS
from lastcall.api.options import ApiOptions, checked_api_options
from lastcall.bus.address import HostPort, parse_url
from lastcall.core.link.feed_address import AllowedApis
from lastcall.errors import UsageError
from lastcall.game.options import OPTIONS as GAME_OPTIONS
from lastcall.game.options import GameOptions
from lastcall.links.options import check_feed, feed_option, games_option
from lastcall.links.sources import GameSource, GameUrl
from lastcall.runtime.address import is_loopback
from lastcall.runtime.command import Command, Parsed, gathered
from lastcall.serve.bus import HERE


class ServeOptions(msgspec.Struct, frozen=True):
    """The options of each tier, which finds the other one in this process.

    ``links`` is where other nodes send to; None: there are none, and no port for them.
    """

    api: ApiOptions
    game: GameOptions
    links: HostPort | None


OF_CLIENTS = ("--listen", "--clients", "--origins", "--trusted-proxies", "--tls-cert", "--tls-key")

OPTIONS: dict[str, dict[str, Any]] = {
    "--rooms": GAME_OPTIONS["--rooms"],
    **{flag: API_OPTIONS[flag] for flag in OF_CLIENTS},
    "--games": games_option(
        "Other nodes, to which rooms can move and where clients may find theirs; this node may be "
        "among them. Each is named by its --links, a lastcall-game by its --listen:",
        default=(),
        show_default="none",
    ),
    "--links": {
        "type": Parsed("URL", parse_url),
        "default": None,
        "show_default": "none",
        "help": "Where other nodes send to, such as tcp://127.0.0.1:7101. Without it, no port is "
        "opened for them.",
    },
    "--feed": feed_option(
        "tcp://127.0.0.1:0", "With --games: where other nodes' rooms send to. Port 0: a free one."
    ),
    "--game-feed": feed_option(
        "tcp://127.0.0.1:0",
        "With --games: where other nodes send to when rooms move. Port 0: a free one.",
    ),
    "--apis": GAME_OPTIONS["--apis"],
}


def serve_options(command: Command) -> Command:
    """The options, gathered into ``serve: ServeOptions``."""
    return gathered("serve", _checked, OPTIONS)(command)


def _checked(
    *,
    rooms: tuple[str, ...],
    apis: AllowedApis,
    links: HostPort | None,
    feed: HostPort,
    game_feed: HostPort,
    games: tuple[GameSource, ...],
    **of_clients: Any,
) -> ServeOptions:
    if games and links is None:
        raise UsageError(
            "--games names other nodes, which cannot reach this one: give --links, too, such as "
            "--links tcp://127.0.0.1:7101"
        )
    if links is not None and games:
        check_feed(game_feed, "--game-feed")
        _check_reach("--feed", feed, links)
        _check_reach("--game-feed", game_feed, links)
    api = checked_api_options(feed=feed, games=(GameUrl(HERE), *games), **of_clients)
    return ServeOptions(api, GameOptions(links or HERE, rooms, apis, game_feed, games), links)


def _check_reach(flag: str, feed: HostPort, links: HostPort) -> None:
    """Raises :class:`UsageError` for a feed that the callers of ``links`` cannot reach."""
    if is_loopback(feed.host) and not is_loopback(links.host):
        example = HostPort("10.0.0.7" if links.is_wildcard else links.host, feed.port or 7001)
        raise UsageError(
            f"{flag} {feed.url} can be reached from this machine only, and --links {links.url} "
            f"from others: give an address that they reach, such as {flag} {example.url}"
        )
