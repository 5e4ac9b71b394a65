"""Runs one roll of a local cluster: carries out the steps of :mod:`lastcall.local.roll.plan`."""

from __future__ import annotations

from collections.abc import Callable
from typing import assert_never

import httpx
import trio

from lastcall.errors import ClusterFailed, UsageError
from lastcall.local.admin_client import ask_all, command, links, open_admin_client, status, token_in
from lastcall.local.child import Child
from lastcall.local.cluster import LocalCluster
from lastcall.local.control.messages import AskRoll, NodeReport, Progress, RollReport
from lastcall.local.roll.plan import (
    Cordon,
    Finish,
    GiveUp,
    Seen,
    Stage,
    Start,
    Step,
    Stop,
    Wait,
    next_step,
    next_version,
)
from lastcall.local.starting import not_ready, wait_serving
from lastcall.local.text_table import counted

ATTACHED_SECONDS = 2.0
"""For every api node to attach to a new game node. They read the list of game nodes five times a
second, and a join must not have to wait for that."""
POLL_SECONDS = 0.05
HANDSHAKE_SECONDS = 0.25
"""Between the cordon and the signal: handshakes under way finish, and none gets 503."""

STAGE_OF_PHASE = {
    "cordoned": Stage.CORDONED,
    "draining": Stage.DRAINING,
    "cutting": Stage.DRAINING,
}
"""The stage of an old node that an operator has cordoned or drained before the roll."""
TIERS = {"game": ("game",), "api": ("api",), "all": ("game", "api")}


class Roll:
    """One roll, from its order to its report. The old nodes are those that run at its creation.

    ``on_progress`` is called at each step.
    """

    def __init__(
        self, cluster: LocalCluster, order: AskRoll, on_progress: Callable[[Progress], None]
    ) -> None:
        self._cluster = cluster
        self._on_progress = on_progress
        self._started_at = trio.current_time()
        self._tiers = TIERS[order.tier]
        self._old = [child for tier in self._tiers for child in cluster.living(tier)]
        self._new: list[Child] = []
        self._stages = dict.fromkeys(self._old, Stage.SERVING)
        self._cordoned: list[Child] = []
        self._changed = trio.Event()
        self.tier = order.tier
        self.version = order.version or next_version(
            {child.version for child in self._old} or {cluster.plan.version}
        )
        self.failure: str | None = "the cluster was told to stop in the middle of the roll"
        """Why the roll has failed; None once it is finished."""

    @property
    def seconds(self) -> float:
        """Seconds since the roll began."""
        return trio.current_time() - self._started_at

    @property
    def ended(self) -> int:
        """How many of the old nodes have ended."""
        return sum(self._stages[child] is Stage.ENDED for child in self._old)

    @property
    def of(self) -> int:
        """How many old nodes there were."""
        return len(self._old)

    async def run(self) -> None:
        """Returns when every old node has ended, or when the roll has failed.

        Cancelled, it leaves everything as it is: the cluster is stopping.
        """
        token = token_in(self._cluster.plan.admin_token_file)
        async with open_admin_client(token) as client, trio.open_nursery() as nursery:
            await self._read_stages(client)
            for child in self._old:
                nursery.start_soon(self._watch_old, child)
            step: Step = Wait()
            while not isinstance(step, Finish | GiveUp):
                self._changed = trio.Event()
                step = next_step(
                    self._tiers,
                    [
                        Seen(child.name, child.tier, child in self._new, stage)
                        for child, stage in self._stages.items()
                    ],
                )
                await self._do(step, client, nursery)
            nursery.cancel_scope.cancel()

    async def _do(self, step: Step, client: httpx.AsyncClient, nursery: trio.Nursery) -> None:
        match step:
            case Start(tier):
                child = self._cluster.launch(tier, self.version)
                self._new.append(child)
                self._enter(child, Stage.STARTING, "starts")
                nursery.start_soon(self._watch_new, child, client)
            case Cordon(names):
                await self._cordon(names, client)
            case Stop(name):
                child = next(child for child in self._old if child.name == name)
                self._enter(child, Stage.DRAINING, "drains")
                nursery.start_soon(self._cluster.replace, child)
            case GiveUp(name):
                await self._give_up(name, client)
            case Wait():
                await self._changed.wait()
            case Finish():
                self.failure = None
            case _:
                assert_never(step)

    # Old nodes.

    async def _read_stages(self, client: httpx.AsyncClient) -> None:
        """A node that an operator has cordoned or drained stays cordoned or drained."""

        async def phase(child: Child) -> str:
            now = await status(client, child.ready.admin) if child.ready else None
            return now.phase if now else ""

        for child, found in zip(self._old, await ask_all(self._old, phase), strict=True):
            self._enter(child, STAGE_OF_PHASE.get(found, Stage.SERVING), "will be replaced")

    async def _watch_old(self, child: Child) -> None:
        await child.ended.wait()
        self._enter(child, Stage.ENDED, _how_it_ended(child))

    async def _cordon(self, names: tuple[str, ...], client: httpx.AsyncClient) -> None:
        for child in [child for child in self._old if child.name in names]:
            problem = await _send_command(child, "cordon", client)
            self._cordoned.append(child)
            if self._stages[child] is Stage.SERVING:
                self._enter(child, Stage.CORDONED, problem or "is cordoned")
        await trio.sleep(HANDSHAKE_SECONDS)

    # New nodes.

    async def _watch_new(self, child: Child, client: httpx.AsyncClient) -> None:
        try:
            with trio.fail_after(self._cluster.plan.start_seconds):
                await wait_serving(child, client)
            if child.tier == "game":
                apis = sum(api.ready is not None for api in self._cluster.living("api"))
                await _wait_attached(child, apis, client)
            child.serving = True
            self._enter(child, Stage.READY, "is ready")
            await child.ended.wait()
            self.failure = f"{child.how_it_ended()} in the middle of the roll"
        except trio.TooSlowError:
            self.failure = str(not_ready([child], self._cluster.plan.start_seconds))
        except (ClusterFailed, UsageError) as error:
            self.failure = str(error)
        self._enter(child, Stage.FAILED, "has failed")

    async def _give_up(self, name: str, client: httpx.AsyncClient) -> None:
        child = next(child for child in self._new if child.name == name)
        if not child.serving:
            await self._cluster.discard(child)
        for cordoned in self._cordoned:
            if self._stages[cordoned] is Stage.CORDONED:
                problem = await _send_command(cordoned, "uncordon", client)
                self._enter(cordoned, Stage.SERVING, problem or "is uncordoned")
        left = [c.name for c in self._old if self._stages[c] is Stage.SERVING]
        self.failure = f"{self.failure}\nOld nodes that still serve: {', '.join(left) or 'none'}"

    # Progress and report.

    def _enter(self, child: Child, stage: Stage, text: str) -> None:
        self._stages[child] = stage
        self._changed.set()
        self._on_progress(
            Progress(
                at=round(self.seconds, 3),
                node=child.name,
                version=child.version,
                stage=stage,
                text=f"{child.name} ({child.version}) {text}",
                admin=child.ready.admin if child.ready else "",
            )
        )

    def report(self) -> RollReport:
        """How the roll went, or how far it is."""
        stopped = [c for c in self._old if self._stages[c] in {Stage.DRAINING, Stage.ENDED}]
        return RollReport(
            tier=self.tier,
            version=self.version,
            seconds=round(self.seconds, 3),
            nodes=tuple(_node_report(child) for child in stopped),
            started=tuple(c.name for c in self._new if self._stages[c] is Stage.READY),
            failure=self.failure,
        )


def _node_report(child: Child) -> NodeReport:
    refusals = tuple(child.refusals)
    return NodeReport(child.name, child.version, child.exit_code, child.finished, refusals)


async def _send_command(child: Child, verb: str, client: httpx.AsyncClient) -> str | None:
    """Tells a node to cordon or uncordon; returns why that failed: the roll goes on without it."""
    if child.ready is None:
        return f"is not ready, so it cannot {verb}"
    try:
        await command(client, child.ready.admin, verb)
    except ClusterFailed as refused:
        return f"does not {verb}: {refused}"
    return None


async def _wait_attached(child: Child, apis: int, client: httpx.AsyncClient) -> None:
    """Returns when this many api nodes have attached to a new game node, or after two seconds."""
    assert child.ready is not None  # noqa: S101 - it answers /readyz
    with trio.move_on_after(ATTACHED_SECONDS):
        while True:
            attached = await links(client, child.ready.admin)
            if attached is None or attached >= apis:
                return
            await trio.sleep(POLL_SECONDS)


def _how_it_ended(child: Child) -> str:
    how = child.how_it_ended().removeprefix(f"{child.name} ")
    done = child.finished
    if done is None:
        return how
    moved = (
        f"; {counted(done.rooms_handed_off, 'room')} handed off" if done.rooms_handed_off else ""
    )
    return f"{how} after {done.seconds:.1f} s{moved}"
