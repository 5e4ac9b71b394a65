"""``lastcall up``: a whole cluster on this machine, with bots that play on it.

::

    start all nodes → ready → bots play → stop asked → bots finish → game nodes drain
                              └─ rolls, one at a time         → api nodes drain → summary

The game nodes drain first: players get the end of their room through an api node, and when all api
nodes leave, there is no other one to resume through.

The first Ctrl-C or SIGTERM, the end of ``seconds``, or the end of the roll of ``roll_after`` asks
for the stop; the next signal cuts. The control socket answers ``lastcall roll`` and ``status``
until the end.
"""

from __future__ import annotations

import math
import random
from collections.abc import AsyncIterator

import trio
from rich.console import Console

from lastcall.errors import ClusterFailed
from lastcall.exception_groups import lone_error
from lastcall.local.bots.bots import Bots
from lastcall.local.bots.ledger import Ledger
from lastcall.local.child import Child, node_command
from lastcall.local.cluster import LocalCluster, open_cluster
from lastcall.local.control.messages import AskRoll, RollReport
from lastcall.local.control.socket import serve_control
from lastcall.local.launcher import NodeCommand
from lastcall.local.plan import Plan
from lastcall.local.roll.service import Rolls
from lastcall.local.status_table import JsonScreen, Screen
from lastcall.local.stopping import count_signals, drain, run_unless
from lastcall.local.summary import exit_code, summarize, summary_text
from lastcall.local.told import Page, Ready
from lastcall.reasons import ExitCode


class Up:
    """One run of a cluster, from its start to its summary.

    With ``roll_after``, both tiers are rolled once, that many seconds after the cluster is ready,
    and then it stops.
    """

    def __init__(
        self,
        plan: Plan,
        *,
        bots: int,
        talkers: int = 0,
        seconds: float | None,
        roll_after: float | None = None,
        console: Console,
        as_json: bool = False,
        start: NodeCommand = node_command,
    ) -> None:
        self._plan = plan
        self._roll_after = roll_after
        self._roll_code = ExitCode.DRAINED
        self._seconds = math.inf if seconds is None else seconds
        self._start = start
        self._started_at = trio.current_time()
        self._stop = trio.Event()
        self._cut = trio.Event()
        self._bots_done = trio.Event()
        self._dead: list[Child] = []
        self._players, self._talkers = bots, talkers
        self._bots = bots + talkers
        self._ledger = Ledger(trio.current_time)
        screen = JsonScreen if as_json else Screen
        self._screen = screen(self._ledger, lambda: trio.current_time() - self._started_at, console)

    async def run(self, signals: AsyncIterator[int]) -> ExitCode:
        """Starts, serves and drains; returns the exit code. Each signal is a request to stop.

        Raises :class:`lastcall.errors.UsageError` and :class:`lastcall.errors.ClusterFailed` when
        the cluster does not start.
        """
        code = ExitCode.CRASHED
        with lone_error():
            async with trio.open_nursery() as nursery:
                nursery.start_soon(count_signals, signals, self._stop, self._cut)
                code = await self._run()
                nursery.cancel_scope.cancel()
        return code

    async def _run(self) -> ExitCode:
        def on_death(child: Child) -> None:
            self._on_death(cluster, child)  # no node serves before the cluster is open

            page.on_death(child)

        def show_output(text: str) -> None:
            rolls.show_output(text)  # no node runs before the cluster is open

        def on_event(line: bytes) -> None:
            page.on_output(line)

        def on_step(node: str, text: str) -> None:
            page.on_roll(node, text)

        start, screen = self._start, self._screen
        ledger = self._ledger if self._bots else None
        async with open_cluster(
            self._plan, on_death, start=start, show=show_output, on_event=on_event
        ) as cluster:
            screen.tell(Page(cluster.page), f"See and play: {cluster.page}")
            # This import takes long; the nodes start meanwhile.
            from lastcall.local.dashboard.local import LocalPage, serving  # noqa: PLC0415

            rolls = Rolls(cluster, self._ledger, self._bots, screen.tell, on_step)
            page = LocalPage(cluster, rolls, ledger)
            async with serving(page), serve_control(cluster.port, rolls, screen.print):
                await self._run_cluster(cluster, rolls)
        done = summarize(cluster.children, ledger, self._exit_code(cluster, ledger))
        screen.tell(done, summary_text(done))
        return ExitCode(done.exit_code)

    def _exit_code(self, cluster: LocalCluster, ledger: Ledger | None) -> ExitCode:
        codes = {exit_code(cluster.children, ledger), self._roll_code}
        if self._dead or ExitCode.CRASHED in codes:
            return ExitCode.CRASHED
        return max(codes)

    async def _run_cluster(self, cluster: LocalCluster, rolls: Rolls) -> None:
        if not await run_unless(self._stop, cluster.wait_ready):
            await drain(cluster, self._cut, self._screen.print)
            return
        seconds = trio.current_time() - self._started_at
        names = tuple(child.name for child in cluster.children)
        self._screen.tell(
            Ready(cluster.url, names, round(seconds, 3)),
            f"{', '.join(names)} are ready after {seconds:.1f} s.\n"
            f"Clients connect to {cluster.url}; Ctrl-C drains.",
        )
        await self._serve(cluster, rolls)

    def _on_death(self, cluster: LocalCluster, child: Child) -> None:
        how = child.how_it_ended()
        if child.drained:
            self._screen.print(f"{how}: another command told it to drain.")
        else:
            self._dead.append(child)
            self._screen.print(f"{how}. Its last output:\n{child.last_output()}")
        if not cluster.living(child.tier):
            self._screen.print(f"No {child.tier} node is left: the others drain.")
            self._stop.set()

    async def _serve(self, cluster: LocalCluster, rolls: Rolls) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._screen.show, cluster.children)
            nursery.start_soon(rolls.run, self._stop)
            nursery.start_soon(self._roll_once, rolls)
            bots = Bots(
                [cluster.url],
                self._players,
                self._ledger,
                random.Random(),  # noqa: S311
                talkers=self._talkers,
            )
            nursery.start_soon(self._play, bots)
            with trio.move_on_after(self._seconds):
                await self._stop.wait()
            self._stop.set()  # also after --seconds: the next signal is the second
            bots.stop()
            await self._let_bots_finish()
            self._ledger.close()
            await drain(cluster, self._cut, self._screen.print)
            nursery.cancel_scope.cancel()

    async def _roll_once(self, rolls: Rolls) -> None:
        """Runs the roll of ``--roll-after``, and then asks for the stop."""
        if self._roll_after is None:
            return
        await trio.sleep(self._roll_after)
        if self._stop.is_set():
            return
        try:
            async for reply in rolls.roll(AskRoll()):
                if isinstance(reply, RollReport):
                    self._roll_code = reply.exit_code
        except ClusterFailed as refused:
            self._screen.print(str(refused))
            self._roll_code = ExitCode.CRASHED
        self._stop.set()

    async def _play(self, bots: Bots) -> None:
        await bots.run()
        self._bots_done.set()

    async def _let_bots_finish(self) -> None:
        if self._bots_done.is_set():
            return
        self._screen.print("Stopping: the bots finish their matches, then all nodes drain.")
        with trio.move_on_after(self._plan.drain.grace_seconds):
            await run_unless(self._cut, self._bots_done.wait)
