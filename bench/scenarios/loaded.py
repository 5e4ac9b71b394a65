"""The scenarios ``fanout``, ``inbound``, ``round`` and ``connect``: what messages and joins cost.

On nodes of our own, or with ``--url`` on anybody's cluster, whose processor time is not known here.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import msgspec
from rich.progress import Progress

from lastcall.bench.load.drive import Driven, drive
from lastcall.bench.load.messages import Job
from lastcall.bench.load.workloads import WORKS, check, parts_micros
from lastcall.bench.nodes.fleet import FleetPlan, open_fleet
from lastcall.bench.nodes.servers import allow_descriptors
from lastcall.bench.peers.contenders import Site, fleet_site
from lastcall.bench.report.histogram import percentiles_ms
from lastcall.bench.report.report import Figure, Report
from lastcall.bench.rooms.kinds import RELAY

__all__ = [
    "ConnectSettings",
    "LoadedSettings",
    "measure_connect",
    "measure_loaded",
    "of_load",
    "of_own",
    "open_site",
]

NOT_KNOWN = "The processor time of the cluster's nodes is not known here, and is left out."
JOINS_LEAST = 1_500.0
CONNECTING_AT_ONCE = 64


class LoadedSettings(msgspec.Struct, frozen=True):
    """What differs from the work's own numbers: 0 and "" leave them."""

    rooms: int = 0
    seats: int = 0
    hz: float = 0.0
    seconds: float = 5.0
    warm_seconds: float = 2.0
    processes: int = 1
    kind: str = ""


class ConnectSettings(msgspec.Struct, frozen=True):
    """How many join."""

    rooms: int = 1_000
    seats: int = 4
    processes: int = 1
    kind: str = RELAY

    @property
    def clients(self) -> int:
        """How many there are in all."""
        return self.rooms * self.seats


@asynccontextmanager
async def open_site(urls: Sequence[str], plan: FleetPlan | None = None) -> AsyncIterator[Site]:
    """Somebody's cluster, or nodes of our own inside the block. Raises ``ClusterFailed``."""
    if urls:
        yield Site(tuple(urls), dict)
    else:
        async with open_fleet(plan or FleetPlan(apis=1, games=1)) as fleet:
            yield fleet_site(fleet)


async def measure_loaded(
    name: str, settings: LoadedSettings, urls: Sequence[str], progress: Progress
) -> Report:
    """Runs the scenario of that work. Raises ``UsageError``, ``ClusterFailed``, ``LoadFailed``."""
    figures: list[Figure] = []
    # A cluster of somebody else's has no silent room.
    for one in {"inbound": ["inbound"] if urls else ["inbound", "said"]}.get(name, [name]):
        job = _job(one, settings)
        allow_descriptors(job.clients)
        async with open_site(urls) as site:
            job = msgspec.structs.replace(job, urls=site.urls)
            driven = check(await drive(job, site.account, progress, settings.processes), one)
        named = [(f"{one}: " if one != name else "", figure) for figure in _figures(one, driven)]
        figures += [msgspec.structs.replace(each, name=head + each.name) for head, each in named]
    shown = ("rooms", "seats", "speakers", "hz", "window", "warm_seconds", "seconds")
    chosen = {key: getattr(job, key) for key in shown if getattr(job, key)}
    return Report(name, chosen, figures, (NOT_KNOWN,) if urls else ())


def _job(name: str, settings: LoadedSettings) -> Job:
    work = WORKS[name]
    job = work.job((), "lastcall", settings.warm_seconds, settings.seconds)
    chosen = {
        key: getattr(settings, key)
        for key in ("rooms", "seats", "hz", "kind")
        if getattr(settings, key)
    }
    job = msgspec.structs.replace(job, **chosen)
    if settings.hz:
        job = msgspec.structs.replace(job, window=0)
    everybody = job.seats if work.speakers == work.seats else min(job.speakers, job.seats)
    return msgspec.structs.replace(job, speakers=everybody)


def _figures(name: str, driven: Driven) -> list[Figure]:
    found, unit = driven.outcome, WORKS[name].unit
    plural = {"delivery": "deliveries", "input": "inputs"}[unit]
    count = found.deliveries if unit == "delivery" else found.inputs
    figures = [
        Figure(f"CPU per {unit}, {node}", micros, "µs")
        for node, micros in parts_micros(driven, unit).items()
    ]
    if driven.cpu:
        figures.append(Figure(f"{plural} per CPU second", count / driven.cpu_seconds, "1/s"))
    figures.append(Figure("inputs", found.inputs / found.seconds, "1/s"))
    if driven.job.echo:
        figures.append(Figure("deliveries", found.deliveries / found.seconds, "1/s"))
        figures += of_own(driven)
    return [*figures, *of_load(driven)]


def of_own(driven: Driven, limits: dict[str, float] | None = None) -> list[Figure]:
    """From a say to the speaker's own message; ``limits`` in ms by ``p50``, ``p99``, ``max``."""
    words = ("p50", "p99", "max")
    times = percentiles_ms(driven.outcome.own_micros, 50, 99, 100)
    return [
        Figure(f"say to own msg, {word}", value, "ms", (limits or {}).get(word))
        for word, value in zip(words, times, strict=True)
    ]


def of_load(driven: Driven) -> list[Figure]:
    """What the load itself used, and by how much it was late: servers are not to blame for it."""
    found = driven.outcome
    used = 100 * found.cpu_seconds / found.seconds
    figures = [Figure("the load itself, of a core", used, "%")]
    if found.late_micros:
        late = percentiles_ms(found.late_micros, 99)[0]
        figures.append(Figure("… was late by, p99", late, "ms"))
    return figures


async def measure_connect(
    settings: ConnectSettings, urls: Sequence[str], progress: Progress
) -> Report:
    """Runs the scenario ``connect``. Raises as :func:`measure_loaded`."""
    allow_descriptors(settings.clients)
    async with open_site(urls) as site:
        job = Job(
            dialect="lastcall",
            urls=site.urls,
            rooms=settings.rooms,
            seats=settings.seats,
            speakers=0,
            hz=0.0,
            seconds=0.0,
            warm_seconds=0.0,
            kind=settings.kind,
            opening_at_once=CONNECTING_AT_ONCE,
        )
        driven = await drive(job, site.account, progress, settings.processes)
    joins = settings.clients / driven.seating_seconds
    return Report(
        "connect",
        {key: value for key, value in msgspec.to_builtins(settings).items() if key != "kind"},
        [
            Figure("joins", joins, "1/s", least=JOINS_LEAST),
            *(
                Figure(f"CPU per join, {node}", 1e6 * used / settings.clients, "µs")
                for node, used in driven.seating_cpu.items()
            ),
        ],
        (NOT_KNOWN,) if urls else (),
    )
