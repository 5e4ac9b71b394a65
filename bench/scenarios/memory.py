"""The scenario ``memory``: the memory that an idle client and an idle room take.

The resident memory of each node is read when it is ready and at rest, and again when all clients
have had a seat for a while and have said nothing; the difference is divided by clients and rooms.
"""

from __future__ import annotations

import msgspec
import trio
from rich.progress import Progress

from lastcall.bench.bots.crowd import open_crowd
from lastcall.bench.nodes.fleet import MANY, WIDE_LIMITS, Fleet, open_pair
from lastcall.bench.nodes.proc import allow_descriptors
from lastcall.bench.report.report import Figure, Report
from lastcall.bench.scenarios.figures import MIB
from lastcall.bench.scenarios.readiness import LOUNGE

KIB = 1024
CLIENT_LIMIT_KIB = 25.0
ROOM_LIMIT_KIB = 12.0


class MemorySettings(msgspec.Struct, frozen=True):
    """The size of the run."""

    rooms: int = 2_000
    players: int = 2
    settle_seconds: float = 3.0

    @property
    def clients(self) -> int:
        """The number of all clients."""
        return self.rooms * self.players


async def measure_memory(settings: MemorySettings, progress: Progress) -> Report:
    """Runs the scenario. Raises :class:`UsageError`, ``ClusterFailed`` and ``LoadFailed``."""
    allow_descriptors(settings.clients)
    async with open_pair(limits=MANY) as fleet:
        before = await _at_rest(fleet, settings)
        async with open_crowd(fleet.urls) as crowd:
            await crowd.seat(settings.clients, settings.players, progress, new_room=LOUNGE)
            after = await _at_rest(fleet, settings)
            crowd.check_undisturbed()
    return _report(settings, before, after)


async def _at_rest(fleet: Fleet, settings: MemorySettings) -> dict[str, int]:
    await trio.sleep(settings.settle_seconds)
    return fleet.resident()


def _report(settings: MemorySettings, before: dict[str, int], after: dict[str, int]) -> Report:
    per_client = (after["api-1"] - before["api-1"]) / settings.clients / KIB
    per_room = (after["game-1"] - before["game-1"]) / settings.rooms / KIB
    return Report(
        scenario="memory",
        settings=msgspec.to_builtins(settings) | WIDE_LIMITS,
        figures=[
            Figure("api node, per client", per_client, "KiB", CLIENT_LIMIT_KIB),
            Figure("game node, per room", per_room, "KiB", ROOM_LIMIT_KIB),
            Figure("api node, before clients", before["api-1"] / MIB, "MiB"),
            Figure("api node, with clients", after["api-1"] / MIB, "MiB"),
            Figure("game node, before rooms", before["game-1"] / MIB, "MiB"),
            Figure("game node, with rooms", after["game-1"] / MIB, "MiB"),
        ],
    )
