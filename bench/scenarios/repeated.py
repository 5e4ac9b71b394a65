"""Runs a scenario several times, and reports the medians."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

import msgspec
from rich.progress import Progress

from lastcall.bench.bots.crowd import BotSettings
from lastcall.bench.nodes.fleet import WIDE_LIMITS
from lastcall.bench.nodes.proc import allow_descriptors
from lastcall.bench.report.report import Figure, Report, medians
from lastcall.bench.rooms.ledger import Verdict
from lastcall.bench.scenarios import figures


class RepeatedSettings(BotSettings, frozen=True):
    """The settings of a scenario that is run ``runs`` times."""

    runs: int = 1


S = TypeVar("S", bound=RepeatedSettings)


async def repeated(
    scenario: str,
    settings: S,
    run: Callable[[S, Progress], Awaitable[tuple[list[Figure], Verdict]]],
    progress: Progress,
) -> Report:
    """The report of all runs; the first one that failed says why."""
    allow_descriptors(settings.bots)
    runs, failures = [], []
    for _ in range(settings.runs):
        found, verdict = await run(settings, progress)
        runs.append(found)
        failures.append(figures.failure_of(verdict))
    shown = msgspec.to_builtins(settings) | WIDE_LIMITS
    found = medians(runs) if settings.runs > 1 else runs[0]
    return Report(scenario, shown, found, failure=next(filter(None, failures), ""))
