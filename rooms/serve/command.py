"""The command ``lastcall serve``, whose options make a node of both tiers."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import click

from lastcall.api.auth.chosen import chosen_auth
from lastcall.api.node import ApiNode
from lastcall.api.settings import api_exposure, api_settings
from lastcall.bus.address import HostPort
from lastcall.game.loader import load
from lastcall.game.node import GameNode
from lastcall.game.settings import game_settings
from lastcall.policy import DrainPolicy
from lastcall.reasons import ExitCode
from lastcall.runtime.auth_options import AuthOptions, auth_options
from lastcall.runtime.cluster_options import ClusterOptions, cluster_options
from lastcall.runtime.command import epilog
from lastcall.runtime.drain import Drain
from lastcall.runtime.node_bus import nng_bus
from lastcall.runtime.options import NodeOptions, drain_options, node_options
from lastcall.runtime.process import prepare, run_node
from lastcall.runtime.signals import StopRequests
from lastcall.serve.bus import LocalFirstBus
from lastcall.serve.node import ServeNode
from lastcall.serve.options import ServeOptions, serve_options


@click.command(
    "lastcall serve",
    epilog=epilog(
        "lastcall serve --rooms mygame.rooms",
        "lastcall serve --links tcp://10.0.0.7:7101 --feed tcp://10.0.0.7:7001 "
        "--game-feed tcp://10.0.0.7:7002 --games dns://game:7101",
    ),
)
@node_options("serve")
@drain_options
@cluster_options
@serve_options
@auth_options
@click.pass_obj
def command(
    stops: StopRequests,
    *,
    node: NodeOptions,
    drain: DrainPolicy,
    cluster: ClusterOptions,
    serve: ServeOptions,
    auth: AuthOptions,
) -> ExitCode:
    """Runs both tiers in one process: clients' WebSockets, and the rooms behind them.

    The smallest deployment, and the fastest: no message passes a network between the two. Several
    such nodes behind a balancer, which name each other by --games, are a cluster: a client finds
    its room at any of them, and rooms move between them.

    SIGTERM or SIGINT drains it: no new clients and rooms; those that run play on; the process ends
    with the last one, or at the end of grace. A second signal cuts; while the node still starts, it
    ends it at once. Exit code 0: nothing was cut; 3: something was.
    """
    prepare(node, drain, stops)  # grace also bounds the import of an author's module
    sys.path.insert(0, str(Path.cwd()))  # as for `python -m`: authors start it in their folder
    kinds = load(serve.game.rooms)
    rule = chosen_auth(auth)

    bus, rng = _bus(node, cluster, serve), random.SystemRandom()

    def make(lifecycle: Drain) -> ServeNode:
        game = GameNode(
            game_settings(node, cluster, serve.game),
            kinds=kinds,
            bus=bus,
            drain=lifecycle,
            rng=rng,
        )
        settings = api_settings(node, cluster, serve.api)
        api = ApiNode(settings, bus=bus, drain=lifecycle, rng=rng, auth=rule)
        return ServeNode(api, game, drain)

    return run_node(
        make,
        node,
        drain,
        stops,
        exposure=api_exposure(serve.api, rule, cluster, links=_link_ports(serve)),
    )


def _bus(node: NodeOptions, cluster: ClusterOptions, serve: ServeOptions) -> LocalFirstBus:
    if serve.links is None:
        return LocalFirstBus()
    return LocalFirstBus(nng_bus(node, cluster), node.advertise)


def _link_ports(serve: ServeOptions) -> list[HostPort]:
    """The ports that are open to other nodes."""
    return [] if serve.links is None else [serve.links, serve.api.feed, serve.game.feed]
