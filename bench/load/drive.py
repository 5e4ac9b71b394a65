"""Runs a load in processes of its own, beside the servers' accounts of the same seconds."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence

import msgspec
import trio
from rich.progress import Progress

from lastcall.bench.load.load import LoadFailed
from lastcall.bench.load.messages import Failed, Go, Job, Outcome, Ready, Said, Seated, total

__all__ = ["Account", "Driven", "drive"]

Account = Callable[[], Mapping[str, float]]
"""The processor seconds that each server has used so far, by name."""

SOON_SECONDS = 0.2
END_SECONDS = 20.0
"""After the seconds that count: what is under way, and the process's end."""

_read_word = msgspec.json.Decoder(Said).decode


class Driven(msgspec.Struct, frozen=True):
    """What the load saw, and what the servers used in the same seconds (empty: not known)."""

    job: Job
    outcome: Outcome
    cpu: dict[str, float]
    seating_seconds: float
    seating_cpu: dict[str, float] = {}

    @property
    def cpu_seconds(self) -> float:
        """All servers' together."""
        return sum(self.cpu.values())


class _Process:
    """One process of the load."""

    def __init__(self, job: Job, on_seated: Callable[[int], None]) -> None:
        self._job = job
        self._on_seated = on_seated
        self._seated = 0
        self.ready = trio.Event()
        self.seconds = 0.0
        self.outcome: Outcome | None = None
        self.talk_at = trio.Event()
        self.begin = 0.0

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
                nursery.start_soon(self._start, process.stdin)
                rest = b""
                async for data in process.stdout:
                    *lines, rest = (rest + data).split(b"\n")
                    for line in lines:
                        self._hear(_read_word(line))
                nursery.cancel_scope.cancel()
            if self.outcome is None:
                raise LoadFailed("a process of the load ended without a result")
        finally:
            process.kill()  # it has said all
            with trio.CancelScope(shield=True):
                await process.wait()

    async def _start(self, stdin: trio.abc.SendStream) -> None:
        await self.talk_at.wait()
        await stdin.send_all(msgspec.json.encode(Go(self.begin)) + b"\n")

    def _hear(self, word: Said) -> None:
        match word:
            case Seated(clients):
                self._on_seated(clients - self._seated)
                self._seated = clients
            case Ready(seconds):
                self._on_seated(self._job.clients - self._seated)
                self.seconds = seconds
                self.ready.set()
            case Outcome():
                self.outcome = word
            case Failed(sentence):
                raise LoadFailed(sentence)


async def drive(job: Job, account: Account, progress: Progress, processes: int = 1) -> Driven:
    """Runs ``job`` in so many processes, at most one for each room.

    Raises :class:`LoadFailed`, and whatever ``account`` does.
    """
    processes = min(processes, job.rooms)
    name = f"{job.dialect} {job.rooms}x{job.seats}"
    seats = progress.add_task(f"{name}: seating", total=job.clients)
    at_first = account()
    try:
        async with trio.open_nursery() as nursery:
            parts = [
                _Process(job.share(index, processes), lambda more: progress.advance(seats, more))
                for index in range(processes)
            ]
            for part in parts:
                nursery.start_soon(part.run)
            for part in parts:
                await part.ready.wait()
            seating = _difference(at_first, account())
            progress.remove_task(seats)
            cpu = await _talk(parts, job, account, progress, name)
            nursery.cancel_scope.deadline = trio.current_time() + END_SECONDS
    finally:
        _remove(progress, seats)
    outcomes = [part.outcome for part in parts if part.outcome is not None]
    if len(outcomes) < len(parts):
        raise LoadFailed(f"the load did not come to an end within {END_SECONDS:g} s")
    slowest = max(part.seconds for part in parts)
    return Driven(job, total(outcomes), cpu, slowest, seating)


async def _talk(
    parts: Sequence[_Process], job: Job, account: Account, progress: Progress, name: str
) -> dict[str, float]:
    begin = time.monotonic() + SOON_SECONDS
    for part in parts:
        part.begin = begin
        part.talk_at.set()
    bar = progress.add_task(f"{name}: talking (s)", total=round(job.warm_seconds + job.seconds))
    try:
        count_from = begin + job.warm_seconds
        await _sleep_until(count_from)
        before = account()
        progress.update(bar, completed=round(job.warm_seconds))
        for second in range(1, int(job.seconds)):
            await _sleep_until(count_from + second)
            progress.advance(bar)
        await _sleep_until(count_from + job.seconds)
        return _difference(before, account())
    finally:
        _remove(progress, bar)


def _difference(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
    return {name: used - before[name] for name, used in after.items() if name in before}


def _remove(progress: Progress, task: object) -> None:
    for one in progress.tasks:
        if one.id == task:
            progress.remove_task(one.id)


async def _sleep_until(monotonic: float) -> None:
    await trio.sleep(max(0.0, monotonic - time.monotonic()))
