"""From a byte stream to a WebSocket, or to a refusal (RFC 6455 §4)."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import trio
from trio_websocket import (
    ConnectionClosed,
    WebSocketConnection,
    WebSocketRequest,
    wrap_server_stream,
)

from lastcall.api.sessions.client_connection import ClientCounts
from lastcall.api.socket.client_stream import ClientStream
from lastcall.policy import SocketPolicy
from lastcall.reasons import ClientEnd
from lastcall.wire import frames

HURRIED_SECONDS = 1.0
"""For a handshake once the doors are closed: its answer is a 503."""


class Handshakes:
    """The connections of an api node that are half-open; ``clients()`` counts those that are not.

    Counts in ``counts.refused``.
    """

    def __init__(
        self, policy: SocketPolicy, counts: ClientCounts, clients: Callable[[], int]
    ) -> None:
        self._policy = policy
        self._counts = counts
        self._clients = clients
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

    async def perform(
        self, output: ClientStream, library: trio.Nursery
    ) -> WebSocketConnection | ClientEnd:
        """A WebSocket; or why it is none, and the peer has had its answer if it deserves one.

        The library waits for ever when the peer closes, or asks for no upgrade (it answers 400
        to that); ``output.ended`` tells.
        """
        with trio.move_on_after(self._seconds) as patience:
            self._half_open.add(patience)
            output.ended = patience.cancel
            try:
                request = await wrap_server_stream(
                    library, output, max_message_size=self._policy.frame_bytes
                )
                return await self._answer(request)
            except ConnectionClosed:  # the peer had no patience: it is gone before our answer
                return ClientEnd.HANDSHAKE
            finally:
                self._half_open.discard(patience)
        return ClientEnd.HANDSHAKE

    async def _answer(self, request: WebSocketRequest) -> WebSocketConnection | ClientEnd:
        reason = self.refuse
        if reason is None and self._clients() >= self._policy.limits.sockets:
            reason = "full"
        if reason is not None:
            self._counts.refused += 1
            headers = [(b"Retry-After", b"1"), (b"Connection", b"close")]
            await request.reject(503, extra_headers=headers, body=reason.encode())
            return ClientEnd.REFUSED
        offered = frames.SUBPROTOCOL in request.proposed_subprotocols
        socket = await request.accept(subprotocol=frames.SUBPROTOCOL if offered else None)
        # Else each client keeps 2 KiB of it.
        socket._wsproto.handshake = _HANDSHAKEN  # type: ignore[assignment]  # noqa: SLF001
        return socket


class _Handshaken:
    """Takes the place of the library's HTTP state, of which nothing is asked any more but this."""

    def events(self) -> Iterable[object]:
        """None."""
        return ()


_HANDSHAKEN = _Handshaken()
