"""Runs a load in separate processes, and reads the servers' processor time meanwhile."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence

import msgspec
import trio
from rich.progress import Progress

from lastcall.bench.load.messages import (
    Failed,
    FromGenerator,
    Go,
    Job,
    LoadFailed,
    Outcome,
    Ready,
    Seated,
    total,
)

ReadCpu = Callable[[], Mapping[str, float]]
"""Returns the processor seconds that each server has used so far, by name."""

START_SECONDS = 0.2
"""The time from the last seat to the beginning of the talk: all processes must know it before."""
END_SECONDS = 20.0
"""The limit for the inputs in flight and the end of the processes, after the measured seconds."""

_decode = msgspec.json.Decoder(FromGenerator).decode


class Driven(msgspec.Struct, frozen=True):
    """The load's results, and the servers' processor seconds meanwhile (empty if unknown)."""

    job: Job
    outcome: Outcome
    cpu: dict[str, float]
    seating_seconds: float
    seating_cpu: dict[str, float] = {}

    @property
    def cpu_seconds(self) -> float:
        """The processor time of all servers."""
        return sum(self.cpu.values())


class _Process:
    """One process of the load."""

    def __init__(self, job: Job, on_seated: Callable[[int], None]) -> None:
        self._job = job
        self._on_seated = on_seated
        self._seated = 0
        self._begin = 0.0
        self._started = trio.Event()
        self.ready = trio.Event()
        self.seating_seconds = 0.0
        self.outcomes: list[Outcome] = []
        """Holds one outcome once the process has ended."""

    async def run(self) -> None:
        command = [sys.executable, "-m", "lastcall.bench.load.generator"]
        process = await trio.lowlevel.open_process(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            await process.stdin.send_all(msgspec.json.encode(self._job) + b"\n")
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._send_go, process.stdin)
                rest = b""
                async for data in process.stdout:
                    *lines, rest = (rest + data).split(b"\n")
                    for line in lines:
                        self._on_message(_decode(line))
                nursery.cancel_scope.cancel()
            if not self.outcomes:
                raise LoadFailed("a process of the load ended without a result")
        finally:
            process.kill()  # it has nothing more to report
            with trio.CancelScope(shield=True):
                await process.wait()

    def start(self, begin: float) -> None:
        """Lets the process talk from ``begin`` on."""
        self._begin = begin
        self._started.set()

    async def _send_go(self, stdin: trio.abc.SendStream) -> None:
        await self._started.wait()
        await stdin.send_all(msgspec.json.encode(Go(self._begin)) + b"\n")

    def _on_message(self, message: FromGenerator) -> None:
        match message:
            case Seated(clients):
                self._on_seated(clients - self._seated)
                self._seated = clients
            case Ready(seconds):
                self._on_seated(self._job.clients - self._seated)
                self.seating_seconds = seconds
                self.ready.set()
            case Outcome():
                self.outcomes.append(message)
            case Failed(reason):
                raise LoadFailed(reason)


async def drive(job: Job, read_cpu: ReadCpu, progress: Progress, processes: int = 1) -> Driven:
    """Runs ``job`` in at most ``processes`` processes, and in at most one for each room.

    Raises :class:`LoadFailed`, and whatever ``read_cpu`` does.
    """
    processes = min(processes, job.rooms)
    name = f"{job.protocol} {job.rooms}x{job.seats}"
    bar = progress.add_task(f"{name}: seating", total=job.clients)
    parts = [
        _Process(job.share(index, processes), lambda more: progress.advance(bar, more))
        for index in range(processes)
    ]
    before = read_cpu()
    try:
        async with trio.open_nursery() as nursery:
            for part in parts:
                nursery.start_soon(part.run)
            for part in parts:
                await part.ready.wait()
            seating_cpu = _difference(before, read_cpu())
            progress.update(bar, visible=False)
            cpu = await _talk(parts, job, read_cpu, progress, name)
            nursery.cancel_scope.deadline = trio.current_time() + END_SECONDS
    finally:
        progress.remove_task(bar)
    outcomes = [outcome for part in parts for outcome in part.outcomes]
    if len(outcomes) < len(parts):
        raise LoadFailed(f"the load did not come to an end within {END_SECONDS:g} s")
    slowest = max(part.seating_seconds for part in parts)
    return Driven(job, total(outcomes), cpu, slowest, seating_cpu)


async def _talk(
    parts: Sequence[_Process], job: Job, read_cpu: ReadCpu, progress: Progress, name: str
) -> dict[str, float]:
    begin = time.monotonic() + START_SECONDS
    for part in parts:
        part.start(begin)
    bar = progress.add_task(f"{name}: talking (s)", total=round(job.warm_seconds + job.seconds))
    try:
        measured_from = begin + job.warm_seconds
        await _sleep_until(measured_from)
        before = read_cpu()
        progress.update(bar, completed=round(job.warm_seconds))
        for second in range(1, int(job.seconds)):
            await _sleep_until(measured_from + second)
            progress.advance(bar)
        await _sleep_until(measured_from + job.seconds)
        return _difference(before, read_cpu())
    finally:
        progress.remove_task(bar)


def _difference(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
    return {name: used - before[name] for name, used in after.items() if name in before}


async def _sleep_until(monotonic: float) -> None:
    await trio.sleep(max(0.0, monotonic - time.monotonic()))
