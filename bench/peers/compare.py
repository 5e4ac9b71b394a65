"""Runs the same work on each contender, by turns, several times over."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
from rich.progress import Progress

from lastcall.bench.load.drive import Driven, drive
from lastcall.bench.load.workloads import WORKS, Work, check, parts_micros
from lastcall.bench.nodes.servers import allow_descriptors
from lastcall.bench.peers.contenders import CONTENDERS, LASTCALL, Contender
from lastcall.bench.peers.install import CannotInstall, install, versions
from lastcall.bench.peers.ratios import Measured, costs, ratios
from lastcall.bench.report.histogram import percentiles_ms
from lastcall.bench.report.report import Report
from lastcall.errors import LastcallError

__all__ = ["CompareSettings", "Comparison", "compare"]

FOOT = """\
Cost: user and kernel time of all processes of a service, from the system's account. All are given
the same work by the same load, by turns; what was said is checked to be heard once by each.
Not equal: Lastcall's figures hold two tiers, numbered messages, history, acks, limits and
exactly-once resumes. ws and websockets have no rooms, tickets or limits; Colyseus and socket.io
have rooms in one process, delivered at most once. socket.io+redis is two processes and a broker,
whose time is in the figure. fanout, paced, round: a room repeats inputs of 100 bytes to all in it.
fanout: always 32 inputs under way; Lastcall then puts several messages to a client into one write.
paced: 100 inputs/s, so that each delivery is a write of its own.
inbound: Lastcall's session takes a `got` of 100 bytes; a peer calls a handler that does nothing.
said: inputs of 100 bytes through both tiers into rooms that do nothing.
kernel: no server, but a loop of Python that reads, writes to all in the room, and does no more."""


class CompareSettings(msgspec.Struct, frozen=True):
    """How much of it."""

    runs: int = 5
    seconds: float = 4.0
    warm_seconds: float = 2.0


class Comparison(msgspec.Struct, frozen=True):
    """All that was measured, for the table and the plot."""

    settings: CompareSettings
    measured: list[Measured]
    versions: dict[str, str]
    skipped: tuple[str, ...]

    def report(self) -> Report:
        """The table."""
        units = {work.name: work.unit for work in WORKS.values()}
        worst = max((one.late_p99_ms or 0.0 for one in self.measured), default=0.0)
        busiest = max((one.load_percent for one in self.measured), default=0.0)
        used = ", ".join(f"{name} {version}" for name, version in self.versions.items())
        return Report(
            "peers",
            msgspec.to_builtins(self.settings),
            [*ratios(self.measured), *costs(self.measured, units)],
            notes=(
                FOOT,
                f"The load: late by {worst:.1f} ms (p99) at worst, {busiest:.0f} % of a core.",
                f"Versions: {used}.",
                *self.skipped,
            ),
        )


async def compare(
    settings: CompareSettings,
    works: Sequence[str],
    peers: Sequence[str],
    cache: Path,
    progress: Progress,
) -> Comparison:
    """Measures; a peer that cannot be installed is skipped, and the report says why.

    Raises :class:`LastcallError` when Lastcall itself cannot be measured.
    """
    allow_descriptors(max(WORKS[work].rooms * WORKS[work].seats for work in works))
    skipped: dict[str, str] = {}
    there = await _installed(
        [CONTENDERS[LASTCALL], *(CONTENDERS[p] for p in peers)], cache, skipped
    )
    turns = list(_turns(settings.runs, [WORKS[work] for work in works], there))
    bar = progress.add_task("comparing", total=len(turns))
    measured = []
    for run, work, contender in turns:
        if contender.name not in skipped:
            try:
                driven = await _drive(settings, work, contender, cache, progress)
                measured.append(_measured(run, work, contender, driven))
            except* LastcallError as group:
                if contender.name == LASTCALL:
                    raise
                skipped[contender.name] = _first(group)
        progress.advance(bar)
    words = tuple(f"{name} was skipped: {why}." for name, why in skipped.items())
    return Comparison(settings, measured, versions(cache), words)


async def _installed(
    wanted: Sequence[Contender], cache: Path, skipped: dict[str, str]
) -> list[Contender]:
    for runtime in dict.fromkeys(one.runtime for one in wanted if one.runtime):
        try:
            await install(runtime, cache)
        except CannotInstall as error:
            skipped.update({one.name: str(error) for one in wanted if one.runtime == runtime})
    return [one for one in wanted if one.name not in skipped]


def _turns(
    runs: int, works: Sequence[Work], contenders: Sequence[Contender]
) -> Iterator[tuple[int, Work, Contender]]:
    """Each run has everybody once at each work, next to each other in time."""
    for run in range(1, runs + 1):
        for work in works:
            for contender in contenders:
                if work.name in contender.works:
                    yield run, work, contender


async def _drive(
    settings: CompareSettings, work: Work, contender: Contender, cache: Path, progress: Progress
) -> Driven:
    async with contender.opened(work.mode, cache) as site:
        job = work.job(site.urls, contender.dialect, settings.warm_seconds, settings.seconds)
        return check(await drive(job, site.account, progress), contender.name)


def _measured(run: int, work: Work, contender: Contender, driven: Driven) -> Measured:
    found = driven.outcome
    return Measured(
        work.name,
        contender.name,
        run,
        parts_micros(driven, work.unit),
        late_p99_ms=percentiles_ms(found.late_micros, 99)[0] if found.late_micros else None,
        load_percent=100 * found.cpu_seconds / found.seconds,
    )


def _first(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return str(error).rstrip(".")
