"""Closes silent connections at a port for other nodes, and tells the operator what it refuses."""

from __future__ import annotations

import trio

from lastcall.bus.base import Responder, Subscriber
from lastcall.runtime.rated_log import RatedLog

LOOK_SECONDS = 5.0
PAUSE_TIMES = 100
"""The pause is at least so many times as long as the look: the kernel's table has the connections
of the whole machine, and reading it may take half a second of processor time."""


class RefusedConnections:
    """The refusals at the port of ``option``: over the bounds, by TLS, and for silence."""

    def __init__(self, option: str) -> None:
        self._option = option
        self._over = RatedLog("links.too_many_connections")
        self._tls = RatedLog("links.tls_refused")
        self._silent = RatedLog("links.silent_connections")

    @property
    def over(self) -> int:
        """How many connections were refused since there were too many, a few seconds ago."""
        return self._over.count

    async def watch(self, end: Responder | Subscriber) -> None:
        """Looks every few seconds, or less often where a look takes long, until cancelled."""
        pause = LOOK_SECONDS
        while True:
            await trio.sleep(pause)
            began = trio.current_time()
            await end.close_silent()
            pause = max(LOOK_SECONDS, PAUSE_TIMES * (trio.current_time() - began))
            refused = end.refusals()
            if (more := refused.connections - self._over.count) > 0:
                hint = "more connections than this port takes: let only nodes reach it"
                self._over.warning(times=more, port=self._option, refused=more, hint=hint)
            if (more := refused.handshakes - self._tls.count) > 0:
                hint = "no certificate, an expired one, or one of another CA; see --cluster-tls"
                self._tls.warning(times=more, port=self._option, refused=more, hint=hint)
            if (more := refused.silent - self._silent.count) > 0:
                hint = "connections that never said anything: let only nodes reach this port"
                self._silent.warning(times=more, port=self._option, closed=more, hint=hint)
