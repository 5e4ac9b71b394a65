"""The scenario ``kill-api``: one of two api nodes is killed while bots talk.

Every bot and every room keeps a ledger; at the end all ledgers are compared.
"""

from __future__ import annotations

import msgspec
import trio
from rich.progress import Progress

from lastcall.bench.bots.crowd import BotSettings, Crowd, open_crowd
from lastcall.bench.bots.settle import settle
from lastcall.bench.nodes.fleet import CpuReading, Fleet, FleetPlan, open_fleet
from lastcall.bench.nodes.proc import allow_descriptors, no_collections
from lastcall.bench.report.report import Figure, Report
from lastcall.bench.rooms.ledger import Verdict
from lastcall.bench.scenarios import figures

VICTIM = "api-1"


class KillSettings(BotSettings, frozen=True):
    """The size of the run. The kill comes after ``warm_seconds`` and ``calm_seconds``."""

    every_ms: float = 200.0
    warm_seconds: float = 3.0
    calm_seconds: float = 7.0
    after_seconds: float = 10.0


async def measure_kill(settings: KillSettings, progress: Progress) -> Report:
    """Runs the scenario. Raises :class:`UsageError`, ``ClusterFailed`` and ``LoadFailed``."""
    allow_descriptors(settings.bots)
    async with open_fleet(FleetPlan()) as fleet, open_crowd(fleet.urls) as crowd:
        await crowd.seat(settings.bots, settings.seats, progress)
        with no_collections():
            async with trio.open_nursery() as nursery:
                nursery.start_soon(crowd.talk, settings.every_ms / 1000)
                kill = await _kill(settings, fleet, crowd, progress)
                nursery.cancel_scope.cancel()
            verdict = await settle(crowd, progress)
    return _report(settings, kill, crowd, verdict)


class _Kill(msgspec.Struct, frozen=True):
    """The time of the kill, the number of bots on the node, and the readings around it."""

    at: float
    victims: int
    start: CpuReading
    before: CpuReading
    end: CpuReading


async def _kill(settings: KillSettings, fleet: Fleet, crowd: Crowd, progress: Progress) -> _Kill:
    bar = progress.add_task("talking, killing", total=3)
    await trio.sleep(settings.warm_seconds)
    progress.advance(bar)
    start = fleet.cpu()
    await trio.sleep(settings.calm_seconds)
    before = fleet.cpu()
    victims = sum(bot.node == VICTIM for bot in crowd.bots)
    killed_at = fleet.kill(VICTIM)
    progress.advance(bar)
    await trio.sleep(settings.after_seconds)
    end = fleet.cpu()
    await crowd.wait_all_back(figures.BACK_SECONDS)
    progress.advance(bar)
    return _Kill(killed_at, victims, start, before, end)


def _report(settings: KillSettings, kill: _Kill, crowd: Crowd, verdict: Verdict) -> Report:
    back = [one for one in crowd.returns if one.from_node == VICTIM]
    back_at = [one.back_at for one in back]
    calm = [took for at, took in crowd.waits if kill.start.at <= at < kill.before.at]
    after = [took for at, took in crowd.waits if at >= kill.at]
    return Report(
        scenario="kill-api",
        settings=msgspec.to_builtins(settings),
        figures=[
            Figure("bots on the node that was killed", kill.victims, ""),
            *figures.times(
                "resumed after the kill", [at - kill.at for at in back_at], figures.BACK_LIMITS
            ),
            *figures.dials(back),
            *figures.peaks("resumes", back_at),
            Figure("other sockets lost", len(crowd.returns) - len(back), "", limit=0),
            *figures.of_verdict(verdict),
            *figures.waits("before", calm),
            *figures.waits("after", after),
            Figure("the bots themselves were late by, max", 1000 * crowd.late_seconds, "ms"),
            Figure("inputs", 1000 / settings.every_ms * settings.bots, "1/s"),
            *figures.cpu("before", kill.before.since(kill.start)),
            *figures.cpu("after", kill.end.since(kill.before)),
        ],
        failure=figures.failure_of(verdict),
    )
