"""The scenario ``connect``: the cost of a client that connects and joins."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from rich.progress import Progress

from lastcall.bench.load.drive import Driven, ReadCpu, drive
from lastcall.bench.load.messages import MICROS, Job
from lastcall.bench.nodes.fleet import WIDE_LIMITS
from lastcall.bench.nodes.proc import allow_descriptors
from lastcall.bench.peers.contenders import open_service
from lastcall.bench.report.report import Figure, Report
from lastcall.bench.rooms.kinds import RELAY
from lastcall.bench.scenarios.loaded import NOT_KNOWN

JOINS_LEAST = 1_500.0
CONNECTING_AT_ONCE = 64


class ConnectSettings(msgspec.Struct, frozen=True):
    """The size of the run."""

    rooms: int = 1_000
    seats: int = 4
    processes: int = 1
    kind: str = RELAY

    @property
    def clients(self) -> int:
        """The number of all clients."""
        return self.rooms * self.seats


async def measure_connect(
    settings: ConnectSettings, urls: Sequence[str], progress: Progress
) -> Report:
    """Runs ``connect``. Raises ``UsageError``, ``ClusterFailed`` and ``LoadFailed``."""
    allow_descriptors(settings.clients)
    async with open_service(urls) as service:
        driven = await _connect(settings, service.urls, service.read_cpu, progress)
    joins = settings.clients / driven.seating_seconds
    shown = {key: value for key, value in msgspec.to_builtins(settings).items() if key != "kind"}
    return Report(
        "connect",
        shown | ({} if urls else WIDE_LIMITS),
        [
            Figure("joins", joins, "1/s", least=JOINS_LEAST),
            *(
                Figure(f"CPU per join, {node}", MICROS * used / settings.clients, "µs")
                for node, used in driven.seating_cpu.items()
            ),
        ],
        (NOT_KNOWN,) if urls else (),
    )


async def _connect(
    settings: ConnectSettings, urls: tuple[str, ...], read_cpu: ReadCpu, progress: Progress
) -> Driven:
    job = Job(
        urls=urls,
        rooms=settings.rooms,
        seats=settings.seats,
        kind=settings.kind,
        opening_at_once=CONNECTING_AT_ONCE,
    )
    return await drive(job, read_cpu, progress, settings.processes)
