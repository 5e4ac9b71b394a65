"""The scenario ``kill-api``: one of two api nodes is killed under bots that talk.

Every bot keeps a ledger, every room keeps one, and at the end all are held against each other.
"""

from __future__ import annotations

import msgspec
import trio
from rich.progress import Progress

from lastcall.bench.bots.crowd import Crowd, open_crowd
from lastcall.bench.load.load import no_collections
from lastcall.bench.nodes.fleet import Fleet, FleetPlan, Spent, open_fleet
from lastcall.bench.nodes.servers import allow_descriptors
from lastcall.bench.report.report import Figure, Report
from lastcall.bench.rooms.ledger import Verdict
from lastcall.bench.scenarios.figures import (
    failure_of,
    of_busiest,
    of_cpu,
    of_dials,
    of_times,
    of_verdict,
    of_waits,
)

__all__ = ["KillSettings", "measure_kill"]

VICTIM = "api-1"
BACK_LIMITS = {"p50": 0.5, "p99": 2.0}
BACK_SECONDS = 30.0
"""So long the bots have to come back at most."""


class KillSettings(msgspec.Struct, frozen=True):
    """How much of it. The kill comes after ``warm_seconds`` and ``calm_seconds``."""

    rooms: int = 125
    seats: int = 4
    every_ms: float = 200.0
    warm_seconds: float = 3.0
    calm_seconds: float = 7.0
    after_seconds: float = 10.0

    @property
    def bots(self) -> int:
        """How many bots there are in all."""
        return self.rooms * self.seats


async def measure_kill(settings: KillSettings, progress: Progress) -> Report:
    """Runs the scenario. Raises :class:`UsageError`, ``ClusterFailed`` and ``LoadFailed``."""
    allow_descriptors(settings.bots)
    async with open_fleet(FleetPlan()) as fleet, open_crowd(fleet.urls) as crowd:
        await crowd.seat(settings.rooms, settings.seats, progress)
        run = _Run(settings, fleet, crowd)
        with no_collections():
            async with trio.open_nursery() as nursery:
                nursery.start_soon(crowd.talk, settings.every_ms / 1000)
                await run.kill(progress)
                nursery.cancel_scope.cancel()
            verdict = await crowd.settle(progress)
    return run.report(verdict)


class _Run:
    def __init__(self, settings: KillSettings, fleet: Fleet, crowd: Crowd) -> None:
        self._settings = settings
        self._fleet = fleet
        self._crowd = crowd
        self._marks: list[Spent] = []
        self._killed_at = 0.0
        self._victims = 0

    async def kill(self, progress: Progress) -> None:
        """Before, the kill, and after."""
        settings, bar = self._settings, progress.add_task("talking, killing", total=3)
        await trio.sleep(settings.warm_seconds)
        progress.advance(bar)
        self._marks.append(self._fleet.spent())
        await trio.sleep(settings.calm_seconds)
        self._marks.append(self._fleet.spent())
        self._victims = sum(bot.node == VICTIM for bot in self._crowd.bots)
        self._killed_at = self._fleet.kill(VICTIM)
        progress.advance(bar)
        await trio.sleep(settings.after_seconds)
        self._marks.append(self._fleet.spent())
        await self._crowd.all_back(BACK_SECONDS)
        progress.advance(bar)

    def report(self, verdict: Verdict) -> Report:
        """All that was found."""
        settings, crowd = self._settings, self._crowd
        start, before, end = self._marks
        back = [one for one in crowd.returns if one.from_node == VICTIM]
        back_at = [one.back_at for one in back]
        seconds = [at - self._killed_at for at in back_at]
        calm = [took for at, took in crowd.waits if start.at <= at < before.at]
        after = [took for at, took in crowd.waits if at >= self._killed_at]
        per_second = 1000 / settings.every_ms * settings.bots
        return Report(
            scenario="kill-api",
            settings=msgspec.to_builtins(settings),
            figures=[
                Figure("bots on the node that was killed", self._victims, ""),
                *of_times("resumed after the kill", seconds, BACK_LIMITS),
                *of_dials(back),
                *of_busiest("resumes", back_at),
                Figure("other sockets lost", len(crowd.returns) - len(back), "", limit=0),
                *of_verdict(verdict),
                *of_waits("before", calm),
                *of_waits("after", after),
                Figure("the bots themselves were late by, max", 1000 * crowd.late_seconds, "ms"),
                Figure("inputs", per_second, "1/s"),
                *of_cpu("before", before.since(start)),
                *of_cpu("after", end.since(before)),
            ],
            failure=failure_of(verdict),
        )
