"""The process of one version of the author's code: a game node, forked by :mod:`lastcall.dev.warm`.

At the word ``leave`` on its standard input, it gives its rooms to the version that serves now.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

import click
import structlog
import trio

from lastcall.core.lifecycle import Phase
from lastcall.dev.reports import LEAVE, describe_failure, describe_loaded
from lastcall.errors import BadRooms
from lastcall.game.loader import load
from lastcall.game.node import GameNode
from lastcall.game.options import GameOptions, game_options
from lastcall.game.running import run_game
from lastcall.host.live_room import LiveRoom
from lastcall.policy import DrainPolicy
from lastcall.reasons import ExitCode
from lastcall.runtime.cluster_options import ClusterOptions, cluster_options
from lastcall.runtime.command import run_command
from lastcall.runtime.options import NodeOptions, drain_options, node_options
from lastcall.runtime.process import prepare
from lastcall.runtime.signals import install

log = structlog.get_logger()

STDIN = 0
TAKER_SECONDS, LOOK_SECONDS = 2.0, 0.01
"""For the node that takes the rooms to be known here."""
AGAIN_SECONDS = 1.0
"""Until rooms are offered again that did not rest, such as one that sleeps."""


class LedGame(GameNode):
    """A game node that gives its rooms away when it is told so, and tells what became of them."""

    async def start(self, services: trio.Nursery) -> None:
        """See :meth:`lastcall.game.node.GameNode.start`."""
        await super().start(services)
        services.start_soon(self._obey)

    async def _obey(self) -> None:
        scope = trio.CancelScope()
        async with trio.open_nursery() as nursery, trio.lowlevel.FdStream(os.dup(STDIN)) as words:
            async for data in words:
                if LEAVE in data.split():
                    scope.cancel()
                    scope = trio.CancelScope()
                    nursery.start_soon(self._leave, scope)

    async def _leave(self, scope: trio.CancelScope) -> None:
        """Offers the rooms, and tells what is left of those that could move: at once, and each time
        when there are fewer; until none is left.
        """
        with scope:
            if self._drain.phase is Phase.SERVING:
                self._drain.cordon()
            with trio.move_on_after(TAKER_SECONDS):
                while not self.others.peers.any_serves:  # noqa: ASYNC110 - it is a moment
                    await trio.sleep(LOOK_SECONDS)
            refused, told = False, -1
            while told:
                self._give_up(lambda room: not room.state.roster)
                if not refused:
                    await self.departures.leave()
                    refused = bool(self.departures.why())
                self._give_up(lambda room: not room.state.started)
                if (left := self._count(movable=True).total()) != told:
                    self._tell(told := left)
                await trio.sleep(AGAIN_SECONDS)

    def _give_up(self, which: Callable[[LiveRoom], bool]) -> None:
        """No player can join a room here any more: one without players ends, and those of one that
        has not begun are seated together where others come.
        """
        for room in filter(which, list(self.host.running.by_id.values())):
            room.give_up()

    def _count(self, *, movable: bool) -> Counter[str]:
        """How many rooms run here that could run elsewhere, or not, of each kind."""
        rooms = (room.state for room in self.host.running.by_id.values())
        kinds = (room.codec.kind for room in rooms if not room.closed)
        return Counter(kind.name for kind in kinds if (kind.moves != "never") is movable)

    def _tell(self, left: int) -> None:
        stay, others = self._count(movable=True), self._count(movable=False)
        log.info("dev.left", left=left, moved=self.departures.count, stay=stay, others=others)


@click.command("lastcall.dev.game")
@node_options("game")
@drain_options
@cluster_options
@game_options
def command(
    node: NodeOptions, drain: DrainPolicy, cluster: ClusterOptions, game: GameOptions
) -> ExitCode:
    """Imports the rooms, and runs a game node."""
    stops = install()
    prepare(node, drain, stops)
    # A .pyc is as old as its source to the second: a second save in the same one would not count.
    sys.dont_write_bytecode = True
    importlib.invalidate_caches()
    folder = Path.cwd()
    sys.path.insert(0, str(folder))
    before = set(sys.modules)
    try:
        kinds = load(game.rooms)
    except BadRooms as problem:
        log.info("dev.failed", **describe_failure(problem, before, game.rooms))
        raise
    log.info("dev.loaded", **describe_loaded(kinds.values(), before, game.rooms))
    return run_game(kinds, game, node, drain, cluster, stops=stops, make=LedGame)


def main(arguments: Sequence[str]) -> NoReturn:
    """Runs the node with these arguments, and exits with its code."""
    sys.argv = ["lastcall-game", *arguments]
    run_command(command, arguments, name="lastcall.dev.game")
