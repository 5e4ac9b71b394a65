"""From an accepted connection to a WebSocket, or to a refusal (RFC 6455 §4)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import msgspec
import trio
import trio.abc
from trio_websocket import ConnectionClosed, WebSocketConnection

from lastcall.api.gateway.arrivals import Arrival, BadProxyHeader, arrive
from lastcall.api.gateway.opening import Opening
from lastcall.api.gateway.tls import ServerTls
from lastcall.api.sessions.client_connection import ClientCounts
from lastcall.api.socket.client_stream import ClientStream
from lastcall.core.edge.addresses import FORWARDED, X_FORWARDED_FOR, TrustedProxies
from lastcall.core.edge.opening_request import OpeningRequest, Refusal
from lastcall.core.edge.origins import admits
from lastcall.policy import SocketPolicy
from lastcall.reasons import ClientEnd

HURRIED_SECONDS = 1.0
"""For a handshake once the doors are closed: its answer is a 503."""
LOST = (ConnectionClosed, trio.BrokenResourceError, trio.ClosedResourceError)
"""The peer had no patience: it is gone before our answer."""


class EntryRules(msgspec.Struct, frozen=True):
    """The rules for new clients; by default everybody may come in, and no header is believed."""

    origins: frozenset[str] | None = None
    """The origins of the web pages that may connect; None for any."""
    proxies: TrustedProxies = TrustedProxies()
    tls: ServerTls | None = None


class Accepted(msgspec.Struct, frozen=True):
    """A WebSocket, and whose it is."""

    socket: WebSocketConnection
    address: str
    """The client's own, behind trusted proxies; "" if it has none."""


class Handshakes:
    """The connections of an api node that are half-open; ``clients()`` counts those that are not.

    Counts in ``counts.refused``. A peer has ``handshake_seconds`` until its request can begin (a
    PROXY header, TLS), as long for its request, and the answer has as long again.
    """

    def __init__(
        self,
        policy: SocketPolicy,
        counts: ClientCounts,
        clients: Callable[[], int],
        rules: EntryRules,
    ) -> None:
        self._policy = policy
        self._counts = counts
        self._clients = clients
        self._rules = rules
        self._half_open: set[trio.CancelScope] = set()
        self._seconds = policy.handshake_seconds
        self.refuse: str | None = None
        """Why new clients get 503; None while they are welcome."""

    def hurry(self) -> None:
        """From now on each has a second to end, those that are under way too."""
        self._seconds = HURRIED_SECONDS
        deadline = trio.current_time() + HURRIED_SECONDS
        for patience in self._half_open:
            patience.deadline = min(patience.deadline, deadline)

    async def arrive(self, stream: trio.abc.Stream) -> Arrival | None:
        """The stream of the request, and its peer; None if the peer has failed."""
        with self._patience():
            try:
                return await arrive(stream, self._rules.proxies, self._rules.tls)
            except (*LOST, BadProxyHeader):
                pass
        return None

    async def perform(
        self, output: ClientStream, peer: str, library: trio.Nursery
    ) -> Accepted | ClientEnd:
        """A WebSocket; or why it is none, and the peer has had its answer if it deserves one."""
        opening = Opening(output, library, self._policy.frame_bytes)
        request: OpeningRequest | Refusal | None = None
        try:
            with self._patience():
                request = await opening.read()
            with self._patience():
                if isinstance(request, Refusal):
                    await opening.answer(request)
                elif request is not None:
                    return await self._admit(opening, request, peer)
        except LOST:
            pass
        return ClientEnd.HANDSHAKE

    async def _admit(
        self, opening: Opening, request: OpeningRequest, peer: str
    ) -> Accepted | ClientEnd:
        """Decides who comes in. A check that waits belongs between the address and the accept."""
        if self._busy:
            return await self._refuse(opening, request, 503, self._busy)
        rules = self._rules
        if not admits(rules.origins, request.values("origin")):
            return await self._refuse(opening, request, 403, "pages of this origin may not connect")
        address = rules.proxies.client(
            peer, request.values(FORWARDED), request.values(X_FORWARDED_FOR)
        )
        return Accepted(await opening.accept(request), address)

    @property
    def _busy(self) -> str:
        """Why nobody may come in now; empty if they may."""
        full = self._clients() >= self._policy.limits.sockets
        return self.refuse or ("full" if full else "")

    async def _refuse(
        self, opening: Opening, request: OpeningRequest, status: int, reason: str
    ) -> ClientEnd:
        """Refuses a right request: 401 and 403 are final, after 503 clients try again."""
        self._counts.refused += 1
        later = (("Retry-After", "1"),) if status == 503 else ()
        await opening.refuse(request, Refusal(status, reason, later))
        return ClientEnd.REFUSED

    @contextmanager
    def _patience(self) -> Iterator[None]:
        """Around one step of a handshake: cancels it when its time is over."""
        with trio.move_on_after(self._seconds) as patience:
            self._half_open.add(patience)
            try:
                yield
            finally:
                self._half_open.discard(patience)
