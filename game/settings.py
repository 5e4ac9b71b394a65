"""The settings of a game node, as its options and its start give them."""

from __future__ import annotations

import time
from collections.abc import Callable

import msgspec

from lastcall.bus.address import HostPort
from lastcall.core.link.feed_address import AllowedApis
from lastcall.core.link.secret import Secrets
from lastcall.game.options import GameOptions
from lastcall.ids import NodeName
from lastcall.links.sources import GameSource
from lastcall.policy import HandOffPolicy, LinkPolicy, RoomPolicy, SurvivalPolicy
from lastcall.runtime.cluster_options import ClusterOptions
from lastcall.runtime.cluster_secret import no_secrets
from lastcall.runtime.options import NodeOptions


class GameSettings(msgspec.Struct, frozen=True):
    """The settings of a game node at its start."""

    name: NodeName
    version: str
    listen: HostPort
    born: float
    """The time of its start in seconds since 1970: placement ranks versions by age."""
    advertise: str | None = None
    link_policy: LinkPolicy = LinkPolicy()
    room_policy: RoomPolicy = RoomPolicy()
    handoff_policy: HandOffPolicy = HandOffPolicy()
    survival_policy: SurvivalPolicy = SurvivalPolicy()
    apis: AllowedApis = AllowedApis()
    """Where feeds may be, besides where the requests of their nodes come from."""
    secrets: Callable[[], Secrets] = no_secrets
    games: tuple[GameSource, ...] = ()
    """Where the other game nodes are; without any, this node calls none."""
    feed: HostPort = HostPort("127.0.0.1", 0)
    """Where the other game nodes send to."""


def game_settings(node: NodeOptions, cluster: ClusterOptions, game: GameOptions) -> GameSettings:
    """The settings that the options of a command ask for."""
    return GameSettings(
        name=node.name,
        version=node.version,
        listen=game.listen,
        born=time.time(),
        advertise=node.advertise,
        room_policy=RoomPolicy(limits=node.limits),
        apis=game.apis,
        secrets=cluster.secrets,
        games=game.games,
        feed=game.feed,
    )
