"""Api and game nodes as child processes, on one client port."""

from __future__ import annotations

import signal
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import trio

from lastcall.bus.address import HostPort
from lastcall.errors import ClusterFailed, UsageError
from lastcall.exception_groups import lone_error
from lastcall.local.admin_client import is_ready, open_admin_client
from lastcall.local.child import REFUSAL, Child, node_command
from lastcall.local.plan import PORTS, Plan
from lastcall.reasons import ExitCode
from lastcall.runtime.listeners import bound_address, open_listeners

__all__ = ["LocalCluster", "NodeCommand", "Plan", "open_cluster", "wait_serving"]

READY_SECONDS = 20.0
POLL_SECONDS = 0.05
AFTER_GRACE_SECONDS = 2.0
"""A node ends itself at grace; one that is still there so long after is killed."""


class LocalCluster:
    """The nodes of a plan, and those that came after. Made by :func:`open_cluster`."""

    def __init__(
        self,
        plan: Plan,
        *,
        listener: trio.SocketListener,
        games_file: Path,
        start: NodeCommand,
        on_death: Callable[[Child], None],
        nursery: trio.Nursery,
    ) -> None:
        self.plan = plan
        self._listener = listener
        self._games_file = games_file
        self._start = start
        self._on_death = on_death
        self._nursery = nursery
        self._stopping = False
        self._admins: dict[Child, HostPort] = {}
        self.url = f"ws://{bound_address(listener)}/"
        """Where clients connect."""
        self.port = bound_address(listener).port
        self.children: list[Child] = []
        """All nodes that ever ran, in the order of their start; but not those discarded."""
        self.on_trouble: Callable[[str], None] = lambda _text: None
        """Hears of the nodes' errors, and of what rooms print."""

    def start_all(self) -> None:
        """Starts the nodes of the plan."""
        plan = self.plan
        self._write_games()
        for number, tier in enumerate(["api"] * plan.apis + ["game"] * plan.games):
            self._launch(tier, plan.version, plan.admin_of(number))

    def launch(self, tier: str, version: str) -> Child:
        """Starts one more node, under the next free name.

        It is not :attr:`Child.on_duty` until somebody says so. Raises :class:`ClusterFailed` when
        the cluster is stopping.
        """
        if self._stopping:
            raise ClusterFailed("the cluster is stopping")
        return self._launch(tier, version, self._free_admin())

    def _launch(self, tier: str, version: str, admin: HostPort) -> Child:
        taken = (child.name for child in self.children if child.tier == tier)
        number = max((int(name.removeprefix(f"{tier}-")) for name in taken), default=0) + 1
        descriptor = self._listener.socket.fileno()
        arguments = self._arguments(tier, f"{tier}-{number}", version, admin, descriptor)
        fds = [descriptor] if tier == "api" else []
        child = Child(f"{tier}-{number}", tier, self._start(tier, *arguments), fds, version=version)
        child.on_trouble = self._tell
        self.children.append(child)
        self._admins[child] = admin
        self._nursery.start_soon(self._run_child, child)
        return child

    def _tell(self, text: str) -> None:
        self.on_trouble(text)  # looked up now: it is set after the first nodes were started

    def _arguments(
        self, tier: str, name: str, version: str, admin: HostPort, descriptor: int
    ) -> Sequence[str]:
        plan, drain = self.plan, self.plan.drain
        of_tier = {
            "api": [
                *("--listen", f"fd:{descriptor}", "--feed", "tcp://127.0.0.1:0"),
                *("--games", f"file://{self._games_file}"),
                *("--clients", plan.clients),
            ],
            "game": ["--listen", "tcp://127.0.0.1:0", "--rooms", plan.rooms],
        }
        return [
            *("--name", name, "--version", version, "--admin", str(admin)),
            *of_tier[tier],
            *("--log-format", "json"),
            *("--grace", f"{drain.grace_seconds:g}"),
            *("--lame-duck", f"{drain.lame_duck_seconds:g}"),
            *("--farewell", f"{drain.farewell_seconds:g}"),
            *("--spread", f"{drain.spread_seconds:g}"),
        ]

    def _free_admin(self) -> HostPort:
        """The first place in the plan's row that no living node has and nobody else holds."""
        row = self.plan.admin
        if row.port:
            held = {self._admins[child].port for child in self.living()}
            for port in range(row.port, PORTS):
                if port not in held and _bindable(row.host, port):
                    return HostPort(row.host, port)
        return HostPort(row.host, 0)

    async def _run_child(self, child: Child) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(child.run)
            await child.became_ready.wait()
            self._write_games()
            await child.ended.wait()
            self._write_games()
        if child.on_duty:
            self._on_death(child)

    def _write_games(self) -> None:
        """The list that api nodes read: written beside, then renamed, so never seen half."""
        urls = [child.ready.listen for child in self.living("game") if child.ready is not None]
        beside = self._games_file.with_suffix(".new")
        beside.write_text("".join(f"{url}\n" for url in urls), encoding="utf-8")
        beside.replace(self._games_file)

    def living(self, tier: str | None = None) -> list[Child]:
        """The nodes, of one tier or of all, whose process has not ended."""
        alive = (child for child in self.children if not child.ended.is_set())
        return [child for child in alive if tier in {None, child.tier}]

    def dead(self) -> list[Child]:
        """The nodes that ended on duty, and not by a drain."""
        ended = (child for child in self.children if child.on_duty and child.ended.is_set())
        return [child for child in ended if not child.drained]

    def _unready(self, waiting: set[str], seconds: float) -> str:
        """Those that never came up are to blame; the others may only be waiting for them."""
        stuck = [child for child in self.children if child.ready is None]
        blamed = ", ".join(child.name for child in stuck) or ", ".join(sorted(waiting))
        words = "".join(f"\n{child.name} said:\n{child.last_words_text()}" for child in stuck)
        return f"not ready within {seconds:g} s: {blamed}{words}"

    async def wait_ready(self, *, limit_seconds: float = READY_SECONDS) -> None:
        """Returns when every node says that it is ready; from then on a node's end is a death.

        Raises :class:`UsageError` when a node refuses its options, and :class:`ClusterFailed` when
        one ends, or is not ready within ``limit_seconds``. May be cancelled.
        """
        failures: list[UsageError | ClusterFailed] = []
        async with open_admin_client() as client, trio.open_nursery() as nursery:
            nursery.cancel_scope.deadline = trio.current_time() + limit_seconds
            waiting = {child.name for child in self.children}

            async def wait(child: Child) -> None:
                try:
                    await wait_serving(child, client)
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
            raise ClusterFailed(self._unready(waiting, limit_seconds))
        for child in self.children:
            child.on_duty = True

    async def retire(self, child: Child) -> None:
        """Asks one node to drain and sees it to its end."""
        child.retired = True
        child.stop()
        await self._see_out([child])

    async def discard(self, child: Child) -> None:
        """Ends a node that was not to be: it is no part of the cluster any more."""
        self.children.remove(child)
        child.stop()
        if child.ready is None:  # it serves nobody, so there is nothing to wait for
            child.kill()
        await self._see_out([child])

    def stop(self, tier: str | None = None) -> None:
        """Asks all nodes, or those of one tier, to drain that were not asked yet; no more can be
        launched.
        """
        self._stopping = True
        for child in self._of(tier):
            child.stop()

    def hurry(self, tier: str | None = None) -> None:
        """The second signal, after :meth:`stop`: what still runs is cut.

        It is another signal than the first, since two of a kind may arrive as one. A node that is
        not ready serves nobody, and may be deaf in a long import: it is ended.
        """
        for child in self._of(tier):
            child.send(signal.SIGINT if child.ready else signal.SIGKILL)

    async def wait_ended(self, tier: str | None = None) -> None:
        """Returns when all nodes, or those of one tier, have ended; kills those that outlive their
        grace by 2 s.
        """
        await self._see_out(self._of(tier))

    def _of(self, tier: str | None) -> list[Child]:
        return [child for child in self.children if tier in {None, child.tier}]

    async def _see_out(self, children: Sequence[Child]) -> None:
        with trio.move_on_after(self.plan.drain.grace_seconds + AFTER_GRACE_SECONDS) as limit:
            for child in children:
                await child.ended.wait()
        if limit.cancelled_caught:
            for child in children:
                child.kill()
            for child in children:
                await child.ended.wait()


NodeCommand = Callable[..., list[str]]
"""``(tier, *arguments)`` to the command that starts such a node; tests start fakes."""


async def wait_serving(child: Child, client: httpx.AsyncClient) -> None:
    """Returns when ``/readyz`` is 200. Raises :class:`UsageError` or :class:`ClusterFailed` when
    the node ends before.
    """
    await child.became_ready.wait()
    while not child.ended.is_set() and child.ready is not None:
        if await is_ready(client, child.ready.admin):
            return
        await trio.sleep(POLL_SECONDS)
    await child.ended.wait()
    raise _failure(child)


def _failure(child: Child) -> UsageError | ClusterFailed:
    """Why a node that has ended never served."""
    if child.exit_code == ExitCode.USAGE and child.last_words:
        words = child.last_words[-1].removeprefix(REFUSAL)
        hint = "; choose other admin ports with --admin HOST:PORT (port 0: free ones)"
        return UsageError(f"{child.name}: {words}{hint if 'is in use' in words else ''}")
    return ClusterFailed(
        f"{child.how_it_ended()} while it started; its last words:\n{child.last_words_text()}"
    )


def _bindable(host: str, port: int) -> bool:
    try:
        socket.create_server((host, port)).close()
    except OSError:
        return False
    return True


@asynccontextmanager
async def open_cluster(
    plan: Plan, on_death: Callable[[Child], None], *, start: NodeCommand = node_command
) -> AsyncIterator[LocalCluster]:
    """Starts all nodes of ``plan`` at once; at the end of the block those left are killed.

    ``on_death`` is called with each node that ends on duty. Raises
    :class:`lastcall.errors.AddressInUse` when the client port is taken.
    """
    (listener, *others) = await open_listeners(plan.client)
    for other in others:
        await other.aclose()
    with TemporaryDirectory(prefix="lastcall-") as folder, lone_error():
        async with listener, trio.open_nursery() as nursery:
            cluster = LocalCluster(
                plan,
                listener=listener,
                games_file=Path(folder, "games"),
                start=start,
                on_death=on_death,
                nursery=nursery,
            )
            cluster.start_all()
            yield cluster
            nursery.cancel_scope.cancel()
