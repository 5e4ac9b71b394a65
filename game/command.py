"""The command ``lastcall-game``, whose options make a game node."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from lastcall.game.loader import load
from lastcall.game.options import GameOptions, game_options
from lastcall.game.running import run_game
from lastcall.policy import DrainPolicy
from lastcall.reasons import ExitCode
from lastcall.runtime.cluster_options import ClusterOptions, cluster_options
from lastcall.runtime.command import epilog
from lastcall.runtime.options import NodeOptions, drain_options, node_options
from lastcall.runtime.process import prepare
from lastcall.runtime.signals import StopRequests


@click.command(
    "lastcall-game",
    epilog=epilog(
        "lastcall-game",
        "lastcall-game --name game-2 --listen tcp://10.0.0.7:7101 --rooms shop.rooms --grace 600",
        "lastcall-game --listen tcp://0.0.0.0:7101 --feed tcp://0.0.0.0:7001 --advertise 10.0.0.7 "
        "--games dns://game:7101",
    ),
)
@node_options("game")
@drain_options
@cluster_options
@game_options
@click.pass_obj
def command(
    stops: StopRequests,
    *,
    node: NodeOptions,
    drain: DrainPolicy,
    cluster: ClusterOptions,
    game: GameOptions,
) -> ExitCode:
    """Runs a game node: the rooms, and the links by which other nodes reach them.

    SIGTERM or SIGINT drains it: no new rooms, those that run play on, and the process ends with
    the last one, or at the end of grace. A second signal cuts; while the node still starts, it ends
    it at once. Exit code 0: nothing was cut; 3: something was.
    """
    prepare(node, drain, stops)  # grace also bounds the import of an author's module
    sys.path.insert(0, str(Path.cwd()))  # as for `python -m`: authors start it in their folder
    return run_game(load(game.rooms), game, node, drain, cluster, stops=stops)
