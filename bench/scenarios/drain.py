"""The scenario ``drain``: nodes that drain, several times over."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection

import msgspec
from rich.progress import Progress

from lastcall.bench.nodes.fleet import WIDE_LIMITS
from lastcall.bench.report.report import Figure, Report, medians
from lastcall.bench.scenarios.moving import measure_moving
from lastcall.bench.scenarios.readiness import measure_gone, measure_readiness
from lastcall.bench.scenarios.rolling import measure_roll

PARTS = ("ready", "gone", "move", "roll")


class DrainSettings(msgspec.Struct, frozen=True):
    """The size of the run."""

    runs: int = 3
    connected: int = 2_000
    idle: int = 10_000
    spread_seconds: float = 5.0
    bots: int = 200


async def measure_drain(
    settings: DrainSettings, parts: Collection[str], progress: Progress
) -> Report:
    """Runs ``parts`` of the scenario; every run starts new nodes.

    Raises :class:`UsageError`, ``ClusterFailed`` and ``LoadFailed``.
    """
    steps = [step for part, step in _steps(settings) if part in parts]
    bar = progress.add_task("draining", total=settings.runs * len(steps))
    runs: list[list[Figure]] = []
    for _ in range(settings.runs):
        figures: list[Figure] = []
        for step in steps:
            figures += await step()
            progress.advance(bar)
        runs.append(figures)
    return Report("drain", msgspec.to_builtins(settings) | WIDE_LIMITS, medians(runs))


def _steps(settings: DrainSettings) -> list[tuple[str, Callable[[], Awaitable[list[Figure]]]]]:
    return [
        ("ready", lambda: measure_readiness("api", settings.connected)),
        ("ready", lambda: measure_readiness("game", settings.connected)),
        ("gone", lambda: measure_gone("game")),
        ("gone", lambda: measure_gone("api")),
        ("move", lambda: measure_moving(settings.idle, settings.spread_seconds)),
        ("roll", lambda: measure_roll(settings.bots)),
    ]
