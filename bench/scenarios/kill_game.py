"""The scenario ``kill-game``: one of three game nodes is killed while bots talk in its rooms.

The rooms survive: each goes on where its standby is, with its ledger. At the end all ledgers are
compared.
"""

from __future__ import annotations

import trio
from rich.progress import Progress

from lastcall.bench.bots.bot import Bot
from lastcall.bench.bots.crowd import Crowd, open_crowd
from lastcall.bench.bots.settle import settle
from lastcall.bench.nodes.fleet import MANY, Fleet, FleetPlan, open_fleet
from lastcall.bench.nodes.node_metrics import wait_for_metrics
from lastcall.bench.nodes.proc import no_collections
from lastcall.bench.report.report import Figure, Report
from lastcall.bench.rooms.kinds import SURVIVOR
from lastcall.bench.rooms.ledger import Verdict
from lastcall.bench.scenarios import figures
from lastcall.bench.scenarios.repeated import RepeatedSettings, repeated
from lastcall.bench.scenarios.silences import silences
from lastcall.ids import KindName
from lastcall.local.admin_client import open_admin_client
from lastcall.wire import frames

VICTIM, GAMES, APIS = "game-1", 3, 2
SILENCE_LIMITS = {"p50": 0.4, "p99": 1.5}


class KillGameSettings(RepeatedSettings, frozen=True):
    """The size of a run. The kill comes after ``warm_seconds`` and ``calm_seconds``."""

    every_ms: float = 200.0
    warm_seconds: float = 3.0
    calm_seconds: float = 7.0
    after_seconds: float = 10.0


async def measure_kill_game(settings: KillGameSettings, progress: Progress) -> Report:
    """Runs the scenario; every run starts new nodes.

    Raises :class:`UsageError`, ``ClusterFailed`` and ``LoadFailed``.
    """
    return await repeated("kill-game", settings, _run, progress)


async def _run(settings: KillGameSettings, progress: Progress) -> tuple[list[Figure], Verdict]:
    plan = FleetPlan(apis=APIS, games=GAMES, limits=MANY, peers=True)
    async with open_fleet(plan) as fleet, open_crowd(fleet.urls) as crowd:
        await _wait_linked(fleet)
        new_room = frames.Join(kind=KindName(SURVIVOR), new=True)
        await crowd.seat(settings.bots, settings.seats, progress, new_room=new_room)
        await _wait_protected(fleet)
        with no_collections():
            started, killed = await _talk(settings, fleet, crowd, progress)
            verdict = await settle(crowd, progress)
    victims = [room for room in crowd.rooms if _ran_on(room, VICTIM)]
    return [
        Figure("rooms on the node that was killed", len(victims), ""),
        *figures.times("silence of their players", silences(victims, killed), SILENCE_LIMITS),
        *figures.times("silence before", silences(victims, started, killed)),
        Figure("sockets lost", len(crowd.losses), "", limit=0),
        *figures.of_verdict(verdict),
        Figure("the bots themselves were late by, max", 1000 * crowd.late_seconds, "ms"),
        Figure("inputs per second", 1000 / settings.every_ms * settings.bots, "1/s"),
    ], verdict


async def _talk(
    settings: KillGameSettings, fleet: Fleet, crowd: Crowd, progress: Progress
) -> tuple[float, float]:
    """When the calm part of the talk began, and when the node was killed."""
    bar = progress.add_task("talking, killing", total=3)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(crowd.talk, settings.every_ms / 1000)
        await trio.sleep(settings.warm_seconds)
        progress.advance(bar)
        started = fleet.cpu().at
        await trio.sleep(settings.calm_seconds)
        progress.advance(bar)
        killed = fleet.kill(VICTIM)
        await trio.sleep(settings.after_seconds)
        progress.advance(bar)
        nursery.cancel_scope.cancel()
    return started, killed


async def _wait_linked(fleet: Fleet) -> None:
    wanted = {
        name: ("lastcall_links", float(GAMES))
        if child.tier == "api"
        else ("lastcall_peers", GAMES - 1.0)
        for name, child in fleet.nodes.items()
    }
    async with open_admin_client() as client:
        await wait_for_metrics(fleet, client, wanted)


async def _wait_protected(fleet: Fleet) -> None:
    """Waits until every room has a standby."""
    games = [name for name, child in fleet.nodes.items() if child.tier == "game"]
    async with open_admin_client() as client:
        wanted = dict.fromkeys(games, ("lastcall_rooms_unprotected", 0.0))
        await wait_for_metrics(fleet, client, wanted)


def _ran_on(room: list[Bot], node: str) -> bool:
    """Whether the room was opened on the node; an id begins with its name."""
    return room[0].place.room.startswith(f"{node}.")
