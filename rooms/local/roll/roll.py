"""One roll of a local cluster: does what :mod:`lastcall.local.roll.plan` decides, and reports."""

from __future__ import annotations

from collections.abc import Callable
from typing import assert_never

import httpx
import trio

from lastcall.errors import ClusterFailed, UsageError
from lastcall.local.admin_client import ask_all, command, links, open_admin_client, status
from lastcall.local.child import Child
from lastcall.local.cluster import READY_SECONDS, LocalCluster, wait_serving
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

__all__ = ["Roll"]

ATTACHED_SECONDS = 2.0
"""How long a new game node is waited for until every api node has met it. They read the list of
game nodes every half second, and a join must not have to wait for that."""
POLL_SECONDS = 0.05
HANDSHAKE_SECONDS = 0.25
"""Between the cordon and the signal: handshakes under way come to their end, and none gets 503."""

BY_HAND = {
    "cordoned": Stage.CORDONED,
    "draining": Stage.DRAINING,
    "cutting": Stage.DRAINING,
}
"""Phases in which a roll may find an old node."""
TIERS = {"game": ("game",), "api": ("api",), "all": ("game", "api")}


class Roll:
    """From the order to the report. The old nodes are those that run when :meth:`run` begins.

    ``tell`` hears of each step; ``ready_seconds`` is what a new node has to get ready.
    """

    def __init__(
        self,
        cluster: LocalCluster,
        order: AskRoll,
        tell: Callable[[Progress], None],
        *,
        ready_seconds: float = READY_SECONDS,
    ) -> None:
        self._cluster = cluster
        self._tell = tell
        self._ready_seconds = ready_seconds
        self._began = trio.current_time()
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
        """Since the roll began."""
        return trio.current_time() - self._began

    async def run(self) -> None:
        """Returns when every old node has ended, or when the roll has failed.

        Cancelled, it leaves everything as it is: the cluster is stopping.
        """
        async with open_admin_client() as client, trio.open_nursery() as nursery:
            await self._meet(client)
            for child in self._old:
                nursery.start_soon(self._watch_old, child)
            step: Step = Wait()
            while not isinstance(step, Finish | GiveUp):
                self._changed = trio.Event()
                step = next_step(self._tiers, self._seen())
                await self._do(step, client, nursery)
            nursery.cancel_scope.cancel()

    def _seen(self) -> list[Seen]:
        return [
            Seen(child.name, child.tier, child in self._new, stage)
            for child, stage in self._stages.items()
        ]

    async def _do(self, step: Step, client: httpx.AsyncClient, nursery: trio.Nursery) -> None:
        match step:
            case Start(tier):
                self._start(tier, client, nursery)
            case Cordon(names):
                await self._cordon(names, client)
            case Stop(name):
                self._stop(name, nursery)
            case GiveUp(name):
                await self._give_up(name, client)
            case Wait():
                await self._changed.wait()
            case Finish():
                self.failure = None
            case _:
                assert_never(step)

    # Old nodes.

    async def _meet(self, client: httpx.AsyncClient) -> None:
        """One that somebody has cordoned or drained by hand stays so."""

        async def phase(child: Child) -> str:
            now = await status(client, child.ready.admin) if child.ready else None
            return now.phase if now else ""

        for child, found in zip(self._old, await ask_all(self._old, phase), strict=True):
            self._enter(child, BY_HAND.get(found, Stage.SERVING), "is to be replaced")

    async def _watch_old(self, child: Child) -> None:
        await child.ended.wait()
        self._enter(child, Stage.ENDED, _how_it_ended(child))

    async def _cordon(self, names: tuple[str, ...], client: httpx.AsyncClient) -> None:
        for child in [child for child in self._old if child.name in names]:
            trouble = await self._command(child, "cordon", client)
            self._cordoned.append(child)
            if self._stages[child] is Stage.SERVING:
                self._enter(child, Stage.CORDONED, trouble or "is cordoned")
        await trio.sleep(HANDSHAKE_SECONDS)

    async def _command(self, child: Child, verb: str, client: httpx.AsyncClient) -> str | None:
        """What is wrong with it; a roll goes on without a cordon."""
        if child.ready is None:
            return f"cannot be asked to {verb}"
        try:
            await command(client, child.ready.admin, verb)
        except ClusterFailed as refused:
            return f"does not {verb}: {refused}"
        return None

    def _stop(self, name: str, nursery: trio.Nursery) -> None:
        child = next(child for child in self._old if child.name == name)
        self._enter(child, Stage.DRAINING, "drains")
        nursery.start_soon(self._cluster.retire, child)

    # New nodes.

    def _start(self, tier: str, client: httpx.AsyncClient, nursery: trio.Nursery) -> None:
        child = self._cluster.launch(tier, self.version)
        self._new.append(child)
        self._enter(child, Stage.STARTING, "starts")
        nursery.start_soon(self._watch_new, child, client)

    async def _watch_new(self, child: Child, client: httpx.AsyncClient) -> None:
        try:
            with trio.fail_after(self._ready_seconds):
                await wait_serving(child, client)
            if child.tier == "game":
                await self._wait_attached(child, client)
            child.on_duty = True
            self._enter(child, Stage.READY, "is ready")
            await child.ended.wait()
            self.failure = f"{child.how_it_ended()} in the middle of the roll"
        except trio.TooSlowError:
            words = f"its last words:\n{child.last_words_text()}"
            self.failure = f"{child.name} is not ready after {self._ready_seconds:g} s; {words}"
        except (ClusterFailed, UsageError) as error:
            self.failure = str(error)
        self._enter(child, Stage.FAILED, "has failed")

    async def _wait_attached(self, child: Child, client: httpx.AsyncClient) -> None:
        """Until every api node that runs has met it, or for two seconds."""
        assert child.ready is not None  # noqa: S101 - it has answered
        apis = sum(api.ready is not None for api in self._cluster.living("api"))
        with trio.move_on_after(ATTACHED_SECONDS):
            while True:
                met = await links(client, child.ready.admin)
                if met is None or met >= apis:
                    return
                await trio.sleep(POLL_SECONDS)

    async def _give_up(self, name: str, client: httpx.AsyncClient) -> None:
        child = next(child for child in self._new if child.name == name)
        if not child.on_duty:
            await self._cluster.discard(child)
        for cordoned in self._cordoned:
            if self._stages[cordoned] is Stage.CORDONED:
                trouble = await self._command(cordoned, "uncordon", client)
                self._enter(cordoned, Stage.SERVING, trouble or "is uncordoned")
        left = [c.name for c in self._old if self._stages[c] is Stage.SERVING]
        self.failure = f"{self.failure}\nOld nodes that serve on: {', '.join(left) or 'none'}"

    # What others see.

    def _enter(self, child: Child, stage: Stage, text: str) -> None:
        self._stages[child] = stage
        self._changed.set()
        self._tell(
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
        """How it went, or how it stands."""
        told = [c for c in self._old if self._stages[c] in {Stage.DRAINING, Stage.ENDED}]
        return RollReport(
            tier=self.tier,
            version=self.version,
            seconds=round(self.seconds, 3),
            nodes=tuple(NodeReport(c.name, c.version, c.exit_code, c.finished) for c in told),
            started=tuple(c.name for c in self._new if self._stages[c] is Stage.READY),
            failure=self.failure,
        )


def _how_it_ended(child: Child) -> str:
    words = child.how_it_ended().removeprefix(f"{child.name} ")
    return f"{words} after {child.finished.seconds:.1f} s" if child.finished else words
