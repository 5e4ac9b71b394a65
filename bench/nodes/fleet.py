"""Several nodes of each tier as processes, each api node on a port of its own.

``bench.nodes.servers`` has one of each behind one port; here clients choose whom they dial, nodes
are killed on purpose, and game nodes may run elsewhere, such as in a network namespace.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

import msgspec
import trio

from lastcall.bench.nodes.proc import cpu_seconds, resident_bytes
from lastcall.errors import ClusterFailed
from lastcall.local.admin_client import open_admin_client
from lastcall.local.child import Child, node_command
from lastcall.local.cluster import wait_serving
from lastcall.policy import DrainPolicy

__all__ = ["Fleet", "FleetPlan", "Place", "Spent", "open_fleet"]

READY_SECONDS = 20.0

T = TypeVar("T")


class Place(msgspec.Struct, frozen=True):
    """Where the game nodes run: the host that each tier is reached at by the other, and what a
    game node's command is run under.
    """

    api_host: str = "127.0.0.1"
    game_host: str = "127.0.0.1"
    under: tuple[str, ...] = ()


class FleetPlan(msgspec.Struct, frozen=True):
    """How many nodes, and how the api nodes drain."""

    apis: int = 2
    games: int = 2
    rooms: str = "lastcall.bench.rooms"
    drain: DrainPolicy = DrainPolicy()
    clients: str = "finish"
    place: Place = Place()
    api_env: tuple[str, ...] = ()
    """What the api nodes find in their environment besides, such as ``LASTCALL_PUMP=off``."""


class Spent(msgspec.Struct, frozen=True):
    """Processor seconds of each living node, by name, and when they were read."""

    at: float
    cpu: dict[str, float]

    def since(self, before: Spent) -> dict[str, float]:
        """Percent of a core between the two, for each node that was alive at both."""
        seconds = self.at - before.at
        return {
            name: 100 * (cpu - before.cpu[name]) / seconds
            for name, cpu in self.cpu.items()
            if name in before.cpu
        }


class Fleet:
    """The nodes. Made by :func:`open_fleet`."""

    def __init__(self, plan: FleetPlan, nursery: trio.Nursery, body: trio.CancelScope) -> None:
        self._plan = plan
        self._nursery = nursery
        self._body = body
        self.nodes: dict[str, Child] = {}
        """By name: ``api-1``, ``game-1`` and so on."""
        self.crashed: list[Child] = []

    @property
    def urls(self) -> list[str]:
        """Where clients connect, in the order of the api nodes."""
        return [
            f"ws://{child.ready.listen}/"
            for child in self.nodes.values()
            if child.tier == "api" and child.ready is not None
        ]

    def stop(self, name: str) -> float:
        """SIGTERM; returns when, in the seconds of ``time.monotonic``."""
        now = time.monotonic()
        self.nodes[name].stop()
        return now

    def kill(self, name: str) -> float:
        """SIGKILL; returns when, in the seconds of ``time.monotonic``."""
        child = self.nodes[name]
        child.serving = False
        now = time.monotonic()
        child.kill()
        return now

    def spent(self) -> Spent:
        """What each living node has used so far, and this process, the bots'."""
        return Spent(time.monotonic(), self._read(cpu_seconds) | {"bots": time.process_time()})

    def resident(self) -> dict[str, int]:
        """The bytes of each living node that are in memory."""
        return self._read(resident_bytes)

    def _read(self, account: Callable[[int], T]) -> dict[str, T]:
        found = {}
        for child in self.nodes.values():
            if not child.ended.is_set():
                with contextlib.suppress(OSError):  # it may be ending now
                    found[child.name] = account(child.pid)
        return found

    async def start(self) -> None:
        """Starts all, game nodes first; returns when all serve. Raises :class:`ClusterFailed`
        and :class:`lastcall.errors.UsageError`.
        """
        with trio.move_on_after(READY_SECONDS) as limit:
            async with open_admin_client() as client:
                for tier, count in (("game", self._plan.games), ("api", self._plan.apis)):
                    children = [self._launch(tier, number) for number in range(1, count + 1)]
                    for child in children:
                        await wait_serving(child, client)
                        child.serving = True
        if limit.cancelled_caught:
            words = "\n".join(child.last_output() for child in self.nodes.values())
            raise ClusterFailed(f"not ready within {READY_SECONDS:g} s:\n{words}")

    def _launch(self, tier: str, number: int) -> Child:
        name = f"{tier}-{number}"
        env = ("env", *self._plan.api_env) if self._plan.api_env else ()
        under = self._plan.place.under if tier == "game" else env
        command = [*under, *node_command(tier, "--name", name, *self._arguments(tier))]
        child = self.nodes[name] = Child(name, tier, command)
        self._nursery.start_soon(self._see_through, child)
        return child

    def _arguments(self, tier: str) -> list[str]:
        plan, drain, place = self._plan, self._plan.drain, self._plan.place
        games = [child.ready for child in self.nodes.values() if child.ready is not None]
        of_tier = {
            "api": [
                *("--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"),
                *("--feed", f"tcp://{place.api_host}:0", "--clients", plan.clients),
                *("--games", ",".join(ready.listen for ready in games)),
            ],
            "game": [
                *("--listen", f"tcp://{place.game_host}:0", "--admin", f"{place.game_host}:0"),
                *("--rooms", plan.rooms),
            ],
        }
        return [
            *of_tier[tier],
            *("--log-format", "json", "--lame-duck", "0"),
            *("--grace", f"{drain.grace_seconds:g}"),
            *("--farewell", f"{drain.farewell_seconds:g}"),
            *("--spread", f"{drain.spread_seconds:g}"),
        ]

    async def _see_through(self, child: Child) -> None:
        await child.run()
        if child.serving:
            self.crashed.append(child)
            self._body.cancel()


@asynccontextmanager
async def open_fleet(plan: FleetPlan) -> AsyncIterator[Fleet]:
    """Nodes on free ports that serve inside the block; those left at its end are killed.

    Raises :class:`ClusterFailed` when one does not come up, or ends and was not told to.
    """
    body = trio.CancelScope()
    async with trio.open_nursery() as nursery:
        fleet = Fleet(plan, nursery, body)
        try:
            await fleet.start()
            with body:
                yield fleet
        finally:
            for child in fleet.nodes.values():
                child.serving = False
            nursery.cancel_scope.cancel()
    for child in fleet.crashed:
        raise ClusterFailed(
            f"{child.how_it_ended()} during the bench. Its last output:\n{child.last_output()}"
        )
