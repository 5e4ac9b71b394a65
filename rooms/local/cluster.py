"""Api and game nodes as child processes, on one client port."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import msgspec
import trio

from rooms.client.lone_error import lone_error
from rooms.errors import ClusterFailed, UsageError
from rooms.local.child import Child, python
from rooms.local.readings import is_ready, open_admin_client
from rooms.policy import DrainPolicy
from rooms.reasons import ExitCode
from rooms.runtime.address import HostPort, bound_address, open_listeners

__all__ = ["LocalCluster", "Plan", "open_cluster"]

READY_SECONDS = 20.0
POLL_SECONDS = 0.05
AFTER_GRACE_SECONDS = 2.0
"""A node ends itself at grace; one that is still there so long after is killed."""


class Plan(msgspec.Struct, frozen=True):
    """What a cluster consists of.

    ``client`` is where clients connect. Node number i answers for its admin at ``admin`` plus i,
    api nodes first; with port 0 each takes a free one.
    """

    apis: int = 2
    games: int = 2
    client: HostPort = HostPort("127.0.0.1", 8080)
    admin: HostPort = HostPort("127.0.0.1", 9000)
    rooms: str = "game.examples"
    drain: DrainPolicy = DrainPolicy()
    version: str | None = None

    def __post_init__(self) -> None:
        if self.apis < 1 or self.games < 1:
            raise UsageError("a cluster has one api node and one game node at least")
        if self.admin.port and self.admin.port + self.apis + self.games > 65_536:
            raise UsageError(f"--admin {self.admin}: there are no ports for so many nodes from it")

    def admin_of(self, number: int) -> HostPort:
        """Where node ``number``, from 0, answers for its admin."""
        return HostPort(self.admin.host, self.admin.port and self.admin.port + number)


class LocalCluster:
    """The nodes of a plan. Made by :func:`open_cluster`."""

    def __init__(
        self, plan: Plan, listener: trio.SocketListener, games_file: Path, start: NodeCommand
    ) -> None:
        self._plan = plan
        self._listener = listener
        self._games_file = games_file
        self._watching = False
        self.url = f"ws://{bound_address(listener)}/"
        """Where clients connect."""
        apis = [self._api(number, start) for number in range(plan.apis)]
        games = [self._game(number, start) for number in range(plan.games)]
        self.children: tuple[Child, ...] = (*apis, *games)

    def _api(self, number: int, start: NodeCommand) -> Child:
        descriptor = self._listener.socket.fileno()
        arguments = [
            *("--listen", f"fd:{descriptor}", "--feed", "tcp://127.0.0.1:0"),
            *("--games", f"file://{self._games_file}"),
        ]
        command = self._command("api", number, number, arguments, start)
        return Child(f"api-{number + 1}", "api", command, fds=[descriptor])

    def _game(self, number: int, start: NodeCommand) -> Child:
        arguments = ["--listen", "tcp://127.0.0.1:0", "--rooms", self._plan.rooms]
        command = self._command("game", number, self._plan.apis + number, arguments, start)
        return Child(f"game-{number + 1}", "game", command)

    def _command(
        self, tier: str, number: int, place: int, arguments: Sequence[str], start: NodeCommand
    ) -> list[str]:
        plan, drain = self._plan, self._plan.drain
        return start(
            tier,
            *("--name", f"{tier}-{number + 1}", "--admin", str(plan.admin_of(place))),
            *arguments,
            *("--log-format", "json"),
            *("--grace", f"{drain.grace_seconds:g}"),
            *("--lame-duck", f"{drain.lame_duck_seconds:g}"),
            *("--farewell", f"{drain.farewell_seconds:g}"),
            *("--spread", f"{drain.spread_seconds:g}"),
            *(("--version", plan.version) if plan.version else ()),
        )

    async def run(self, on_death: Callable[[Child], None]) -> None:
        """Runs all nodes to their ends.

        ``on_death`` hears of each that ends between :meth:`wait_ready` and :meth:`stop`.
        """
        self._write_games()
        async with trio.open_nursery() as nursery:
            for child in self.children:
                nursery.start_soon(self._run_child, child, on_death)

    async def _run_child(self, child: Child, on_death: Callable[[Child], None]) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(child.run)
            await child.became_ready.wait()
            self._write_games()
            await child.ended.wait()
            self._write_games()
        if self._watching:
            on_death(child)

    def _write_games(self) -> None:
        """The list that api nodes read: written beside, then renamed, so never seen half."""
        urls = [
            child.ready.listen
            for child in self.children
            if child.tier == "game" and child.ready is not None and not child.ended.is_set()
        ]
        beside = self._games_file.with_suffix(".new")
        beside.write_text("".join(f"{url}\n" for url in urls), encoding="utf-8")
        beside.replace(self._games_file)

    async def wait_ready(self, *, limit_seconds: float = READY_SECONDS) -> None:
        """Returns when every node says that it is ready.

        Raises :class:`UsageError` when a node refuses its options, and :class:`ClusterFailed` when
        one ends, or is not ready within ``limit_seconds``. May be cancelled.
        """
        failures: list[UsageError | ClusterFailed] = []
        async with open_admin_client() as client, trio.open_nursery() as nursery:
            nursery.cancel_scope.deadline = trio.current_time() + limit_seconds
            waiting = {child.name for child in self.children}

            async def wait(child: Child) -> None:
                try:
                    await _wait_ready(child, client)
                    waiting.discard(child.name)
                except (UsageError, ClusterFailed) as error:
                    failures.append(error)
                    nursery.cancel_scope.cancel()

            for child in self.children:
                nursery.start_soon(wait, child)
        failures += [_failure(child) for child in self.children if child.ended.is_set()]
        if failures:
            raise failures[0]
        if waiting:
            names = ", ".join(sorted(waiting))
            raise ClusterFailed(f"not ready within {limit_seconds:g} s: {names}")
        self._watching = True

    def stop(self) -> None:
        """Asks all nodes to drain."""
        self._watching = False
        self._signal(signal.SIGTERM)

    def hurry(self) -> None:
        """The second signal, after :meth:`stop`: what still runs is cut.

        It is another signal than the first, since two of a kind may arrive as one.
        """
        self._signal(signal.SIGINT)

    def _signal(self, number: signal.Signals) -> None:
        for child in self.children:
            child.send(number)

    async def wait_ended(self) -> None:
        """Returns when all nodes have ended; kills those that outlive their grace by 2 s."""
        with trio.move_on_after(self._plan.drain.grace_seconds + AFTER_GRACE_SECONDS) as limit:
            for child in self.children:
                await child.ended.wait()
        if limit.cancelled_caught:
            for child in self.children:
                child.kill()
            for child in self.children:
                await child.ended.wait()


NodeCommand = Callable[..., list[str]]
"""``(tier, *arguments)`` to the command that starts such a node; tests start fakes."""


async def _wait_ready(child: Child, client: httpx.AsyncClient) -> None:
    await child.became_ready.wait()
    while not child.ended.is_set() and child.ready is not None:
        if await is_ready(client, child.ready.admin):
            return
        await trio.sleep(POLL_SECONDS)
    await child.ended.wait()
    raise _failure(child)


def _failure(child: Child) -> UsageError | ClusterFailed:
    """Why a cluster cannot come up whose ``child`` has ended."""
    if child.exit_code == ExitCode.USAGE and child.last_words:
        return UsageError(f"{child.name}: {child.last_words[-1].removeprefix('Error: ')}")
    return ClusterFailed(
        f"{child.how_it_ended()} while the cluster started; its last words:\n"
        f"{child.last_words_text()}"
    )


@asynccontextmanager
async def open_cluster(
    plan: Plan, on_death: Callable[[Child], None], *, start: NodeCommand = python
) -> AsyncIterator[LocalCluster]:
    """Starts all nodes of ``plan`` at once; at the end of the block those left are killed.

    ``on_death`` is called with each node that ends and was not told to. Raises
    :class:`rooms.errors.AddressInUse` when the client port is taken.
    """
    (listener, *others) = await open_listeners(plan.client)
    for other in others:
        await other.aclose()
    with TemporaryDirectory(prefix="lastcall-") as folder, lone_error():
        async with listener, trio.open_nursery() as nursery:
            cluster = LocalCluster(plan, listener, Path(folder, "games"), start)
            nursery.start_soon(cluster.run, on_death)
            yield cluster
            nursery.cancel_scope.cancel()
