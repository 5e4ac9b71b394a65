"""The scenario ``latency``: from a client's ``say`` to its own ``msg``, at rest and under load.

At rest there is one room of two. First one client says the next input as soon as it has heard the
previous one; then both speak so seldom that the nodes fall asleep in between. The loaded part has
half as many inputs as the nodes could take. Two short runs find that number first: they measure
the cost of an input on the busier node, and so the number of inputs that would fill its core.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from rich.progress import Progress

from lastcall.bench.load.drive import Driven, drive
from lastcall.bench.load.messages import Job
from lastcall.bench.load.workloads import check
from lastcall.bench.nodes.fleet import WIDE_LIMITS
from lastcall.bench.nodes.proc import allow_descriptors
from lastcall.bench.peers.contenders import Service, open_serve, open_service
from lastcall.bench.report.report import Figure, Report
from lastcall.bench.rooms.kinds import RELAY
from lastcall.bench.scenarios.loaded import load_figures, own_message_figures, renamed

REST_LIMITS, SERVE_REST_LIMITS = {"p50": 0.7, "p99": 3.0}, {"p50": 0.35, "p99": 3.0}
LOADED_LIMITS = {"p99": 15.0}
FIRST_GUESS = 2_000.0
FULL_SHARE = 0.5
PROBE_SECONDS = 3.0


class LatencySettings(msgspec.Struct, frozen=True):
    """The size of the run. Each part warms up for ``warm_seconds`` and measures for ``seconds``.

    ``inputs_per_second`` is for the loaded part; 0 measures half of full load, which needs nodes
    whose processor time is known.
    """

    rooms: int = 250
    seats: int = 4
    rest_hz: float = 20.0
    inputs_per_second: float = 0.0
    seconds: float = 10.0
    warm_seconds: float = 2.0
    processes: int = 1
    kind: str = RELAY
    serve: bool = False
    """Whether the node is ``lastcall serve``, and not one of each tier."""


async def measure_latency(
    settings: LatencySettings, urls: Sequence[str], progress: Progress
) -> Report:
    """Runs the scenario. Raises ``UsageError``, ``ClusterFailed`` and ``LoadFailed``."""
    allow_descriptors(settings.rooms * settings.seats)
    async with open_serve() if settings.serve else open_service(urls) as service:
        in_a_row = await _run(settings, service, progress, seats=2, speakers=1, window=1)
        rest = await _run(settings, service, progress, seats=2, speakers=2, hz=settings.rest_hz)
        wanted, notes = settings.inputs_per_second, []
        if not wanted and not urls:
            full = await _full_load(settings, service, progress)
            wanted = FULL_SHARE * full
            notes.append(f"Full load: {full:,.0f} inputs/s, by the busier node's cost of one.")
        limits = SERVE_REST_LIMITS if settings.serve else REST_LIMITS
        figures = _named("at rest, in a row", in_a_row, limits)
        figures += _named(f"at rest, {settings.rest_hz:g} Hz", rest, REST_LIMITS)
        if wanted:
            loaded = await _loaded(settings, service, progress, wanted, settings.seconds)
            figures += _named("half load", loaded, LOADED_LIMITS)
        else:
            notes.append("Half of full load is unknown here: give it with --rate.")
    shown = {key: value for key, value in msgspec.to_builtins(settings).items() if key != "kind"}
    shown |= {} if urls else WIDE_LIMITS
    return Report("latency", shown, figures, tuple(notes))


async def _full_load(settings: LatencySettings, service: Service, progress: Progress) -> float:
    """Measures twice, since an input costs less among many."""
    full = 2 * FIRST_GUESS
    for _ in range(2):
        probed = await _loaded(settings, service, progress, full * FULL_SHARE, PROBE_SECONDS)
        full = full_load(probed.outcome.inputs, probed.cpu)
    return full


def full_load(inputs: int, cpu: dict[str, float]) -> float:
    """The inputs per second that would fill the core of the busiest node."""
    return inputs / max(*cpu.values(), 0.01)


async def _loaded(
    settings: LatencySettings,
    service: Service,
    progress: Progress,
    per_second: float,
    seconds: float,
) -> Driven:
    rooms, seats = settings.rooms, settings.seats
    shape = {"rooms": rooms, "seats": seats, "speakers": seats, "hz": per_second / rooms / seats}
    chosen = msgspec.structs.replace(settings, seconds=seconds)
    return await _run(chosen, service, progress, **shape)


async def _run(
    settings: LatencySettings, service: Service, progress: Progress, **shape: Any
) -> Driven:
    """Runs a job of the given ``shape``: fields of :class:`Job`."""
    job = Job(
        urls=service.urls,
        seconds=settings.seconds,
        warm_seconds=settings.warm_seconds,
        kind=settings.kind,
        prompt=True,
        **shape,
    )
    return check(await drive(job, service.read_cpu, progress, settings.processes), "latency")


def _named(when: str, driven: Driven, limits: dict[str, float]) -> list[Figure]:
    found = driven.outcome
    figures = [
        *own_message_figures(driven, limits),
        Figure("inputs", found.inputs / found.seconds, "1/s"),
        *(
            Figure(f"{node}, of a core", 100 * used / found.seconds, "%")
            for node, used in driven.cpu.items()
        ),
        *load_figures(driven),
    ]
    return renamed(when, figures)
