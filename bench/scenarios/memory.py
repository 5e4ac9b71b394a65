"""The scenario ``memory``: what an idle client and an idle room take.

Resident memory of each node is read when it is ready and at rest, and again when every client has
its seat and nothing has been said for a while; the difference is divided by clients and rooms.
"""

from __future__ import annotations

import msgspec
import trio
from rich.progress import Progress

from lastcall.bench.load.load import Load
from lastcall.bench.nodes.proc import resident_bytes
from lastcall.bench.nodes.servers import Servers, allow_descriptors, open_servers
from lastcall.bench.report.report import Figure, Report

__all__ = ["MemorySettings", "measure_memory"]

KIB = 1024
MIB = 1024 * 1024
CLIENT_LIMIT_KIB = 25.0
ROOM_LIMIT_KIB = 12.0
OPENING_AT_ONCE = 16


class MemorySettings(msgspec.Struct, frozen=True):
    """How much of it."""

    rooms: int = 2_000
    players: int = 2
    settle_seconds: float = 3.0

    @property
    def clients(self) -> int:
        """How many clients there are in all."""
        return self.rooms * self.players


class _Resident(msgspec.Struct, frozen=True):
    api: int
    game: int


async def measure_memory(settings: MemorySettings, progress: Progress) -> Report:
    """Runs the scenario. Raises :class:`UsageError`, ``ClusterFailed`` and ``LoadFailed``."""
    allow_descriptors(settings.clients)
    async with open_servers() as servers, trio.open_nursery() as nursery:
        before = await _at_rest(servers, settings)
        load = Load(servers.url)
        nursery.start_soon(load.run)
        await _seat_all(load, settings, progress)
        after = await _at_rest(servers, settings)
        nursery.cancel_scope.cancel()
    return _report(settings, before, after)


async def _at_rest(servers: Servers, settings: MemorySettings) -> _Resident:
    await trio.sleep(settings.settle_seconds)
    return _Resident(resident_bytes(servers.api), resident_bytes(servers.game))


async def _seat_all(load: Load, settings: MemorySettings, progress: Progress) -> None:
    task = progress.add_task("seating clients", total=settings.clients)
    some = trio.CapacityLimiter(OPENING_AT_ONCE)

    async def fill_room() -> None:
        async with some:
            first = await load.connect()
            await first.join(kind="lounge")
            progress.advance(task)
            for _ in range(settings.players - 1):
                await (await load.connect()).join(room=first.room)
                progress.advance(task)

    async with trio.open_nursery() as nursery:
        for _ in range(settings.rooms):
            nursery.start_soon(fill_room)


def _report(settings: MemorySettings, before: _Resident, after: _Resident) -> Report:
    per_client = (after.api - before.api) / settings.clients / KIB
    per_room = (after.game - before.game) / settings.rooms / KIB
    return Report(
        scenario="memory",
        settings=msgspec.to_builtins(settings),
        figures=[
            Figure("api node, per client", per_client, "KiB", CLIENT_LIMIT_KIB),
            Figure("game node, per room", per_room, "KiB", ROOM_LIMIT_KIB),
            Figure("api node, before clients", before.api / MIB, "MiB"),
            Figure("api node, with clients", after.api / MIB, "MiB"),
            Figure("game node, before rooms", before.game / MIB, "MiB"),
            Figure("game node, with rooms", after.game / MIB, "MiB"),
        ],
    )
