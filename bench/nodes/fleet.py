"""The nodes under test: processes of both tiers, each api node on a port of its own.

Clients choose which node they dial, nodes are stopped or killed on purpose, and game nodes may run
elsewhere, such as in a network namespace.
"""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import TypeVar

import click
import msgspec
import trio

from lastcall.bench.nodes.proc import cpu_seconds, resident_bytes
from lastcall.errors import ClusterFailed
from lastcall.limits import Limits, Rate, write_limits
from lastcall.local.admin_client import open_admin_client
from lastcall.local.child import Child, node_command
from lastcall.local.private_folder import private_folder
from lastcall.local.starting import wait_serving
from lastcall.policy import DrainPolicy
from lastcall.reasons import ExitCode

READY_SECONDS = 20.0
FOLLOW_SECONDS = 0.1
EXPECTED_EXITS = {ExitCode.DRAINED, ExitCode.CUT, -signal.SIGKILL}
"""The exit codes of nodes that the bench has stopped or killed."""

DRAIN = DrainPolicy()
DEFAULTS = Limits()
MANY = Limits(
    handshakes=Rate(100_000, 10_000),
    joins=Rate(100_000, 10_000),
    rooms_opened=Rate(100_000, 10_000),
    inputs=Rate(100_000, 20_000),
    sockets_per_identity=100_000,
    seats_per_identity=100_000,
)
"""For scenarios whose clients are more than one address may be, since all come from 127.0.0.1, or
speak more than one may. The node counts them as ever, so the figures include that."""
WIDE_LIMITS = {"limits_of_one_address": MANY.rooms_opened.burst}
"""For the settings in a report of such a scenario."""

T = TypeVar("T")


class GamePlacement(msgspec.Struct, frozen=True):
    """The place of the game nodes: the hosts at which the tiers reach each other, and the command
    that a game node runs under.
    """

    api_host: str = "127.0.0.1"
    game_host: str = "127.0.0.1"
    prefix: tuple[str, ...] = ()


class FleetPlan(msgspec.Struct, frozen=True):
    """The number of nodes, their rooms, and how they drain."""

    apis: int = 2
    games: int = 2
    rooms: str = "lastcall.bench.rooms"
    drain: DrainPolicy = DRAIN
    clients: str = "finish"
    placement: GamePlacement = GamePlacement()
    api_env: tuple[str, ...] = ()
    """Environment variables for the api nodes, such as ``LASTCALL_PUMP=off``."""
    options: tuple[str, ...] = ()
    """More options, for all nodes."""
    limits: Limits = DEFAULTS
    peers: bool = False
    """Whether the game nodes know each other, so that rooms may move between them."""


class FleetFiles:
    """The files that the nodes of ``plan`` read, in ``folder``; and the options that name them."""

    def __init__(self, plan: FleetPlan, folder: Path) -> None:
        self._plan = plan
        self._games_file = folder / "games"
        self._config: list[str] = []
        if plan.limits != DEFAULTS:
            file = folder / "limits.toml"
            file.write_text(write_limits(plan.limits), encoding="utf-8")
            self._config = ["--config", str(file)]

    def write_games(self, nodes: Iterable[Child]) -> None:
        """Lists the game nodes that are ready. The list is renamed into place, so no reader sees
        half of it.
        """
        games = [child.ready for child in nodes if child.tier == "game"]
        lines = [f"{ready.listen}\n" for ready in games if ready is not None]
        written = self._games_file.with_suffix(".new")
        written.write_text("".join(lines), encoding="utf-8")
        written.replace(self._games_file)

    def arguments(self, tier: str) -> list[str]:
        """The options of a node of that tier."""
        plan, drain, placement = self._plan, self._plan.drain, self._plan.placement
        games = ("--games", f"file://{self._games_file}")
        host = placement.game_host
        peers = (*games, "--feed", f"tcp://{host}:0") if plan.peers else ()
        of_tier = {
            "api": [
                *("--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"),
                *("--feed", f"tcp://{placement.api_host}:0", "--clients", plan.clients),
                *games,
            ],
            "game": [
                *("--listen", f"tcp://{host}:0", "--admin", f"{host}:0", "--rooms", plan.rooms),
                *peers,
            ],
        }
        return [
            *of_tier[tier],
            *plan.options,
            *self._config,
            *("--log-format", "json", "--lame-duck", "0"),
            *("--grace", f"{drain.grace_seconds:g}"),
            *("--farewell", f"{drain.farewell_seconds:g}"),
            *("--spread", f"{drain.spread_seconds:g}"),
        ]


class CpuReading(msgspec.Struct, frozen=True):
    """The processor seconds of each living node, by name, and when they were read."""

    at: float
    seconds: dict[str, float]

    def since(self, before: CpuReading) -> dict[str, float]:
        """Percent of a core between the two readings, for each node that is in both."""
        elapsed = self.at - before.at
        return {
            name: 100 * (used - before.seconds[name]) / elapsed
            for name, used in self.seconds.items()
            if name in before.seconds
        }


class Fleet:
    """The nodes. Made by :func:`open_fleet`."""

    def __init__(
        self, plan: FleetPlan, nursery: trio.Nursery, body: trio.CancelScope, folder: Path
    ) -> None:
        self._plan = plan
        self._files = FleetFiles(plan, folder)
        self._nursery = nursery
        self._body = body
        self.nodes: dict[str, Child] = {}
        """By name: ``api-1``, ``game-1`` and so on."""
        self.crashed: list[Child] = []

    @property
    def urls(self) -> list[str]:
        """The URLs for clients, in the order of the api nodes."""
        return [
            f"ws://{child.ready.listen}/"
            for child in self.nodes.values()
            if child.tier == "api" and child.ready is not None
        ]

    def stop(self, name: str) -> float:
        """Sends SIGTERM; returns when, in the seconds of ``time.monotonic``."""
        now = time.monotonic()
        self.nodes[name].stop()
        return now

    def kill(self, name: str) -> float:
        """Sends SIGKILL; returns when, in the seconds of ``time.monotonic``."""
        child = self.nodes[name]
        child.serving = False
        now = time.monotonic()
        child.kill()
        return now

    def cpu(self) -> CpuReading:
        """The processor seconds of each living node, and of this process, as ``bots``."""
        return CpuReading(time.monotonic(), self.node_cpu() | {"bots": time.process_time()})

    async def follow_cpu(self, readings: list[CpuReading]) -> None:
        """Adds a reading every 0.1 s until cancelled; a node that has ended keeps its last one."""
        while True:
            now = self.cpu()
            readings.append(CpuReading(now.at, readings[-1].seconds | now.seconds))
            await trio.sleep(FOLLOW_SECONDS)

    def node_cpu(self) -> dict[str, float]:
        """The processor seconds of each living node."""
        return self._read(cpu_seconds)

    def resident(self) -> dict[str, int]:
        """The resident memory of each living node, in bytes."""
        return self._read(resident_bytes)

    def _read(self, account: Callable[[int], T]) -> dict[str, T]:
        found = {}
        for child in self.nodes.values():
            if not child.ended.is_set():
                with contextlib.suppress(OSError):  # it may be ending now
                    found[child.name] = account(child.pid)
        return found

    async def start(self) -> None:
        """Starts all nodes, game nodes first; returns when all serve. Raises :class:`ClusterFailed`
        and :class:`lastcall.errors.UsageError`.
        """
        self._files.write_games(self.nodes.values())
        await self._start({"game": self._plan.games, "api": self._plan.apis})

    async def add_game(self) -> None:
        """Starts one more game node; the others learn of it. Raises as :meth:`start` does."""
        await self._start({"game": 1})

    async def _start(self, counts: Mapping[str, int]) -> None:
        with trio.move_on_after(READY_SECONDS) as limit:
            async with open_admin_client() as client:
                for tier, count in counts.items():
                    children = [self._launch(tier) for _ in range(count)]
                    for child in children:
                        await wait_serving(child, client)
                        child.serving = True
                    self._files.write_games(self.nodes.values())
        if limit.cancelled_caught:
            output = "\n".join(child.last_output() for child in self.nodes.values())
            raise ClusterFailed(f"not ready within {READY_SECONDS:g} s:\n{output}")

    def _launch(self, tier: str) -> Child:
        name = f"{tier}-{1 + sum(child.tier == tier for child in self.nodes.values())}"
        env = ("env", *self._plan.api_env) if self._plan.api_env else ()
        prefix = self._plan.placement.prefix if tier == "game" else env
        command = [*prefix, *node_command(tier, "--name", name, *self._files.arguments(tier))]
        child = self.nodes[name] = Child(name, tier, command, show=_show)
        self._nursery.start_soon(self._run_child, child)
        return child

    async def _run_child(self, child: Child) -> None:
        await child.run()
        if child.serving or child.exit_code not in EXPECTED_EXITS:
            self.crashed.append(child)
            self._body.cancel()


def _show(text: str) -> None:
    """A node that warns may not measure what it should."""
    click.echo(text, err=True)


@asynccontextmanager
async def open_fleet(plan: FleetPlan) -> AsyncIterator[Fleet]:
    """Nodes on free ports that serve inside the block; those left at its end are killed.

    Raises :class:`ClusterFailed` if one does not come up, ends unasked, or does not drain.
    """
    body = trio.CancelScope()
    with private_folder("lastcall-bench-") as folder:
        async with trio.open_nursery() as nursery:
            fleet = Fleet(plan, nursery, body, folder)
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


def open_pair(
    drain: DrainPolicy = DRAIN, limits: Limits = DEFAULTS
) -> AbstractAsyncContextManager[Fleet]:
    """One api and one game node (``api-1``, ``game-1``) with the example rooms; an api node that
    drains moves its clients.
    """
    rooms = "lastcall.game.examples"
    return open_fleet(
        FleetPlan(apis=1, games=1, rooms=rooms, clients="move", drain=drain, limits=limits)
    )
