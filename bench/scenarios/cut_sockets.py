"""The scenario ``cut-sockets``: bots talk while their sockets are cut, a tenth each second.

With ``loss_percent`` the wire between the tiers loses packets as well.
"""

from __future__ import annotations

from collections import Counter
from contextlib import AsyncExitStack

import msgspec
import trio
from rich.progress import Progress

from lastcall.bench.bots.crowd import Crowd, open_crowd
from lastcall.bench.bots.cutter import Cutter, find_cutter
from lastcall.bench.load.load import no_collections
from lastcall.bench.nodes.fleet import Fleet, FleetPlan, Place, Spent, open_fleet
from lastcall.bench.nodes.lossy_network import NotAllowed, Wire, open_lossy_wire
from lastcall.bench.nodes.servers import allow_descriptors
from lastcall.bench.report.report import Figure, Report
from lastcall.bench.rooms.ledger import Verdict
from lastcall.bench.scenarios.figures import (
    failure_of,
    of_cpu,
    of_dials,
    of_times,
    of_verdict,
    of_waits,
)

__all__ = ["CutSettings", "measure_cut"]

SCENARIO = "cut-sockets"
BACK_LIMITS = {"p50": 0.5, "p99": 2.0}
BACK_SECONDS = 30.0


class CutSettings(msgspec.Struct, frozen=True):
    """How much of it. Each second ``share_percent`` of the sockets are cut, for ``seconds``."""

    rooms: int = 125
    seats: int = 4
    every_ms: float = 200.0
    share_percent: float = 10.0
    loss_percent: float = 0.0
    seconds: int = 30
    warm_seconds: float = 3.0

    @property
    def bots(self) -> int:
        """How many bots there are in all."""
        return self.rooms * self.seats


async def measure_cut(settings: CutSettings, progress: Progress) -> Report:
    """Runs the scenario; where the wire can't lose packets, the report says so and is empty.

    Raises :class:`UsageError`, ``ClusterFailed`` and ``LoadFailed``.
    """
    allow_descriptors(settings.bots)
    async with AsyncExitStack() as stack:
        place, wire = Place(), None
        if settings.loss_percent:
            try:
                wire = await stack.enter_async_context(open_lossy_wire(settings.loss_percent))
            except NotAllowed as error:
                note = f"Skipped, since no wire that loses packets can be set up here: {error}"
                return Report(SCENARIO, msgspec.to_builtins(settings), [], notes=(note,))
            place = wire.place
        fleet = await stack.enter_async_context(open_fleet(FleetPlan(place=place)))
        crowd = await stack.enter_async_context(open_crowd(fleet.urls))
        run = _Run(settings, fleet, crowd, await find_cutter())
        return await run.run(wire, progress)


class _Run:
    def __init__(self, settings: CutSettings, fleet: Fleet, crowd: Crowd, cutter: Cutter) -> None:
        self._settings = settings
        self._fleet = fleet
        self._crowd = crowd
        self._cutter = cutter
        self._cuts = 0
        self._begin = self._end = Spent(0.0, {})

    async def run(self, wire: Wire | None, progress: Progress) -> Report:
        """From the first seat to the report."""
        settings, crowd = self._settings, self._crowd
        await crowd.seat(settings.rooms, settings.seats, progress)
        with no_collections():
            async with trio.open_nursery() as nursery:
                nursery.start_soon(crowd.talk, settings.every_ms / 1000)
                await trio.sleep(settings.warm_seconds)
                await self._cut(progress)
                nursery.cancel_scope.cancel()
            await crowd.all_back(BACK_SECONDS)
            verdict = await crowd.settle(progress)
        return self._report(verdict, await wire.dropped() if wire else None)

    async def _cut(self, progress: Progress) -> None:
        """By the second, whatever the cutting itself takes."""
        bar = progress.add_task("talking, cutting (s)", total=self._settings.seconds)
        self._begin, begin = self._fleet.spent(), trio.current_time()
        for second in range(1, 1 + self._settings.seconds):
            chosen = self._crowd.some_with_sockets(self._settings.share_percent / 100)
            for bot in chosen:
                bot.cut_on_purpose = True
            await self._cutter.cut(chosen)
            self._cuts += len(chosen)
            await trio.sleep_until(begin + second)
            progress.advance(bar)
        self._end = self._fleet.spent()

    def _report(self, verdict: Verdict, dropped: tuple[int, int] | None) -> Report:
        settings, crowd = self._settings, self._crowd
        seconds = [one.back_at - one.lost_at for one in crowd.returns]
        otherwise = sum(not one.on_purpose for one in crowd.returns)
        lossy = dropped is not None
        waits = [took for at, took in crowd.waits if at >= self._begin.at]
        codes = Counter(one.code for one in crowd.returns)
        told = ", ".join(f"{code} {count} times" for code, count in sorted(codes.items()))
        wire = []
        if dropped is not None:
            wire = [
                Figure("packets between the tiers", dropped[1], ""),
                Figure("… of which lost", 100 * dropped[0] / max(1, dropped[1]), "%"),
            ]
        return Report(
            scenario=SCENARIO,
            settings=msgspec.to_builtins(settings),
            figures=[
                Figure("sockets cut", self._cuts, ""),
                Figure("places that came back", len(crowd.returns), ""),
                Figure("sockets lost otherwise", otherwise, "", limit=0),
                *of_times("loss to resumed", seconds, None if lossy else BACK_LIMITS),
                *of_dials(crowd.returns),
                *wire,
                *of_verdict(verdict),
                *of_waits("meanwhile", waits),
                Figure("the bots themselves were late by, max", 1000 * crowd.late_seconds, "ms"),
                *of_cpu("meanwhile", self._end.since(self._begin)),
            ],
            notes=(
                f"How: {self._cutter.words}.",
                f"The bots' sockets ended with: {told or 'nothing'} (1006: without a word).",
            ),
            failure=failure_of(verdict),
        )
