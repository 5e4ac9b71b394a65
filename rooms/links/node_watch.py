"""Whether the game node at the other end of a link lives.

While a request waits for its answer, a refused connection is certain, and silence is judged by
:mod:`lastcall.core.link.liveness`. A connection that breaks proves nothing, but is a reason to ask,
and to probe at once: a process that dies closes its connections.
"""

from __future__ import annotations

from typing import Protocol

import trio

from lastcall.bus.base import Bus, Caller, Probe
from lastcall.core.link.liveness import Liveness, Verdict
from lastcall.policy import LinkPolicy
from lastcall.runtime.ticks import next_tick

BROKEN_SECONDS = (0.001, 0.004, 0.01, 0.02, 0.04, 0.08)
"""The pauses before the probes that follow a broken connection: a process that dies may close the
socket at which it listens a moment after the others."""


class Watched(Protocol):
    """The link, as the watch tells it what it finds."""

    def ask_now(self) -> None:
        """Sends a request, also without items."""

    def node_lost(self, *, certain: bool) -> None:
        """It is ``certain`` that the process has ended, or it has been silent for too long."""

    def node_silent(self, *, silent: bool) -> None:
        """Whether nothing new may be sent to it; also if nothing has changed."""


class NodeWatch:
    """Watches the process at ``address`` for a link, whose requests ``caller`` sends."""

    def __init__(self, address: str, *, bus: Bus, caller: Caller, policy: LinkPolicy) -> None:
        self._address = address
        self._bus = bus
        self._caller = caller
        self._policy = policy
        self._liveness = Liveness(policy, trio.current_time())
        self.asked_at: float | None = None
        """Since when a request waits for its answer; None while none does."""

    def asked(self, now: float) -> None:
        """A request was sent."""
        self.asked_at = now

    def answered(self, now: float) -> None:
        """It was answered."""
        self.asked_at = None
        self._liveness.heard(now)

    async def run(self, link: Watched) -> None:
        """Tells ``link`` what it finds, until cancelled."""
        self._liveness = Liveness(self._policy, trio.current_time())
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._look, link)
            nursery.start_soon(self._follow_connection, link)

    async def _look(self, link: Watched) -> None:
        seconds = self._policy.probe_seconds
        while True:
            await next_tick(seconds)
            now = trio.current_time()
            self._liveness.turned(now)
            if self.asked_at is None or now - self.asked_at < seconds:
                continue
            await self._probe(link)
            self._liveness.turned(trio.current_time())  # the probe may have waited
            verdict = self._liveness.verdict(trio.current_time())
            if verdict is Verdict.LOST:
                link.node_lost(certain=False)
            elif verdict is Verdict.SILENT:
                link.node_silent(silent=True)

    async def _follow_connection(self, link: Watched) -> None:
        while True:
            await self._caller.wait_broken()
            link.ask_now()
            for pause in BROKEN_SECONDS:
                await trio.sleep(pause)
                await self._probe(link)

    async def _probe(self, link: Watched) -> None:
        """Finds out whether the address refuses connections while our request waits."""
        asked_at = self.asked_at
        probe = await self._bus.probe(self._address, self._policy.probe_seconds)
        if probe is Probe.REFUSED and asked_at is not None and asked_at == self.asked_at:
            link.node_lost(certain=True)
