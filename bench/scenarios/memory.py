"""The scenario ``memory``: the memory that an idle client, an idle room, and a standby's image of
an idle room take.

The resident memory of each node is read when it is ready and at rest, and again when all clients
have had a seat for a while and have said nothing; the difference is divided by clients and rooms.
For the images, the rooms survive, and another game node comes: it is compared with the first one
before there were rooms.
"""

from __future__ import annotations

import msgspec
import trio
from rich.progress import Progress

from lastcall.bench.bots.crowd import open_crowd
from lastcall.bench.nodes.fleet import MANY, WIDE_LIMITS, Fleet, FleetPlan, open_fleet, open_pair
from lastcall.bench.nodes.node_metrics import wait_for_metrics
from lastcall.bench.nodes.proc import allow_descriptors
from lastcall.bench.report.report import Figure, Report
from lastcall.bench.scenarios.figures import MIB
from lastcall.bench.scenarios.readiness import LOUNGE
from lastcall.ids import KindName
from lastcall.local.admin_client import open_admin_client
from lastcall.wire import frames

KIB = 1024
CLIENT_LIMIT_KIB = 25.0
ROOM_LIMIT_KIB = 12.0
IMAGE_LIMIT_KIB = 8.0
SURVIVING = frames.Join(kind=KindName("tictactoe"), new=True)


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
    shown = msgspec.to_builtins(settings) | WIDE_LIMITS
    found = [*await _idle(settings, progress), *await _images(settings, progress)]
    return Report("memory", shown, found)


async def _idle(settings: MemorySettings, progress: Progress) -> list[Figure]:
    """The memory of clients and rooms on two nodes."""
    async with open_pair(limits=MANY) as fleet:
        before = await _at_rest(fleet, settings)
        async with open_crowd(fleet.urls) as crowd:
            await crowd.seat(settings.clients, settings.players, progress, new_room=LOUNGE)
            after = await _at_rest(fleet, settings)
            crowd.check_undisturbed()
    per_client = (after["api-1"] - before["api-1"]) / settings.clients / KIB
    per_room = (after["game-1"] - before["game-1"]) / settings.rooms / KIB
    return [
        Figure("api node, per client", per_client, "KiB", CLIENT_LIMIT_KIB),
        Figure("game node, per room", per_room, "KiB", ROOM_LIMIT_KIB),
        Figure("api node, before clients", before["api-1"] / MIB, "MiB"),
        Figure("api node, with clients", after["api-1"] / MIB, "MiB"),
        Figure("game node, before rooms", before["game-1"] / MIB, "MiB"),
        Figure("game node, with rooms", after["game-1"] / MIB, "MiB"),
    ]


async def _images(settings: MemorySettings, progress: Progress) -> list[Figure]:
    """The memory of rooms that survive, and of their images on another node."""
    plan = FleetPlan(apis=1, games=1, rooms="lastcall.game.examples", limits=MANY, peers=True)
    async with open_fleet(plan) as fleet, open_crowd(fleet.urls) as crowd:
        before = (await _at_rest(fleet, settings))["game-1"]
        await crowd.seat(settings.clients, settings.players, progress, new_room=SURVIVING)
        await fleet.add_game()
        async with open_admin_client() as client:
            wanted = {"game-1": ("lastcall_rooms_protected", float(settings.rooms))}
            await wait_for_metrics(fleet, client, wanted)
        after = await _at_rest(fleet, settings)
        crowd.check_undisturbed()
    per_room, per_image = (
        (after[name] - before) / settings.rooms / KIB for name in ("game-1", "game-2")
    )
    return [
        Figure("game node, per room that survives", per_room, "KiB"),
        Figure("its standby, per image", per_image, "KiB", IMAGE_LIMIT_KIB),
    ]


async def _at_rest(fleet: Fleet, settings: MemorySettings) -> dict[str, int]:
    await trio.sleep(settings.settle_seconds)
    return fleet.resident()
