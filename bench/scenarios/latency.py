"""The scenario ``latency``: from a client's ``say`` to its own ``msg``, at rest and under load.

At rest: one room of two, by itself on the nodes; one client says the next as soon as it has heard
the one before, and then both speak so seldom that the nodes fall asleep in between. Under load:
half of what the nodes could take at most, which is found first: two short runs say what an input
costs the busier node, and so at how many its core would be full.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from rich.progress import Progress

from lastcall.bench.load.drive import Driven, drive
from lastcall.bench.load.messages import Job
from lastcall.bench.load.workloads import check
from lastcall.bench.nodes.servers import allow_descriptors
from lastcall.bench.peers.contenders import Site
from lastcall.bench.report.report import Figure, Report
from lastcall.bench.rooms.kinds import RELAY
from lastcall.bench.scenarios.loaded import of_load, of_own, open_site

__all__ = ["LatencySettings", "full_load", "measure_latency"]

REST_LIMITS = {"p50": 0.7, "p99": 3.0}
LOADED_LIMITS = {"p99": 15.0}
FIRST_GUESS = 2_000.0
FULL_SHARE = 0.5
LOOK_SECONDS = 3.0


class LatencySettings(msgspec.Struct, frozen=True):
    """How much of it. ``warm_seconds`` go before the ``seconds`` that count.

    ``inputs_per_second`` of the loaded part; 0 finds out what half of full load is, which takes
    nodes whose processor time is known.
    """

    rooms: int = 250
    seats: int = 4
    rest_hz: float = 20.0
    inputs_per_second: float = 0.0
    seconds: float = 10.0
    warm_seconds: float = 2.0
    processes: int = 1
    kind: str = RELAY


async def measure_latency(
    settings: LatencySettings, urls: Sequence[str], progress: Progress
) -> Report:
    """Runs the scenario. Raises ``UsageError``, ``ClusterFailed`` and ``LoadFailed``."""
    allow_descriptors(settings.rooms * settings.seats)
    async with open_site(urls) as site:
        turns = await _run(settings, site, progress, rooms=1, seats=2, speakers=1, window=1)
        rest = await _run(settings, site, progress, rooms=1, seats=2, hz=settings.rest_hz)
        wanted, notes = settings.inputs_per_second, []
        if not wanted and not urls:
            full = await _full_load(settings, site, progress)
            wanted = FULL_SHARE * full
            notes.append(f"Full load: {full:,.0f} inputs/s, by the busier node's cost of one.")
        figures = _named("at rest, in a row", turns, REST_LIMITS)
        figures += _named(f"at rest, {settings.rest_hz:g} Hz", rest, REST_LIMITS)
        if wanted:
            loaded = await _loaded(settings, site, progress, wanted, settings.seconds)
            figures += _named("half load", loaded, LOADED_LIMITS)
        else:
            notes.append("How much is half load is not known here: say --rate.")
    shown = {key: value for key, value in msgspec.to_builtins(settings).items() if key != "kind"}
    return Report("latency", shown, figures, tuple(notes))


async def _full_load(settings: LatencySettings, site: Site, progress: Progress) -> float:
    """Twice, since an input costs less where there are many."""
    full = 2 * FIRST_GUESS
    for _ in range(2):
        looked = await _loaded(settings, site, progress, full * FULL_SHARE, LOOK_SECONDS)
        full = full_load(looked.outcome.inputs, looked.cpu)
    return full


def full_load(inputs: int, cpu: dict[str, float]) -> float:
    """The inputs in a second that would fill the core of the busiest of the nodes."""
    return inputs / max(*cpu.values(), 0.01)


async def _loaded(
    settings: LatencySettings, site: Site, progress: Progress, per_second: float, seconds: float
) -> Driven:
    hz = per_second / (settings.rooms * settings.seats)
    chosen = msgspec.structs.replace(settings, seconds=seconds)
    return await _run(chosen, site, progress, rooms=settings.rooms, seats=settings.seats, hz=hz)


async def _run(
    settings: LatencySettings,
    site: Site,
    progress: Progress,
    *,
    rooms: int,
    seats: int,
    speakers: int | None = None,
    hz: float = 0.0,
    window: int = 0,
) -> Driven:
    job = Job(
        dialect="lastcall",
        urls=site.urls,
        rooms=rooms,
        seats=seats,
        speakers=speakers or seats,
        hz=hz,
        window=window,
        seconds=settings.seconds,
        warm_seconds=settings.warm_seconds,
        kind=settings.kind,
        prompt=True,
    )
    return check(await drive(job, site.account, progress, settings.processes), "latency")


def _named(when: str, driven: Driven, limits: dict[str, float]) -> list[Figure]:
    found = driven.outcome
    figures = [
        *of_own(driven, limits),
        Figure("inputs", found.inputs / found.seconds, "1/s"),
        *(
            Figure(f"{node}, of a core", 100 * used / found.seconds, "%")
            for node, used in driven.cpu.items()
        ),
        *of_load(driven),
    ]
    return [msgspec.structs.replace(one, name=f"{when}: {one.name}") for one in figures]
