"""The drain: one driver for both tiers, with three nested lifetimes.

::

    services          bus, feeds, admin port: serve whatever still lives
    └── work          rooms on a game node, clients on an api node
        └── doors     the accept loop, the verb that opens rooms

After a stop request: the phase changes (readiness and feeds show it), the lame duck passes, the
doors are cancelled, the tier tells its rooms and clients the seconds left, and the driver waits
until the work is empty. At grace - farewell the remaining work is cut; a second stop cuts at once.
The farewell runs inside a shielded scope with a deadline. Nothing outlives grace: work that does
not yield to cancellation is reported as cut, and the process is ended with it.
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

log = structlog.get_logger()

PROGRESS_EVERY_SECONDS = 5.0
CHECK_EVERY_SECONDS = 0.25
WHY_LOGGED = 10
"""Reasons in one event; ``/status`` has all."""
REPORT_SECONDS = 0.1
"""The end of grace, kept for the report and the exit."""


class Tier(Protocol):
    """The part of a node that the drain drives; each tier has its own."""

    async def start(self, services: trio.Nursery) -> None:
        """Starts the services and returns when the node can serve; may be cancelled."""

    async def keep_doors_open(self, work: trio.Nursery) -> None:
        """Admits new rooms or clients into ``work`` until cancelled."""

    def phase_changed(self) -> None:
        """The phase has changed: readiness and feeds must show it at once."""

    def begin_drain(self, seconds_left: float) -> None:
        """The doors are closed: tell rooms and clients, and release those that can leave."""

    @property
    def left(self) -> int:
        """The number of rooms or clients that keep the node up."""

    async def wait_empty(self) -> None:
        """Returns when the last room or client is gone."""

    def cut(self) -> None:
        """Ends the remaining rooms or clients, inside the farewell."""

    async def farewell(self) -> None:
        """The work is empty: announces the end to the other tier; cancelled at its deadline."""

    def counts(self) -> Counts:
        """How rooms and clients have ended since the drain began."""

    def why(self) -> list[str]:
        """The reasons why the node is still up, one sentence each."""


class Drain:
    """Drives one node from its start to its end.

    ``end_process`` is called with the exit code when work that cannot be cancelled is left at the
    end of grace; in a node it does not return.
    """

    def __init__(self, policy: DrainPolicy, end_process: Callable[[int], None]) -> None:
        self.policy = policy
        self._end_process = end_process
        self._lifecycle = Lifecycle()
        self._stopping = trio.Event()
        self._stopped_at = inf
        self._starting = trio.CancelScope()
        self._waiting = trio.CancelScope()
        self._on_phase: list[Callable[[], None]] = []
        self.overdue = False
        """Work was left at the end of grace that did not yield to cancellation."""

    @property
    def phase(self) -> Phase:
        """The phase of the node's lifecycle."""
        return self._lifecycle.phase

    @property
    def cut_at(self) -> float:
        """When the remaining work is cut, in trio's time; ``inf`` before a stop."""
        return self._stopped_at + self.policy.cut_seconds

    @property
    def seconds(self) -> float:
        """Seconds since the stop; 0 before it."""
        return max(0.0, trio.current_time() - self._stopped_at)

    @property
    def seconds_left(self) -> float | None:
        """Seconds to the cut, or None while no drain is under way."""
        if self._stopped_at == inf:
            return None
        return max(0.0, self.cut_at - trio.current_time())

    def stop(self, seconds_ago: float = 0.0) -> None:
        """A stop request: the first drains, the second cuts, more change nothing. Call it in trio.

        ``seconds_ago`` is how long ago it came, if the loop was busy; grace runs from then.
        """
        if not self._lifecycle.knows(Event.STOP):
            return
        if self._stopped_at == inf:
            self._stopped_at = trio.current_time() - seconds_ago
        phase = self._step(Event.STOP)
        self._stopping.set()
        self._starting.cancel()
        if phase is Phase.CUTTING:
            self._waiting.cancel()

    def cordon(self) -> None:
        """Refuses new work without draining; raises :class:`lastcall.errors.WrongEvent`."""
        self._step(Event.CORDON)

    def uncordon(self) -> None:
        """Serves again; raises :class:`lastcall.errors.WrongEvent`."""
        self._step(Event.UNCORDON)

    def _step(self, event: Event) -> Phase:
        phase = self._lifecycle.on(event)
        log.info("node.phase", phase=phase)
        for callback in self._on_phase:
            callback()
        return phase

    async def run(self, tier: Tier, on_ready: Callable[[], None] = lambda: None) -> ExitCode:
        """Starts, serves, drains, and returns how the node ended.

        ``on_ready`` is called once, when the node serves. A stop while starting ends the node.
        """
        async with trio.open_nursery() as services:
            with self._starting:
                await tier.start(services)
                self._on_phase.append(tier.phase_changed)
                if self._lifecycle.knows(Event.READY):
                    self._step(Event.READY)
                    on_ready()
            if self.phase is not Phase.STOPPED:
                async with trio.open_nursery() as work:
                    await self._serve(tier, work)
                    await self._finish(tier)
                    work.cancel_scope.cancel()
            services.cancel_scope.cancel()
        log.info("drain.finished", **_finished(tier.counts(), self.seconds))
        return ExitCode.CUT if tier.counts().cut else ExitCode.DRAINED

    async def _serve(self, tier: Tier, work: trio.Nursery) -> None:
        """Keeps the doors open until the stop and the end of the lame duck."""
        async with trio.open_nursery() as doors:
            doors.start_soon(tier.keep_doors_open, work)
            await self._stopping.wait()
            log.info("drain.started", grace=self.policy.grace_seconds, why=tier.why()[:WHY_LOGGED])
            lame_duck_until = self._stopped_at + self.policy.lame_duck_seconds
            await self._until(lame_duck_until, trio.sleep_forever)
            doors.cancel_scope.cancel()

    async def _finish(self, tier: Tier) -> None:
        """Lets the work finish, until the deadline or the second stop; then cuts it."""
        tier.begin_drain(self.seconds_left or 0.0)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_log_progress, self, tier)
            emptied = await self._until(self.cut_at, tier.wait_empty)
            nursery.cancel_scope.cancel()
        grace_at = self._stopped_at + self.policy.grace_seconds
        if self.phase is Phase.CUTTING:  # the second stop: the farewell begins now
            grace_at = min(grace_at, trio.current_time() + self.policy.farewell_seconds)
        if not emptied:
            emptied = await self._cut(tier, grace_at - REPORT_SECONDS)
        if not emptied:
            self.overdue = True
            log.info("drain.finished", **_finished(tier.counts(), self.seconds))
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
        """Whether ``wait`` returned before the deadline and before the second stop."""
        if self.phase is Phase.CUTTING:
            return False
        with trio.CancelScope(deadline=deadline) as self._waiting:
            await wait()
            return True
        return False

    def overrun(self, tier: Tier, seconds: float) -> dict[str, object]:
        """The fields of ``drain.finished`` if the process ends now, ``seconds`` after the stop,
        with a blocked loop: whatever is left is cut. Called in the watchdog's thread.
        """
        self.overdue = True
        return _finished(tier.counts(), seconds)


async def _log_progress(drain: Drain, tier: Tier) -> None:
    """Logs the progress: every 5 s, and whenever another tenth of the work has ended."""
    total = tier.left
    tenths, logged_at = 0, trio.current_time()
    while True:
        await trio.sleep(CHECK_EVERY_SECONDS)
        left, now = tier.left, trio.current_time()
        done = 10 * (total - left) // total if total else 0
        if done > tenths or now - logged_at >= PROGRESS_EVERY_SECONDS:
            tenths, logged_at = max(done, tenths), now
            seconds_left = round(drain.seconds_left or 0.0, 1)
            why = tier.why()[:WHY_LOGGED]
            log.info("drain.progress", left=left, seconds_left=seconds_left, why=why)


def nothing_drained(seconds: float) -> dict[str, object]:
    """The fields of ``drain.finished`` for a node that has not served."""
    return _finished(Counts(), seconds)


def _finished(counts: Counts, seconds: float) -> dict[str, object]:
    return asdict(DrainFinished(**asdict(counts), seconds=round(seconds, 3)))
