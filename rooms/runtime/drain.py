"""The drain: one driver for both tiers, with three nested lifetimes.

::

    services          bus, feeds, admin port: serve whatever still lives
    └── work          rooms on a game node, clients on an api node
        └── doors     the accept loop, the verb that opens rooms

Stop asked: the phase changes (readiness and feeds say so), the lame duck passes, the doors are
cancelled, the tier tells its rooms and clients the seconds left, and then the driver waits until
the work is empty. At grace - farewell what is left is cut; a second stop cuts at once. The farewell
runs inside a shielded scope with a deadline, and nothing outlives grace: what does not yield to
cancellation is reported as cut, and the process is ended under it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from math import inf
from typing import Protocol

import structlog
import trio
from msgspec.structs import asdict

from lastcall.core.lifecycle import Event, Lifecycle, Phase
from lastcall.policy import DrainPolicy
from lastcall.reasons import ExitCode
from lastcall.wire.reports import Counts, DrainFinished

__all__ = ["Counts", "Drain", "Tier"]

log = structlog.get_logger()

PROGRESS_EVERY_SECONDS = 5.0
LOOK_EVERY_SECONDS = 0.25
WHY_LOGGED = 10
"""Sentences in one event; ``/status`` has more."""
REPORT_SECONDS = 0.1
"""Before the end of grace, kept for the report and the exit."""


class Tier(Protocol):
    """What a kind of node lends the driver."""

    async def start(self, services: trio.Nursery) -> None:
        """Brings the services up and returns when the node can serve; may be cancelled."""

    async def keep_doors_open(self, work: trio.Nursery) -> None:
        """Lets new rooms or clients into ``work`` until cancelled."""

    def phase_changed(self) -> None:
        """The phase is another: readiness and feeds must say so at once."""

    def begin_drain(self, seconds_left: float) -> None:
        """The doors are closed: tell rooms and clients, and let go what can go."""

    @property
    def left(self) -> int:
        """How many rooms or clients keep the node up."""

    async def wait_empty(self) -> None:
        """Until the last room or client is gone."""

    def cut(self) -> None:
        """End what is left, inside the farewell."""

    async def farewell(self) -> None:
        """The work is empty: say goodbye to the other tier; will be cancelled at its deadline."""

    def counts(self) -> Counts:
        """What became of rooms and clients since the drain began."""

    def why(self) -> list[str]:
        """What still keeps the node up, a sentence each."""


class Drain:
    """One node's way from its start to its end.

    ``end_process`` is called with the exit code when something that cannot be cancelled is left
    at the end of grace; in a node it does not return.
    """

    def __init__(self, policy: DrainPolicy, end_process: Callable[[int], None]) -> None:
        self.policy = policy
        self._end_process = end_process
        self._life = Lifecycle()
        self._stopping = trio.Event()
        self._stopped_at = inf
        self._starting = trio.CancelScope()
        self._patience = trio.CancelScope()
        self._changed: Callable[[], None] = lambda: None
        self.overdue = False
        """At the end of grace something still would not yield to cancellation."""

    @property
    def phase(self) -> Phase:
        """Where the node is in its life."""
        return self._life.phase

    @property
    def cut_at(self) -> float:
        """When what is left is cut, in trio's time; ``inf`` before a stop."""
        return self._stopped_at + self.policy.cut_seconds

    @property
    def seconds_left(self) -> float | None:
        """Seconds to the cut, or None while no drain is under way."""
        if self._stopped_at == inf:
            return None
        return max(0.0, self.cut_at - trio.current_time())

    def stop(self, seconds_ago: float = 0.0) -> None:
        """A signal: the first drains, the second cuts, more change nothing. Call it in trio.

        ``seconds_ago``: when it came, if the loop was not there to take it; grace runs from then.
        """
        if not self._life.knows(Event.STOP):
            return
        if self._stopped_at == inf:
            self._stopped_at = trio.current_time() - seconds_ago
        phase = self._step(Event.STOP)
        self._stopping.set()
        self._starting.cancel()
        if phase is Phase.CUTTING:
            self._patience.cancel()

    def cordon(self) -> None:
        """Refuses new work without leaving; raises :class:`lastcall.errors.WrongEvent`."""
        self._step(Event.CORDON)

    def uncordon(self) -> None:
        """Serves again; raises :class:`lastcall.errors.WrongEvent`."""
        self._step(Event.UNCORDON)

    def _step(self, event: Event) -> Phase:
        phase = self._life.on(event)
        log.info("node.phase", phase=phase)
        self._changed()
        return phase

    async def run(self, tier: Tier, on_ready: Callable[[], None] = lambda: None) -> ExitCode:
        """Starts, serves, drains, and returns how the node ended.

        ``on_ready`` is called once, when the node serves. A stop while starting ends the node.
        """
        async with trio.open_nursery() as services:
            with self._starting:
                await tier.start(services)
                self._changed = tier.phase_changed
                if self._life.knows(Event.READY):
                    self._step(Event.READY)
                    on_ready()
            if self.phase is not Phase.STOPPED:
                async with trio.open_nursery() as work:
                    await self._serve(tier, work)
                    await self._finish(tier)
                    work.cancel_scope.cancel()
            services.cancel_scope.cancel()
        self._report(tier)
        return ExitCode.CUT if tier.counts().cut else ExitCode.DRAINED

    async def _serve(self, tier: Tier, work: trio.Nursery) -> None:
        """Doors open, until a stop and the lame duck are over."""
        async with trio.open_nursery() as doors:
            doors.start_soon(tier.keep_doors_open, work)
            await self._stopping.wait()
            log.info("drain.started", grace=self.policy.grace_seconds, why=tier.why()[:WHY_LOGGED])
            lame_duck_until = self._stopped_at + self.policy.lame_duck_seconds
            await self._until(lame_duck_until, trio.sleep_forever)
            doors.cancel_scope.cancel()

    async def _finish(self, tier: Tier) -> None:
        """Work runs on until it is empty, or the deadline, or the second stop."""
        tier.begin_drain(self.seconds_left or 0.0)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._progress, tier)
            emptied = await self._until(self.cut_at, tier.wait_empty)
            nursery.cancel_scope.cancel()
        grace_at = self._stopped_at + self.policy.grace_seconds
        if self.phase is Phase.CUTTING:  # the second stop: the farewell begins now
            grace_at = min(grace_at, trio.current_time() + self.policy.farewell_seconds)
        if not emptied:
            emptied = await self._cut(tier, grace_at - REPORT_SECONDS)
        if not emptied:
            self.overdue = True
            self._report(tier)
            self._end_process(ExitCode.CUT)
        self._step(Event.EMPTIED)
        with trio.CancelScope(deadline=grace_at - REPORT_SECONDS, shield=True):
            await tier.farewell()

    async def _cut(self, tier: Tier, until: float) -> bool:
        if self.phase is Phase.DRAINING:
            self._step(Event.DEADLINE)
        tier.cut()
        with trio.CancelScope(deadline=until, shield=True):
            await tier.wait_empty()
            return True
        return False

    async def _until(self, deadline: float, wait: Callable[[], Awaitable[None]]) -> bool:
        """Whether ``wait`` came to its end before the deadline and before the second stop."""
        if self.phase is Phase.CUTTING:
            return False
        with trio.CancelScope(deadline=deadline) as self._patience:
            await wait()
            return True
        return False

    async def _progress(self, tier: Tier) -> None:
        """Says how far it is: every 5 s, and whenever another tenth of the work has gone."""
        total = tier.left
        tenths, said_at = 0, trio.current_time()
        while True:
            await trio.sleep(LOOK_EVERY_SECONDS)
            left, now = tier.left, trio.current_time()
            gone = 10 * (total - left) // total if total else 0
            if gone > tenths or now - said_at >= PROGRESS_EVERY_SECONDS:
                tenths, said_at = max(gone, tenths), now
                seconds_left = round(self.seconds_left or 0.0, 1)
                why = tier.why()[:WHY_LOGGED]
                log.info("drain.progress", left=left, seconds_left=seconds_left, why=why)

    def _report(self, tier: Tier) -> None:
        seconds = trio.current_time() - self._stopped_at
        finished = DrainFinished(**asdict(tier.counts()), seconds=round(seconds, 3))
        log.info("drain.finished", **asdict(finished))
