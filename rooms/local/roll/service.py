"""Answers the control socket of a running cluster: its nodes, and its rolls, one at a time."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import msgspec
import structlog
import trio

from lastcall.errors import ClusterFailed
from lastcall.local.admin_client import ask_all, open_admin_client, status
from lastcall.local.bots.ledger import Ledger, Mark, at_quantile
from lastcall.local.child import Child
from lastcall.local.cluster import LocalCluster
from lastcall.local.control.messages import (
    AskRoll,
    DeadNode,
    NodeEntry,
    NodeList,
    Output,
    Players,
    Progress,
    Reply,
    RollReport,
)
from lastcall.local.roll.report import report_text
from lastcall.local.roll.roll import Roll
from lastcall.wire.views import RollNow

log = structlog.get_logger()

Shown = Output | Progress | RollReport

REPLIES_MAX = 1_000
"""Unread messages of a viewer; further ones are dropped."""
ERRORS_REPORTED = 5


class Rolls:
    """The rolls of one cluster, and the list of its nodes.

    ``bots`` is the number of bots that write the ``ledger``; without bots, a report has no players.
    ``tell`` is called with each step, the report and the nodes' output, and the text of each, for
    the terminal of ``lastcall up``; ``on_step`` with the node, or an empty text, and what it does,
    for its page. Before :meth:`run` there are no rolls, for the reason ``refusal``.
    """

    def __init__(
        self,
        cluster: LocalCluster,
        ledger: Ledger,
        bots: int,
        tell: Callable[[Shown, str], None],
        on_step: Callable[[str, str], None] = lambda _node, _text: None,
        *,
        refusal: str = "is still starting",
    ) -> None:
        self._cluster = cluster
        self._ledger = ledger
        self._bots = bots
        self._tell = tell
        self._on_step = on_step
        self._step = ""
        self._nursery: trio.Nursery | None = None
        self._refusal = refusal
        self._current: Roll | None = None
        self._viewer: trio.MemorySendChannel[Reply] | None = None

    @property
    def now(self) -> RollNow | None:
        """The roll that is under way."""
        roll = self._current
        return None if roll is None else RollNow(self._step, roll.ended, roll.of)

    def show_output(self, text: str) -> None:
        """Shows a node's output here, and to the viewer of the roll that is under way."""
        output = Output(text)
        self._tell(output, text)
        if self._viewer is not None:
            _offer(self._viewer, output)

    async def run(self, stop: trio.Event) -> None:
        """Takes orders until ``stop``; a roll that is under way then is left as it is."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            await stop.wait()
            self._nursery, self._refusal = None, "is stopping"
            nursery.cancel_scope.cancel()

    def roll(self, order: AskRoll) -> trio.MemoryReceiveChannel[Reply]:
        """Begins a roll; returns its progress, with the report last.

        The roll goes on when nobody reads. Raises :class:`ClusterFailed` while another roll is
        under way, and when the cluster is not serving.
        """
        if self._nursery is None:
            raise ClusterFailed(f"the local cluster {self._refusal}: it cannot be rolled now")
        if self._current is not None:
            raise ClusterFailed(
                f"a roll to {self._current.version} has been under way for "
                f"{self._current.seconds:.0f} s: wait until it is over"
            )
        send, receive = trio.open_memory_channel[Reply](REPLIES_MAX)

        def on_progress(progress: Progress) -> None:
            self._tell(progress, f"roll {progress.at:5.1f} s  {progress.text}")
            self._step = progress.text
            self._on_step(progress.node, progress.text)
            _offer(send, progress)

        self._current, self._step = Roll(self._cluster, order, on_progress), ""
        self._viewer = send
        self._nursery.start_soon(self._run, self._current, send)
        return receive

    async def _run(self, roll: Roll, send: trio.MemorySendChannel[Reply]) -> None:
        before = self._ledger.mark()
        try:
            await roll.run()
        except Exception as error:  # the border: a fault of the roll must not end the cluster
            log.exception("roll.failed")
            roll.failure = f"internal error: {error!r}"
        finally:
            self._current = self._viewer = None
            players = self._players(self._ledger.mark().since(before)) if self._bots else None
            report = msgspec.structs.replace(roll.report(), players=players)
            self._tell(report, report_text(report))
            self._on_step("", _outcome(report))
            _offer(send, report)
            send.close()

    def _players(self, seen: Mark) -> Players:
        errors = list(self._ledger.error_texts)[-min(seen.errors, ERRORS_REPORTED) :]
        return Players(
            bots=self._bots,
            refused=seen.refused,
            cut=seen.cut,
            lost=seen.lost,
            repeated=seen.repeated,
            matches=seen.matches,
            joins=seen.waits.total(),
            hops_max=max(seen.hops.values(), default=0),
            hops_mean=seen.hops.total() / self._bots,
            wait_p50=at_quantile(seen.waits, 0.5),
            wait_p99=at_quantile(seen.waits, 0.99),
            wait_max=at_quantile(seen.waits, 1),
            troubles=tuple(errors) if seen.errors else (),
        )

    async def nodes(self) -> NodeList:
        """The nodes whose process runs, with the phase that each one reports, and those that
        have died.
        """
        async with open_admin_client() as client:

            async def read(child: Child) -> NodeEntry:
                admin = child.ready.admin if child.ready else ""
                now = await status(client, admin) if admin else None
                phase = now.phase if now else ("no answer" if admin else "starting")
                return NodeEntry(child.name, child.tier, child.version, admin, child.pid, phase)

            entries = await ask_all(self._cluster.living(), read)
        dead = tuple(_dead(child) for child in self._cluster.dead())
        return NodeList(self._cluster.url, tuple(entries), dead)


def _outcome(report: RollReport) -> str:
    if report.failure is not None:
        return f"the roll has failed: {report.failure}"
    count = len(report.nodes)
    return f"the roll to {report.version} is over after {report.seconds:.1f} s: {count} nodes"


def _dead(child: Child) -> DeadNode:
    how = child.how_it_ended().removeprefix(f"{child.name} ").removeprefix("was ")
    return DeadNode(child.name, child.version, child.pid, how)


def _offer(send: trio.MemorySendChannel[Reply], reply: Reply) -> None:
    with suppress(trio.WouldBlock, trio.BrokenResourceError):  # the viewer is gone or does not read
        send.send_nowait(reply)
