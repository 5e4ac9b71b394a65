"""The measured costs, their medians, and their ratios against the limits."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

import msgspec

from lastcall.bench.peers.contenders import LASTCALL, SERVE
from lastcall.bench.report.report import Figure


class Measured(msgspec.Struct, frozen=True):
    """One contender at one workload in one run: µs of processor time for each delivery or input."""

    workload: str = msgspec.field(name="work")
    contender: str
    run: int
    parts: dict[str, float]
    late_p99_ms: float | None = None
    """The delay of the load's inputs; None if it had no pace to keep."""
    load_percent: float = 0.0

    @property
    def micros(self) -> float:
        """The cost of all processes."""
        return sum(self.parts.values())


class Limit(msgspec.Struct, frozen=True):
    """At ``least`` a multiple of a peer's deliveries per processor second, or at ``most`` a
    multiple of its cost; ``ours`` is the contender that is held to it.
    """

    workload: str
    peer: str
    aim: float
    least: float | None = None
    most: float | None = None
    ours: str = LASTCALL

    def ratio(self, ours: float, theirs: float) -> float:
        """The ratio of the costs of one delivery or input."""
        return theirs / ours if self.least is not None else ours / theirs

    def allowed(self, theirs: float) -> float:
        """The most that ours may cost."""
        return theirs / self.least if self.least is not None else theirs * (self.most or 0.0)

    @property
    def name(self) -> str:
        """The compared figure."""
        what = "deliveries per CPU s" if self.least is not None else "CPU"
        whose = "" if self.ours == LASTCALL else f"{self.ours}'s "
        return f"{self.workload}: {whose}{what} / {self.peer}'s"


LIMITS = (
    Limit("fanout", "ws", aim=1.8, least=1.2),
    Limit("paced", "ws", aim=1.8, least=1.2),
    Limit("inbound", "ws", aim=0.6, most=0.8),
    Limit("round", "colyseus", aim=0.75, most=1.1),
    Limit("round", "colyseus", aim=0.8, most=1.0, ours=SERVE),
    Limit("round", "socket.io+redis", aim=0.3, most=0.5),
)


def costs(measured: Sequence[Measured], units: dict[str, str]) -> list[Figure]:
    """The medians, by workload and contender, in the order of measurement."""
    keys = dict.fromkeys((one.workload, one.contender) for one in measured)
    figures = []
    for workload, contender in keys:
        runs = tuple(one.micros for one in runs_of(measured, workload, contender))
        name, unit = f"{workload}: {contender}", f"µs/{units[workload]}"
        figures.append(Figure(name, statistics.median(runs), unit, runs=runs))
        parts = median_parts(measured, workload, contender)
        if len(parts) > 1:
            figures += [Figure(f"… {part}", micros, "µs") for part, micros in parts.items()]
    return figures


def ratios(measured: Sequence[Measured], limits: Sequence[Limit] = LIMITS) -> list[Figure]:
    """The median of the ratios of each run; a limit whose peer was not measured has none."""
    figures = []
    for limit in limits:
        ours = {one.run: one.micros for one in runs_of(measured, limit.workload, limit.ours)}
        theirs = {one.run: one.micros for one in runs_of(measured, limit.workload, limit.peer)}
        runs = tuple(limit.ratio(ours[run], theirs[run]) for run in ours if run in theirs)
        if runs:
            middle = statistics.median(runs)
            figures.append(Figure(limit.name, middle, "x", limit.most, limit.least, runs))
    return figures


def median_parts(measured: Sequence[Measured], workload: str, contender: str) -> dict[str, float]:
    """The medians of each process's part; empty if the contender was not measured."""
    runs = runs_of(measured, workload, contender)
    names = dict.fromkeys(name for one in runs for name in one.parts)
    return {name: statistics.median(one.parts[name] for one in runs) for name in names}


def runs_of(measured: Sequence[Measured], workload: str, contender: str) -> list[Measured]:
    """The runs of one contender at one workload."""
    return [one for one in measured if (one.workload, one.contender) == (workload, contender)]
