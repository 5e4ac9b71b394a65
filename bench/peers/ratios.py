"""What was measured of whom, and how it stands to the limits."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

import msgspec

from lastcall.bench.peers.contenders import LASTCALL
from lastcall.bench.report.report import Figure

__all__ = ["LIMITS", "Limit", "Measured", "costs", "median_parts", "ratios"]


class Measured(msgspec.Struct, frozen=True):
    """One contender at one work in one run: µs of processor time for each delivery or input."""

    work: str
    contender: str
    run: int
    parts: dict[str, float]
    late_p99_ms: float | None = None
    """By how much the load was late; None where nothing was due, flat out."""
    load_percent: float = 0.0

    @property
    def micros(self) -> float:
        """All processes' together."""
        return sum(self.parts.values())


class Limit(msgspec.Struct, frozen=True):
    """``least`` so many times a peer's deliveries per processor second, or at ``most`` so many
    times its cost.
    """

    work: str
    peer: str
    aim: float
    least: float | None = None
    most: float | None = None

    def ratio(self, ours: float, theirs: float) -> float:
        """Of the costs of one delivery or input."""
        return theirs / ours if self.least is not None else ours / theirs

    def allowed(self, theirs: float) -> float:
        """What ours may cost at most."""
        return theirs / self.least if self.least is not None else theirs * (self.most or 0.0)

    @property
    def name(self) -> str:
        """What is compared."""
        what = "deliveries per CPU s" if self.least is not None else "CPU"
        return f"{self.work}: {what} / {self.peer}'s"


LIMITS = (
    Limit("fanout", "ws", aim=1.8, least=1.2),
    Limit("paced", "ws", aim=1.8, least=1.2),
    Limit("inbound", "ws", aim=0.6, most=0.8),
    Limit("round", "colyseus", aim=0.75, most=1.1),
    Limit("round", "socket.io+redis", aim=0.3, most=0.5),
)


def costs(measured: Sequence[Measured], units: dict[str, str]) -> list[Figure]:
    """The medians, by work and contender, in the order in which they came."""
    keys = dict.fromkeys((one.work, one.contender) for one in measured)
    figures = []
    for work, contender in keys:
        runs = tuple(one.micros for one in _of(measured, work, contender))
        name = f"{work}: {contender}"
        middle = statistics.median(runs)
        figures.append(Figure(name, middle, f"µs/{units[work]}", runs=runs))
        parts = median_parts(measured, work, contender)
        if len(parts) > 1:
            figures += [Figure(f"… {part}", micros, "µs") for part, micros in parts.items()]
    return figures


def ratios(measured: Sequence[Measured], limits: Sequence[Limit] = LIMITS) -> list[Figure]:
    """The median of the ratios of each run; a limit whose peer was not measured has none."""
    figures = []
    for limit in limits:
        ours = {one.run: one.micros for one in _of(measured, limit.work, LASTCALL)}
        theirs = {one.run: one.micros for one in _of(measured, limit.work, limit.peer)}
        runs = tuple(limit.ratio(ours[run], theirs[run]) for run in ours if run in theirs)
        if runs:
            middle = statistics.median(runs)
            figures.append(Figure(limit.name, middle, "x", limit.most, limit.least, runs))
    return figures


def median_parts(measured: Sequence[Measured], work: str, contender: str) -> dict[str, float]:
    """The medians of each process's part; empty when it was not measured."""
    runs = _of(measured, work, contender)
    names = dict.fromkeys(name for one in runs for name in one.parts)
    return {name: statistics.median(one.parts[name] for one in runs) for name in names}


def _of(measured: Sequence[Measured], work: str, contender: str) -> list[Measured]:
    return [one for one in measured if (one.work, one.contender) == (work, contender)]
