"""The versions of the author's code, whose processes are played by the test."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import msgspec
import trio
from trio.testing import wait_all_tasks_blocked

from lastcall.bus.address import HostPort
from lastcall.dev.versions import Versions
from lastcall.local.child import Child
from lastcall.local.cluster import LocalCluster, open_cluster
from lastcall.local.plan import Plan
from tests.dev.fake_processes import FakeProcess

FREE = HostPort("127.0.0.1", 0)


class Desk:
    """Notes what the author is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda child, *_, **__: self.told.append(f"{child.name} {name}")


class Run:
    """A cluster of one api node, and a game node for each version."""

    def __init__(self, cluster: LocalCluster, processes: dict[str, list[FakeProcess]]) -> None:
        self.cluster = cluster
        self.desk = Desk()
        self.versions: Versions
        self._processes = processes

    def child(self, name: str) -> Child:
        return next(child for child in self.cluster.children if child.name == name)

    def process(self, name: str) -> FakeProcess:
        tier, _, number = name.partition("-")
        return self._processes[tier][int(number) - 1]

    async def is_ready(self, name: str) -> None:
        await self.process(name).say("node.ready", name=name, listen="tcp://a:1", admin="a:2")

    async def loads(self, name: str, *others: str) -> None:
        """The author saves; the version serves, and the others know it."""
        self.versions.saved()
        await wait_all_tasks_blocked()
        for other in others:
            self.versions.on_output(
                msgspec.json.encode({"event": "link.up", "game": name, "node": other})
            )
        await self.is_ready(name)

    def has_left(self, name: str) -> None:
        event = {"event": "dev.left", "node": name, "left": 0, "moved": 1}
        self.versions.on_output(msgspec.json.encode(event))


@asynccontextmanager
async def running() -> AsyncIterator[Run]:
    processes: dict[str, list[FakeProcess]] = {"api": [], "game": []}

    def spawn_of(tier: str):
        async def spawn(*given: object) -> FakeProcess:
            processes[tier].append(FakeProcess())
            return processes[tier][-1]

        return spawn

    def on_death(child: Child) -> None:
        if child.tier == "game":
            run.versions.on_death(child)

    plan = Plan(1, 1, client=FREE, admin=FREE)
    spawns = {tier: spawn_of(tier) for tier in processes}
    async with open_cluster(plan, on_death, spawns=spawns) as cluster:
        run = Run(cluster, processes)
        async with trio.open_nursery() as nursery:
            run.versions = Versions(cluster, run.desk, lambda _folders: None, nursery)
            await wait_all_tasks_blocked()
            await run.is_ready("api-1")
            run.child("api-1").serving = True
            yield run
            nursery.cancel_scope.cancel()


async def test_a_version_that_ends_just_when_it_is_to_stop_has_died(autojump_clock) -> None:
    async with running() as run:
        await run.loads("game-1", "api-1")
        await run.loads("game-2", "api-1", "game-1")
        assert run.desk.told == ["game-1 loaded", "game-2 loaded"]
        old = run.child("game-1")
        run.has_left("game-1")
        old.ended.set()
        run.versions.on_death(old)
        await wait_all_tasks_blocked()
        assert run.desk.told[2:] == ["game-1 left", "game-1 died"]
        await run.loads("game-3", "api-1", "game-2")
        assert run.desk.told[-1] == "game-3 loaded"


async def test_a_dead_api_node_is_left_to_those_who_start_it_again(autojump_clock) -> None:
    async with running() as run:
        await run.loads("game-1", "api-1")
        api = run.child("api-1")
        await run.process("api-1").end(-signal.SIGKILL)
        assert run.cluster.dead() == [api]
        await run.loads("game-2", "game-1")
        assert run.desk.told[-1] == "game-2 loaded"
        run.cluster.forget(api)
