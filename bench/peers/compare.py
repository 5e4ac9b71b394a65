"""Runs the same workloads on each contender, in turn, several times over."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
from rich.progress import Progress

from lastcall.bench.load.drive import Driven, drive
from lastcall.bench.load.workloads import WORKLOADS, Workload, check, parts_micros
from lastcall.bench.nodes.proc import allow_descriptors
from lastcall.bench.peers.contenders import CONTENDERS, LASTCALL, Contender
from lastcall.bench.peers.install import CannotInstall, install, versions
from lastcall.bench.peers.ratios import Measured, costs, ratios
from lastcall.bench.report.report import Report, percentiles_ms
from lastcall.errors import LastcallError

FOOT = """\
Cost: user and kernel time of all processes of a service, as the system accounts it. All get the
same work from the same load, in turn; every text is checked to be heard once by each client.
Not equal: Lastcall's figures hold two tiers, numbered messages, history, acks, limits and
exactly-once resumes. ws and websockets have no rooms, tickets or limits; Colyseus and socket.io
have rooms in one process, delivered at most once. socket.io+redis is two processes and a broker,
whose time is in the figure. fanout, paced, round: a room repeats inputs of 100 bytes to all in it.
fanout: always 32 inputs in flight; Lastcall then puts several messages to a client into one write.
paced: 100 inputs/s, so that each delivery is a write of its own.
inbound: Lastcall's session takes a `got` of 100 bytes; a peer calls a handler that does nothing.
said: inputs of 100 bytes through both tiers into rooms that do nothing.
kernel: not a server, but a Python loop that reads, writes to all in the room, and does no more."""


class CompareSettings(msgspec.Struct, frozen=True):
    """The size of the run."""

    runs: int = 5
    seconds: float = 4.0
    warm_seconds: float = 2.0


class Comparison(msgspec.Struct, frozen=True):
    """Everything that was measured, for the table and the plot."""

    settings: CompareSettings
    measured: list[Measured]
    versions: dict[str, str]
    skipped: tuple[str, ...]

    def report(self) -> Report:
        """The report, for the table."""
        units = {workload.name: workload.unit for workload in WORKLOADS.values()}
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
    workloads: Sequence[str],
    peers: Sequence[str],
    cache: Path,
    progress: Progress,
) -> Comparison:
    """Measures in turn; a peer that cannot be installed is skipped, and the report says why.

    Raises :class:`LastcallError` if Lastcall itself cannot be measured.
    """
    chosen = [WORKLOADS[name] for name in workloads]
    allow_descriptors(max(workload.job.clients for workload in chosen))
    skipped: dict[str, str] = {}
    installed = await _installed([CONTENDERS[name] for name in (LASTCALL, *peers)], cache, skipped)
    turns = list(_turns(settings.runs, chosen, installed))
    bar = progress.add_task("comparing", total=len(turns))
    measured = []
    for run, workload, contender in turns:
        if contender.name not in skipped:
            try:
                driven = await _drive(settings, workload, contender, cache, progress)
                measured.append(_measured(run, workload, contender, driven))
            except* LastcallError as group:
                if contender.name == LASTCALL:
                    raise
                skipped[contender.name] = _first_error(group)
        progress.advance(bar)
    notes = tuple(f"{name} was skipped: {reason}." for name, reason in skipped.items())
    return Comparison(settings, measured, versions(cache), notes)


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
    runs: int, workloads: Sequence[Workload], contenders: Sequence[Contender]
) -> Iterator[tuple[int, Workload, Contender]]:
    """Each run measures all contenders once at each workload, one directly after the other."""
    for run in range(1, runs + 1):
        for workload in workloads:
            for contender in contenders:
                if workload.name in contender.workloads:
                    yield run, workload, contender


async def _drive(
    settings: CompareSettings,
    workload: Workload,
    contender: Contender,
    cache: Path,
    progress: Progress,
) -> Driven:
    async with contender.open(workload.mode, cache) as service:
        job = msgspec.structs.replace(
            workload.job,
            protocol=contender.protocol,
            urls=service.urls,
            seconds=settings.seconds,
            warm_seconds=settings.warm_seconds,
        )
        return check(await drive(job, service.read_cpu, progress), contender.name)


def _measured(run: int, workload: Workload, contender: Contender, driven: Driven) -> Measured:
    found = driven.outcome
    return Measured(
        workload.name,
        contender.name,
        run,
        parts_micros(driven, workload.unit),
        late_p99_ms=percentiles_ms(found.late_micros, 99)[0] if found.late_micros else None,
        load_percent=100 * found.cpu_seconds / found.seconds,
    )


def _first_error(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return str(error).rstrip(".")
