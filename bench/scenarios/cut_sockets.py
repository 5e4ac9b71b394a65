"""The scenario ``cut-sockets``: bots talk while their sockets are cut, a tenth each second.

With ``loss_percent`` the network between the tiers loses packets as well.
"""

from __future__ import annotations

from collections import Counter
from contextlib import AsyncExitStack

import msgspec
import trio
from rich.progress import Progress

from lastcall.bench.bots.crowd import BotSettings, Crowd, open_crowd
from lastcall.bench.bots.cutter import Cutter, find_cutter
from lastcall.bench.bots.settle import settle
from lastcall.bench.nodes.fleet import CpuReading, Fleet, FleetPlan, GamePlacement, open_fleet
from lastcall.bench.nodes.lossy_network import NotAllowed, open_lossy_network
from lastcall.bench.nodes.proc import allow_descriptors, no_collections
from lastcall.bench.report.report import Figure, Report
from lastcall.bench.scenarios import figures

SCENARIO = "cut-sockets"


class CutSettings(BotSettings, frozen=True):
    """The size of the run. ``share_percent`` of the sockets are cut each second."""

    every_ms: float = 200.0
    share_percent: float = 10.0
    loss_percent: float = 0.0
    seconds: int = 30
    warm_seconds: float = 3.0


async def measure_cut(settings: CutSettings, progress: Progress) -> Report:
    """Runs the scenario; if no lossy network can be set up, the report says so and is empty.

    Raises :class:`UsageError`, ``ClusterFailed`` and ``LoadFailed``.
    """
    allow_descriptors(settings.bots)
    async with AsyncExitStack() as stack:
        placement, network = GamePlacement(), None
        if settings.loss_percent:
            try:
                lossy = open_lossy_network(settings.loss_percent)
                network = await stack.enter_async_context(lossy)
            except NotAllowed as error:
                note = f"Skipped, since no lossy network can be set up here: {error}"
                return Report(SCENARIO, msgspec.to_builtins(settings), [], notes=(note,))
            placement = network.placement
        fleet = await stack.enter_async_context(open_fleet(FleetPlan(placement=placement)))
        crowd = await stack.enter_async_context(open_crowd(fleet.urls))
        cutter = await find_cutter()
        await crowd.seat(settings.bots, settings.seats, progress)
        with no_collections():
            async with trio.open_nursery() as nursery:
                nursery.start_soon(crowd.talk, settings.every_ms / 1000)
                await trio.sleep(settings.warm_seconds)
                cuts = await _cut(settings, fleet, crowd, cutter, progress)
                nursery.cancel_scope.cancel()
            await crowd.wait_all_back(figures.BACK_SECONDS)
            verdict = await settle(crowd, progress)
        packets = await network.packets() if network else None
    return Report(
        scenario=SCENARIO,
        settings=msgspec.to_builtins(settings),
        figures=[
            *_return_figures(cuts, crowd, packets),
            *figures.of_verdict(verdict),
            *figures.waits("meanwhile", [took for at, took in crowd.waits if at >= cuts.begin.at]),
            Figure("the bots themselves were late by, max", 1000 * crowd.late_seconds, "ms"),
            *figures.cpu("meanwhile", cuts.end.since(cuts.begin)),
        ],
        notes=(f"How: {cutter.description}.", _close_codes(crowd)),
        failure=figures.failure_of(verdict),
    )


class _Cuts(msgspec.Struct, frozen=True):
    """The number of sockets that were cut, and the processor readings around it."""

    count: int
    begin: CpuReading
    end: CpuReading


async def _cut(
    settings: CutSettings, fleet: Fleet, crowd: Crowd, cutter: Cutter, progress: Progress
) -> _Cuts:
    """Cuts once a second, however long the cutting itself takes."""
    bar = progress.add_task("talking, cutting (s)", total=settings.seconds)
    count, reading, begin = 0, fleet.cpu(), trio.current_time()
    for second in range(1, 1 + settings.seconds):
        chosen = crowd.sample_connected(settings.share_percent / 100)
        for bot in chosen:
            bot.cut_on_purpose = True
        await cutter.cut(chosen)
        count += len(chosen)
        await trio.sleep_until(begin + second)
        progress.advance(bar)
    return _Cuts(count, reading, fleet.cpu())


def _return_figures(cuts: _Cuts, crowd: Crowd, packets: tuple[int, int] | None) -> list[Figure]:
    """``packets``: the number of dropped packets and of all packets, if the network is lossy."""
    seconds = [one.back_at - one.lost_at for one in crowd.returns]
    found = [
        Figure("sockets cut", cuts.count, ""),
        Figure("places that came back", len(crowd.returns), ""),
        Figure(
            "sockets lost otherwise", sum(not one.on_purpose for one in crowd.returns), "", limit=0
        ),
        *figures.times("loss to resumed", seconds, None if packets else figures.BACK_LIMITS),
        *figures.dials(crowd.returns),
    ]
    if packets:
        dropped, total = packets
        found.append(Figure("packets between the tiers", total, ""))
        found.append(Figure("… of which lost", 100 * dropped / max(1, total), "%"))
    return found


def _close_codes(crowd: Crowd) -> str:
    codes = Counter(one.code for one in crowd.returns)
    counts = ", ".join(f"{code} {count} times" for code, count in sorted(codes.items()))
    return f"The bots' sockets ended with: {counts or 'nothing'} (1006: without a close frame)."
