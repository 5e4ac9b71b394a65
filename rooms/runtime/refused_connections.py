"""Tells the operator that a port for other nodes refuses connections."""

from __future__ import annotations

from collections.abc import Callable

import trio

from lastcall.bus.base import Refusals
from lastcall.runtime.rated_log import RatedLog

LOOK_SECONDS = 5.0


class RefusedConnections:
    """The refusals at the port of ``option``: over the bounds, and by TLS."""

    def __init__(self, option: str) -> None:
        self._option = option
        self._over = RatedLog("links.too_many_connections")
        self._tls = RatedLog("links.tls_refused")

    async def watch(self, read: Callable[[], Refusals]) -> None:
        """Looks every few seconds, until cancelled."""
        while True:
            await trio.sleep(LOOK_SECONDS)
            refused = read()
            if (more := refused.connections - self._over.count) > 0:
                hint = "more connections than this port takes: let only nodes reach it"
                self._over.warning(times=more, port=self._option, refused=more, hint=hint)
            if (more := refused.handshakes - self._tls.count) > 0:
                hint = "no certificate, an expired one, or one of another CA; see --cluster-tls"
                self._tls.warning(times=more, port=self._option, refused=more, hint=hint)
