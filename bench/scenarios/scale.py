"""The scenario ``scale``: the cost of an input with more and more rooms, and more api nodes."""

from __future__ import annotations

import msgspec
from rich.progress import Progress

from lastcall.bench.load.drive import Driven, drive
from lastcall.bench.load.messages import Job
from lastcall.bench.load.workloads import check, parts_micros
from lastcall.bench.nodes.fleet import WIDE_LIMITS
from lastcall.bench.nodes.proc import allow_descriptors
from lastcall.bench.peers.contenders import open_service
from lastcall.bench.report.report import Figure, Report
from lastcall.bench.rooms.kinds import RELAY

GROWTH_LIMIT = 1.2
OPENING_AT_ONCE = 64


class ScaleSettings(msgspec.Struct, frozen=True):
    """The same inputs per second over more and more rooms, then over more and more api nodes."""

    rooms: tuple[int, ...] = (100, 1_000, 10_000)
    apis: tuple[int, ...] = (1, 2, 4)
    seats: int = 1
    inputs_per_second: float = 2_000.0
    seconds: float = 5.0
    warm_seconds: float = 2.0
    processes: int = 1


async def measure_scale(settings: ScaleSettings, progress: Progress) -> Report:
    """Runs the scenario. Raises ``UsageError``, ``ClusterFailed`` and ``LoadFailed``."""
    allow_descriptors(max(settings.rooms) * settings.seats)
    middle = sorted(settings.rooms)[len(settings.rooms) // 2]
    plans = [(rooms, 1) for rooms in settings.rooms]
    plans += [(middle, apis) for apis in settings.apis if apis > 1]
    bar = progress.add_task("scaling", total=len(plans))
    figures, room_costs = [], []
    for rooms, apis in plans:
        driven = await _run(settings, rooms, apis, progress)
        parts = parts_micros(driven, "input")
        if apis == 1:
            room_costs.append(sum(parts.values()))
        figures += _figures(f"{rooms:,} rooms, {apis} api", parts)
        progress.advance(bar)
    name = f"{settings.rooms[0]:,} to {settings.rooms[-1]:,} rooms: grows to"
    figures.append(Figure(name, growth(room_costs), "x", GROWTH_LIMIT))
    shown = {key: getattr(settings, key) for key in ("seats", "inputs_per_second", "seconds")}
    return Report("scale", shown | WIDE_LIMITS, figures)


def growth(costs: list[float]) -> float:
    """The highest cost as a multiple of the first."""
    return max(costs) / costs[0]


async def _run(settings: ScaleSettings, rooms: int, apis: int, progress: Progress) -> Driven:
    async with open_service((), apis=apis) as service:
        job = Job(
            urls=service.urls,
            rooms=rooms,
            seats=settings.seats,
            speakers=settings.seats,
            hz=settings.inputs_per_second / (rooms * settings.seats),
            seconds=settings.seconds,
            warm_seconds=settings.warm_seconds,
            kind=RELAY,
            opening_at_once=OPENING_AT_ONCE,
        )
        return check(await drive(job, service.read_cpu, progress, settings.processes), "scale")


def _figures(when: str, parts: dict[str, float]) -> list[Figure]:
    tiers = {
        tier: sum(micros for name, micros in parts.items() if name.startswith(tier))
        for tier in ("api", "game")
    }
    return [
        Figure(f"{when}: CPU per input", sum(tiers.values()), "µs"),
        *(Figure(f"… {tier} tier", micros, "µs") for tier, micros in tiers.items()),
    ]
