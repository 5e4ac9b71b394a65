"""Api and game nodes as child processes, behind one client port."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from types import MappingProxyType

import trio

from lastcall.errors import AddressInUse, ClusterFailed, UsageError
from lastcall.exception_groups import lone_error
from lastcall.local.admin_client import open_admin_client
from lastcall.local.child import Child, Spawn, node_command
from lastcall.local.launcher import Launcher, NodeCommand
from lastcall.local.plan import Plan
from lastcall.local.private_folder import private_folder
from lastcall.local.starting import BY_ADMIN, failure_of, not_ready, wait_serving
from lastcall.runtime.listeners import bound_address, open_listeners

AFTER_GRACE_SECONDS = 2.0
"""A node ends itself when grace is over; one that still runs this much later is killed."""


class LocalCluster:
    """The nodes of a plan, and those launched later. Made by :func:`open_cluster`."""

    def __init__(
        self,
        plan: Plan,
        launcher: Launcher,
        *,
        listener: trio.SocketListener,
        page: list[trio.SocketListener],
        on_death: Callable[[Child], None],
        nursery: trio.Nursery,
    ) -> None:
        self.plan = plan
        self._launcher = launcher
        self._on_death = on_death
        self._nursery = nursery
        self._stopping = False
        self.url = f"ws://{bound_address(listener)}/"
        """Where clients connect."""
        self.page = f"http://{bound_address(page[0]).from_here}/"
        """Where its page is."""
        self.page_listeners = page
        self.port = bound_address(listener).port
        self.children: list[Child] = []
        """All nodes that ever ran, in the order of their start, without discarded ones."""

    def start_all(self) -> None:
        """Starts the nodes of the plan."""
        plan = self.plan
        for number, tier in enumerate(["api"] * plan.apis + ["game"] * plan.games):
            self._run(self._launcher.launch(tier, plan.version, plan.admin_of(number)))

    def launch(self, tier: str, version: str) -> Child:
        """Starts one more node, under the next free name.

        The caller sets :attr:`Child.serving`. Raises :class:`ClusterFailed` when the cluster is
        stopping.
        """
        if self._stopping:
            raise ClusterFailed("the cluster is stopping")
        return self._run(self._launcher.launch(tier, version))

    def _run(self, child: Child) -> Child:
        self.children.append(child)
        self._nursery.start_soon(self._run_child, child)
        return child

    async def _run_child(self, child: Child) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(child.run)
            await child.became_ready.wait()
            self._launcher.write_games(self.children)
            await child.ended.wait()
            self._launcher.write_games(self.children)
        if child.serving:
            self._on_death(child)

    def living(self, tier: str | None = None) -> list[Child]:
        """The nodes of one tier, or of both, whose process has not ended."""
        alive = (child for child in self.children if not child.ended.is_set())
        return [child for child in alive if tier in {None, child.tier}]

    def dead(self, tier: str | None = None) -> list[Child]:
        """The nodes of one tier, or of both, that ended while they served, and not by a drain."""
        ended = (child for child in self.children if child.serving and child.ended.is_set())
        return [child for child in ended if tier in {None, child.tier} and not child.drained]

    async def wait_ready(self) -> None:
        """Returns when every node is ready; from then on, a node that ends has died.

        Raises :class:`UsageError` when a node refuses its options, and :class:`ClusterFailed` when
        one ends, or is not ready within the plan's ``start_seconds``. May be cancelled.
        """
        failures: list[UsageError | ClusterFailed] = []
        async with open_admin_client() as client, trio.open_nursery() as nursery:
            nursery.cancel_scope.deadline = trio.current_time() + self.plan.start_seconds
            waiting = set(self.children)

            async def wait(child: Child) -> None:
                try:
                    await wait_serving(child, client)
                    waiting.discard(child)
                except (UsageError, ClusterFailed) as error:
                    failures.append(error)
                    nursery.cancel_scope.cancel()

            for child in self.children:
                nursery.start_soon(wait, child)
        failures += [failure_of(child) for child in self.children if child.ended.is_set()]
        if failures:
            raise failures[0]
        if waiting:
            raise not_ready(waiting, self.plan.start_seconds)
        for child in self.children:
            child.serving = True

    async def replace(self, child: Child) -> None:
        """Tells a node that has a successor to drain, and waits for its end."""
        child.replaced = True
        child.stop()
        await self._wait_or_kill([child])

    def forget(self, child: Child) -> None:
        """Removes a node that has ended from the cluster, with its log."""
        self.children.remove(child)
        self._launcher.forget(child)

    async def discard(self, child: Child) -> None:
        """Ends a new node that failed, and removes it from the cluster."""
        self.children.remove(child)
        child.stop()
        if child.ready is None:  # it serves nobody, so there is nothing to wait for
            child.kill()
        await self._wait_or_kill([child])
        self._launcher.forget(child)

    def stop(self, tier: str | None = None) -> None:
        """Tells all nodes, or those of one tier, to drain, each once. No more can be launched."""
        self._stopping = True
        for child in self.living(tier):
            child.stop()

    def cut(self, tier: str | None = None) -> None:
        """Sends the second signal, after :meth:`stop`: the nodes cut the work that is left.

        It differs from the first signal, since two of a kind may arrive as one. A node that is not
        ready serves nobody, and may not react in a long import: it is killed.
        """
        for child in self.living(tier):
            child.send(signal.SIGINT if child.ready else signal.SIGKILL)

    async def wait_ended(self, tier: str | None = None) -> None:
        """Returns when all nodes, or those of one tier, have ended; kills those that still run 2 s
        after grace.
        """
        await self._wait_or_kill(self.living(tier))

    async def _wait_or_kill(self, children: Sequence[Child]) -> None:
        with trio.move_on_after(self.plan.drain.grace_seconds + AFTER_GRACE_SECONDS) as limit:
            for child in children:
                await child.ended.wait()
        if limit.cancelled_caught:
            for child in children:
                child.kill()
            for child in children:
                await child.ended.wait()


@asynccontextmanager
async def open_cluster(
    plan: Plan,
    on_death: Callable[[Child], None],
    *,
    start: NodeCommand = node_command,
    spawns: Mapping[str, Spawn] = MappingProxyType({}),
    show: Callable[[str], None] = lambda _text: None,
    on_event: Callable[[bytes], None] = lambda _line: None,
) -> AsyncIterator[LocalCluster]:
    """Starts all nodes of ``plan`` at once; at the end of the block, those that still run are
    killed.

    ``on_death`` is called with each node that ends while it serves, ``show`` with the nodes'
    warnings and errors, and with what rooms print; ``on_event`` with each event of their logs.
    ``spawns`` start the nodes of their tiers in another way than :func:`spawn`. The caller serves
    the page, at ``page_listeners``. Raises :class:`lastcall.errors.AddressInUse` when the client
    port or the page's is taken.
    """
    (listener, *others) = await open_listeners(plan.client)
    for other in others:
        await other.aclose()
    with private_folder("lastcall-up-") as folder, lone_error():
        async with listener, trio.open_nursery() as nursery:
            page = await _open_page_port(plan)
            launcher = Launcher(
                plan,
                listener=listener,
                folder=folder,
                start=start,
                spawns=spawns,
                show=show,
                on_event=on_event,
            )
            cluster = LocalCluster(
                plan,
                launcher,
                listener=listener,
                page=page,
                on_death=on_death,
                nursery=nursery,
            )
            cluster.start_all()
            try:
                yield cluster
            finally:
                for one in page:
                    one.socket.close()
            nursery.cancel_scope.cancel()


async def _open_page_port(plan: Plan) -> list[trio.SocketListener]:
    try:
        return await open_listeners(plan.admin)
    except AddressInUse as error:
        raise AddressInUse(f"{error} {BY_ADMIN}") from error
