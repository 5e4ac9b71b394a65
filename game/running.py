"""Runs a game node from its options, to its end."""

from __future__ import annotations

import random
from collections.abc import Mapping

from lastcall.game.node import GameNode
from lastcall.game.options import GameOptions
from lastcall.game.settings import game_settings
from lastcall.ids import KindName
from lastcall.kind import Kind
from lastcall.policy import DrainPolicy
from lastcall.reasons import ExitCode
from lastcall.runtime.cluster_options import ClusterOptions
from lastcall.runtime.exposure import Exposure
from lastcall.runtime.listeners import is_exposed
from lastcall.runtime.node_bus import nng_bus
from lastcall.runtime.options import NodeOptions
from lastcall.runtime.process import run_node
from lastcall.runtime.signals import StopRequests


def run_game(
    kinds: Mapping[KindName, Kind],
    game: GameOptions,
    node: NodeOptions,
    drain: DrainPolicy,
    cluster: ClusterOptions,
    *,
    stops: StopRequests,
    make: type[GameNode] = GameNode,
) -> ExitCode:
    """Returns the exit code of a node that has the rooms ``kinds``. See
    :func:`lastcall.runtime.process.run_node`.
    """
    settings = game_settings(node, cluster, game)
    bus, rng = nng_bus(node, cluster), random.SystemRandom()
    return run_node(
        lambda lifecycle: make(settings, kinds=kinds, bus=bus, drain=lifecycle, rng=rng),
        node,
        drain,
        stops,
        exposure=Exposure(
            link_port=is_exposed(game.listen) or (bool(game.games) and is_exposed(game.feed)),
            cluster_protected=cluster.protected,
        ),
    )
