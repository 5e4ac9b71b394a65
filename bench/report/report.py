"""The results of a scenario: a table for people, JSON for later comparisons, percentiles."""

from __future__ import annotations

import math
import os
import platform
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
from hdrh.histogram import HdrHistogram  # type: ignore[import-untyped]
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

HISTOGRAM_MICROS_MAX = 60_000_000
HISTOGRAM_DIGITS = 3
HOLDS = {None: "", True: "yes", False: "NO"}


class Figure(msgspec.Struct, frozen=True):
    """One number with its unit, which should be at most ``limit`` and at least ``least``, if given.

    ``runs``: the numbers of several runs, if there were several; ``value`` is their median.
    """

    name: str
    value: float
    unit: str
    limit: float | None = None
    least: float | None = None
    runs: tuple[float, ...] = ()

    @property
    def holds(self) -> bool | None:
        """True if the value keeps the limits; None without limits."""
        if self.limit is None and self.least is None:
            return None
        enough = self.least is None or self.value >= self.least
        return enough and (self.limit is None or self.value <= self.limit)

    @property
    def limits(self) -> str:
        """The limits as the table shows them."""
        if self.least is None or self.least == self.limit:
            return "" if self.limit is None else f"{self.limit:g}"
        return (
            f"{self.least:g} or more" if self.limit is None else f"{self.least:g} to {self.limit:g}"
        )


class Report(msgspec.Struct, frozen=True):
    """All figures of one run, with its scenario and settings.

    ``notes`` are shown below the figures. ``failure`` says why the run has failed, if it has: its
    figures are still shown, and the exit code is 1.
    """

    scenario: str
    settings: dict[str, float]
    figures: list[Figure]
    notes: tuple[str, ...] = ()
    failure: str = ""


def percentile(ordered: Sequence[float], share: float) -> float:
    """The least sample of ``ordered`` (rising) that ``share`` (0 to 1) of all do not exceed.

    The nearest-rank method: always one of the samples. NaN without samples.
    """
    if not ordered:
        return math.nan
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def percentiles_ms(micros: Mapping[int, int], *shares: float) -> list[float]:
    """The times in ms at the percentiles ``shares`` (100: the maximum).

    ``micros`` are counts by µs; below 1 µs counts as 1. NaN without any.
    """
    histogram = HdrHistogram(1, HISTOGRAM_MICROS_MAX, HISTOGRAM_DIGITS)
    for value, count in micros.items():
        histogram.record_value(min(max(1, value), HISTOGRAM_MICROS_MAX), count)
    if not micros:
        return [math.nan] * len(shares)
    return [histogram.get_value_at_percentile(share) / 1000 for share in shares]


def exactly(name: str, value: float, wanted: float) -> Figure:
    """A figure that must be ``wanted``."""
    return Figure(name, value, "", limit=wanted, least=wanted)


def medians(runs: Sequence[Sequence[Figure]]) -> list[Figure]:
    """The medians of the same figures of several runs; each holds the values of all runs.

    A figure that is NaN in one run has no median.
    """
    merged = []
    for same in zip(*runs, strict=True):
        values = tuple(figure.value for figure in same)
        middle = math.nan if any(map(math.isnan, values)) else statistics.median(values)
        merged.append(msgspec.structs.replace(same[0], value=middle, runs=values))
    return merged


def show(report: Report, console: Console) -> None:
    """Prints the report as a table."""
    settings = ", ".join(f"{name} {value:g}" for name, value in report.settings.items())
    table = Table(title=f"bench {report.scenario}: {settings}", title_justify="left")
    table.add_column("figure")
    table.add_column("value", justify="right")
    table.add_column("unit")
    table.add_column("limit", justify="right")
    table.add_column("holds")
    if several := any(figure.runs for figure in report.figures):
        table.add_column("each run", justify="right")
    for figure in report.figures:
        row = [figure.name, _digits(figure.value), figure.unit, figure.limits, HOLDS[figure.holds]]
        runs = [" ".join(map(_digits, figure.runs))] if several else []
        table.add_row(*row, *runs)
    if report.figures:
        console.print(table)
    for note in report.notes:
        console.print(note, highlight=False)


def write_json(report: Report | Sequence[Report], file: Path) -> None:
    """Writes the report and the machine it was measured on; several reports as a list."""
    written = _builtins(report) if isinstance(report, Report) else list(map(_builtins, report))
    file.write_bytes(msgspec.json.format(msgspec.json.encode(written)) + b"\n")


def _builtins(report: Report) -> dict[str, object]:
    machine = {
        "python": platform.python_version(),
        "system": platform.platform(),
        "cores": os.cpu_count() or 1,
    }
    figures = [msgspec.to_builtins(one) | {"holds": one.holds} for one in report.figures]
    return {**msgspec.to_builtins(report), "figures": figures, "machine": machine}


def open_progress() -> Progress:
    """A bar on stderr, so that the table can go to a file; hidden if stderr is not a terminal."""
    console = Console(stderr=True)
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()
    return Progress(*columns, TimeElapsedColumn(), console=console, disable=not console.is_terminal)


def _digits(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
