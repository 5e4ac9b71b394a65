"""The scenario ``commit``: what it costs that a room survives, against the same plain room.

The words of a room that survives leave when its standby has its step.
"""

from __future__ import annotations

import math
from typing import Any

import msgspec
from rich.progress import Progress

from lastcall.bench.load.drive import Driven, drive
from lastcall.bench.load.messages import MICROS, Job
from lastcall.bench.load.workloads import check
from lastcall.bench.nodes.fleet import MANY, WIDE_LIMITS, Fleet, FleetPlan, open_fleet
from lastcall.bench.nodes.node_metrics import read_metrics, wait_for_metrics
from lastcall.bench.nodes.proc import allow_descriptors
from lastcall.bench.report.report import Figure, Report, medians, percentiles_ms
from lastcall.bench.rooms.kinds import RELAY, SURVIVING_RELAY
from lastcall.local.admin_client import counter, open_admin_client

TIMES_LIMIT, ADDED_LIMIT_MS = 1.6, 0.8
KINDS = {"plain": RELAY, "surviving": SURVIVING_RELAY}


class CommitSettings(msgspec.Struct, frozen=True):
    """The size of a run. Each part warms up for ``warm_seconds`` and measures for ``seconds``."""

    rooms: int = 100
    seats: int = 4
    hz: float = 10.0
    seconds: float = 5.0
    warm_seconds: float = 2.0
    runs: int = 1


async def measure_commit(settings: CommitSettings, progress: Progress) -> Report:
    """Runs the scenario; every run starts new nodes.

    Raises :class:`UsageError`, ``ClusterFailed`` and ``LoadFailed``.
    """
    allow_descriptors(settings.rooms * settings.seats)
    runs = [await _run(settings, progress) for _ in range(settings.runs)]
    found = medians(runs) if settings.runs > 1 else runs[0]
    return Report("commit", msgspec.to_builtins(settings) | WIDE_LIMITS, found)


async def _run(settings: CommitSettings, progress: Progress) -> list[Figure]:
    async with open_fleet(FleetPlan(apis=1, limits=MANY, peers=True)) as fleet:
        games = [name for name, child in fleet.nodes.items() if child.tier == "game"]
        async with open_admin_client() as client:
            wanted = dict.fromkeys(games, ("lastcall_peers", len(games) - 1.0))
            await wait_for_metrics(fleet, client, wanted)
            found = await _measure(settings, fleet, progress)
            texts = [await read_metrics(fleet, client, name) for name in games]
    steps = sum(counter(text, "lastcall_commit_seconds_count") or 0 for text in texts)
    return [*found, Figure("steps that waited for a standby", steps, "", least=1)]


async def _measure(settings: CommitSettings, fleet: Fleet, progress: Progress) -> list[Figure]:
    costs, rests = {}, {}
    for name, kind in KINDS.items():
        rest = {"rooms": 1, "seats": 2, "speakers": 1, "window": 1}
        rests[name] = await _drive(settings, fleet, progress, kind=kind, **rest)
        shape = {"rooms": settings.rooms, "seats": settings.seats, "hz": settings.hz}
        costs[name] = await _drive(
            settings, fleet, progress, kind=kind, speakers=settings.seats, **shape
        )
    return [*cost_figures(costs), *rest_figures(rests)]


async def _drive(
    settings: CommitSettings, fleet: Fleet, progress: Progress, **shape: Any
) -> Driven:
    """Runs a job of the given ``shape``: fields of :class:`Job`."""
    job = Job(
        urls=tuple(fleet.urls),
        seconds=settings.seconds,
        warm_seconds=settings.warm_seconds,
        prompt=True,
        **shape,
    )
    return check(await drive(job, fleet.node_cpu, progress), "commit")


def cost_figures(driven: dict[str, Driven]) -> list[Figure]:
    """The processor time of an input on all nodes, of both kinds of rooms, and their ratio."""
    costs = {
        name: MICROS * one.cpu_seconds / one.outcome.inputs if one.outcome.inputs else math.nan
        for name, one in driven.items()
    }
    return [
        *(Figure(f"CPU per input, all nodes, {name}", cost, "µs") for name, cost in costs.items()),
        Figure("surviving costs", costs["surviving"] / costs["plain"], "times", TIMES_LIMIT),
    ]


def rest_figures(driven: dict[str, Driven]) -> list[Figure]:
    """The time from a say to the speaker's own message, of both kinds of rooms."""
    waits = {name: percentiles_ms(one.outcome.own_micros, 50)[0] for name, one in driven.items()}
    return [
        *(Figure(f"at rest: say to own msg, p50, {name}", ms, "ms") for name, ms in waits.items()),
        Figure("surviving adds", waits["surviving"] - waits["plain"], "ms", ADDED_LIMIT_MS),
    ]
