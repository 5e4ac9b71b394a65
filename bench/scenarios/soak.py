"""The scenario ``soak``: clients come and go for minutes, and the nodes' memory does not grow.

Each node's resident memory is read once a second. After the warm-up it must stay where it is.

CPython takes memory from the system by the MiB, which is 2 % of an idle node, and rarely gives it
back: a machine that stalls for a second lets a second's visits come at once, and that would look
like growth. So in the first half of the warm-up the visits of two seconds come at once, each
second: the nodes have had more at once than later. In its second half the places of lost players
go.
"""

from __future__ import annotations

import itertools
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence

import msgspec
import trio
from rich.progress import Progress

from lastcall.bench.bots.visitor import VISITS, Visit
from lastcall.bench.load.messages import LoadFailed
from lastcall.bench.nodes.fleet import MANY, WIDE_LIMITS, Fleet, FleetPlan, open_fleet
from lastcall.bench.nodes.proc import allow_descriptors
from lastcall.bench.report.report import Figure, Report
from lastcall.bench.scenarios.figures import MIB
from lastcall.errors import LastcallError

GROWTH_LIMIT_PERCENT = 2.0
READING_SECONDS = 1.0
VISIT_SECONDS = 30.0
"""A visit that takes longer has failed."""
COMPLAINTS = 5


class SoakSettings(msgspec.Struct, frozen=True):
    """The duration of the run, and its visits a second."""

    seconds: float = 600.0
    warm_seconds: float = 120.0
    per_second: float = 100.0

    def starts(self) -> list[float]:
        """The second in which each visit begins."""
        rate, burst = self.per_second, self.warm_seconds / 2
        fast = [float(turn // (2 * rate)) for turn in range(int(burst * 2 * rate))]
        rest = range(int((burst + self.seconds) * rate))
        return fast + [burst + turn / rate for turn in rest]


async def measure_soak(settings: SoakSettings, progress: Progress) -> Report:
    """Runs the scenario. Raises :class:`UsageError` and ``ClusterFailed``."""
    allow_descriptors(int(settings.per_second * VISIT_SECONDS))
    async with open_fleet(FleetPlan(apis=1, games=1, limits=MANY)) as fleet:
        run = _Run(settings, fleet, progress)
        await run.run()
    return run.report()


class _Run:
    def __init__(self, settings: SoakSettings, fleet: Fleet, progress: Progress) -> None:
        self._settings = settings
        self._fleet = fleet
        self._progress = progress
        self._starts = settings.starts()
        self._bar = progress.add_task("visits", total=len(self._starts))
        self._url = fleet.urls[0]
        self._readings: list[Mapping[str, int]] = []
        self._done: Counter[str] = Counter()
        self._complaints: list[str] = []
        self._late_seconds = 0.0

    async def run(self) -> None:
        """Begins the visits, and reads the memory meanwhile."""
        begin = trio.current_time()
        async with trio.open_nursery() as reading:
            reading.start_soon(self._read, begin + self._settings.warm_seconds)
            async with trio.open_nursery() as visits:
                for start, visit in zip(self._starts, itertools.cycle(VISITS), strict=False):
                    await trio.sleep_until(begin + start)
                    late_seconds = trio.current_time() - begin - start
                    self._late_seconds = max(self._late_seconds, late_seconds)
                    visits.start_soon(self._visit, visit)
            reading.cancel_scope.cancel()

    async def _read(self, begin: float) -> None:
        for turn in itertools.count():
            await trio.sleep_until(begin + turn * READING_SECONDS)
            self._readings.append(self._fleet.resident())

    async def _visit(self, visit: Visit) -> None:
        try:
            with trio.fail_after(VISIT_SECONDS):
                await visit(self._url)
            self._done[visit.__name__] += 1
        except (LastcallError, OSError, trio.TooSlowError) as error:
            self._complaints.append(f"{visit.__name__}: {error or 'too slow'}")
        self._progress.advance(self._bar)

    def report(self) -> Report:
        """The growth of each node, and what the clients did."""
        figures = [
            figure
            for name in self._fleet.nodes
            for figure in memory_figures(name, [one[name] for one in self._readings])
        ]
        figures.append(Figure("visits began late, at most", self._late_seconds, "s"))
        figures += [
            Figure(f"visits: {name.replace('_', ' ')}", count, "")
            for name, count in sorted(self._done.items())
        ]
        return Report(
            "soak",
            msgspec.to_builtins(self._settings) | WIDE_LIMITS,
            figures,
            failure=self._failure(),
        )

    def _failure(self) -> str:
        if not self._complaints:
            return ""
        some = "; ".join(self._complaints[:COMPLAINTS])
        return f"{len(self._complaints)} of {len(self._starts)} visits failed: {some}"


def memory_figures(node: str, readings: Sequence[int]) -> list[Figure]:
    """The growth of ``node`` from the first tenth of ``readings`` to the last, by their medians.

    Raises :class:`LoadFailed` without a reading.
    """
    if not readings:
        raise LoadFailed("the run was too short for a reading of the memory")
    tenth = max(1, len(readings) // 10)
    first, last = statistics.median(readings[:tenth]), statistics.median(readings[-tenth:])
    growth = 100 * (last / first - 1)
    return [
        Figure(f"{node}: growth of its memory", growth, "%", GROWTH_LIMIT_PERCENT),
        Figure(f"{node}: memory after the warm-up", first / MIB, "MiB"),
        Figure(f"{node}: memory at the end", last / MIB, "MiB"),
        Figure(f"{node}: most memory", max(readings) / MIB, "MiB"),
    ]
