"""``lastcall up``: a whole cluster on this machine, with bots that play on it.

::

    start all nodes → ready → bots play → stop asked → bots finish → game nodes drain
                              └─ rolls, one at a time         → api nodes drain → summary

The game nodes drain first: a player hears the end of his room through an api node, and once all of
them leave there is no other one to resume through.

The first Ctrl-C, SIGTERM, the end of ``seconds`` or of the roll of ``roll_after`` asks for the
stop; a second one cuts. All the while the control socket answers ``lastcall roll`` and ``status``.
"""

from __future__ import annotations

import math
import random
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from functools import partial

import trio
from rich.console import Console

from lastcall.errors import ClusterFailed
from lastcall.exception_groups import lone_error
from lastcall.local.bots.bots import Bots
from lastcall.local.bots.ledger import Ledger
from lastcall.local.child import Child, node_command
from lastcall.local.cluster import LocalCluster, NodeCommand, Plan, open_cluster
from lastcall.local.control.messages import AskRoll, RollReport
from lastcall.local.control.socket import serve_control
from lastcall.local.roll.service import Rolls
from lastcall.local.status_table import Screen
from lastcall.local.summary import exit_code, summary
from lastcall.reasons import ExitCode

__all__ = ["Up", "up"]


async def up(
    plan: Plan,
    *,
    bots: int,
    seconds: float | None,
    roll_after: float | None = None,
    console: Console,
) -> ExitCode:
    """Runs the cluster of ``plan`` until it is told to stop; returns the exit code.

    ``roll_after`` seconds after it is ready, both tiers are rolled once, and then it stops.
    Raises :class:`lastcall.errors.UsageError` and :class:`lastcall.errors.ClusterFailed` when the
    cluster does not come up. To be called in the main thread: it takes SIGINT and SIGTERM.
    """
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM, signal.SIGHUP) as signals:
        cluster = Up(plan, bots=bots, seconds=seconds, roll_after=roll_after, console=console)
        return await cluster.run(signals)


class Up:
    """One run of a cluster, from its start to its summary."""

    def __init__(
        self,
        plan: Plan,
        *,
        bots: int,
        seconds: float | None,
        roll_after: float | None = None,
        console: Console,
        start: NodeCommand = node_command,
    ) -> None:
        self._plan = plan
        self._roll_after = roll_after
        self._roll_code = ExitCode.DRAINED
        self._seconds = math.inf if seconds is None else seconds
        self._start = start
        self._began = trio.current_time()
        self._stop = trio.Event()
        self._cut = trio.Event()
        self._bots_done = trio.Event()
        self._dead: list[Child] = []
        self._cluster: LocalCluster | None = None
        self._count = bots
        self._ledger = Ledger(trio.current_time)
        self._screen = Screen(self._ledger, lambda: trio.current_time() - self._began, console)

    async def run(self, signals: AsyncIterator[int]) -> ExitCode:
        """The whole life; each item of ``signals`` is a request to stop."""
        code = ExitCode.CRASHED
        with lone_error():
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._listen, signals)
                code = await self._run()
                nursery.cancel_scope.cancel()
        return code

    async def _listen(self, signals: AsyncIterator[int]) -> None:
        async for _ in signals:
            if self._stop.is_set():
                self._cut.set()
            else:
                self._stop.set()

    async def _run(self) -> ExitCode:
        async with self._open_cluster() as cluster:
            self._cluster = cluster
            cluster.on_trouble = self._screen.say
            rolls = Rolls(cluster, self._ledger, self._count, self._screen.say)
            async with serve_control(cluster.port, rolls, self._screen.say):
                await self._serve_or_not(cluster, rolls)
        ledger = self._ledger if self._count else None
        self._screen.say(summary(cluster.children, ledger))
        codes = {exit_code(cluster.children, ledger), self._roll_code}
        if self._dead or ExitCode.CRASHED in codes:
            return ExitCode.CRASHED
        return max(codes)

    def _open_cluster(self) -> AbstractAsyncContextManager[LocalCluster]:
        return open_cluster(self._plan, self._on_death, start=self._start)

    async def _serve_or_not(self, cluster: LocalCluster, rolls: Rolls) -> None:
        if not await _unless(self._stop, cluster.wait_ready):
            await self._drain(cluster)
            return
        seconds = trio.current_time() - self._began
        names = ", ".join(child.name for child in cluster.children)
        self._screen.say(f"{names} are ready after {seconds:.1f} s.")
        self._screen.say(f"Clients connect to {cluster.url}; Ctrl-C drains.")
        for page in _demos(cluster)[:1]:
            self._screen.say(f"To talk, open this page twice: {page}")
        await self._serve(cluster, rolls)

    def _on_death(self, child: Child) -> None:
        if child.drained:
            self._screen.say(f"{child.how_it_ended()}: somebody else told it to drain.")
        else:
            self._dead.append(child)
            self._screen.say(f"{child.how_it_ended()}. Its last words:\n{child.last_words_text()}")
        if self._cluster is not None and not self._cluster.living(child.tier):
            self._screen.say(f"No {child.tier} node is left: the others are drained.")
            self._stop.set()

    async def _serve(self, cluster: LocalCluster, rolls: Rolls) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._screen.show, cluster.children)
            nursery.start_soon(rolls.run, self._stop)
            nursery.start_soon(self._roll_once, rolls)
            bots = Bots([cluster.url], self._count, self._ledger, random.Random())  # noqa: S311
            nursery.start_soon(self._play, bots)
            with trio.move_on_after(self._seconds):
                await self._stop.wait()
            self._stop.set()  # also after --seconds: the next signal is the second
            bots.stop()
            await self._let_bots_finish()
            self._ledger.close()
            await self._drain(cluster)
            nursery.cancel_scope.cancel()

    async def _roll_once(self, rolls: Rolls) -> None:
        """The roll of ``--roll-after``, and the stop after it."""
        if self._roll_after is None:
            return
        await trio.sleep(self._roll_after)
        if self._stop.is_set():
            return
        try:
            news = rolls.roll(AskRoll())
        except ClusterFailed as refused:
            self._screen.say(str(refused))
            self._roll_code = ExitCode.CRASHED
        else:
            async for item in news:
                if isinstance(item, RollReport):
                    self._roll_code = item.exit_code
        self._stop.set()

    async def _play(self, bots: Bots) -> None:
        await bots.run()
        self._bots_done.set()

    async def _let_bots_finish(self) -> None:
        if self._bots_done.is_set():
            return
        self._screen.say("Stopping: the bots finish their matches, then all nodes drain.")
        with trio.move_on_after(self._plan.drain.grace_seconds):
            await _unless(self._cut, self._bots_done.wait)

    async def _drain(self, cluster: LocalCluster) -> None:
        """One grace for both tiers: at its end, who is still on an api node is moved at once."""
        over_at = trio.current_time() + self._plan.drain.grace_seconds
        self._screen.say(
            "All nodes drain: the game nodes, while their players stay; then the rest."
        )
        cluster.stop("game")
        if not await _unless(self._cut, partial(cluster.wait_ended, "game")):
            self._screen.say("Once more: what still runs is cut.")
            cluster.hurry("game")
            await cluster.wait_ended("game")
        cluster.stop("api")
        with trio.move_on_at(over_at):
            if await _unless(self._cut, partial(cluster.wait_ended, "api")):
                return
        cluster.hurry("api")
        await cluster.wait_ended("api")


def _demos(cluster: LocalCluster) -> list[str]:
    """The page on each api node's admin port; it asks for the clients' port."""
    admins = [api.ready.admin for api in cluster.living("api") if api.ready is not None]
    return [f"http://{admin}/demo?ws={cluster.url}" for admin in admins]


async def _unless(event: trio.Event, work: Callable[[], Awaitable[object]]) -> bool:
    """Runs ``work``, cancelled once ``event`` is set; whether it came to its end."""
    ended = False
    with lone_error():
        async with trio.open_nursery() as nursery:

            async def cancel() -> None:
                await event.wait()
                nursery.cancel_scope.cancel()

            nursery.start_soon(cancel)
            await work()
            ended = True
            nursery.cancel_scope.cancel()
    return ended
