"""One client's opening request, and the three answers to it: accepted, refused, refused by a close.

The last one is for programs on the browsers' WebSocket, which cannot read an HTTP status: a
client that offers the subprotocol ``lastcall.refuse-by-close`` gets close code 4001 in place of 401
and 403.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from contextlib import suppress

import trio
from trio_websocket import WebSocketConnection, WebSocketRequest, wrap_server_stream

from lastcall.api.socket.client_stream import ClientStream
from lastcall.api.socket.library_stream import LibraryStream
from lastcall.core.edge.opening_request import (
    OpeningReader,
    OpeningRequest,
    Refusal,
    plain_request,
)
from lastcall.reasons import Close
from lastcall.wire import frames
from lastcall.wire.close_codes import learn_codes

READ_BYTES = 4 * 1024
REFUSE_BY_CLOSE = "lastcall.refuse-by-close"
CLOSED_INSTEAD = frozenset({401, 403})
"""The statuses that are final; a client that gets another one, such as 503, tries again."""
NOTHING: Generator[None] = (None for _ in ())
"""In place of the parser of a connection that is over."""

learn_codes()


class Opening:
    """The client behind ``output``; call :meth:`forget` when it is gone."""

    def __init__(self, output: ClientStream, frame_bytes: int) -> None:
        self._output = output
        self.stream = LibraryStream(output)
        self._frame_bytes = frame_bytes
        self._reader = OpeningReader()
        self._library: WebSocketRequest | None = None

    async def read(self) -> OpeningRequest | Refusal:
        """The request, or what is wrong with it; raises :class:`trio.BrokenResourceError` if the
        peer ends before its request does.
        """
        while data := await self.stream.receive_some(READ_BYTES):
            if (request := self._reader.read(bytes(data))) is not None:
                return request
        raise trio.BrokenResourceError("the peer has gone within its request")

    async def accept(self, request: OpeningRequest, nursery: trio.Nursery) -> WebSocketConnection:
        """Answers 101; the protocol library's task runs in ``nursery``. The only subprotocol that
        is ever echoed is ours: others hold tokens.
        """
        ours = frames.SUBPROTOCOL if frames.SUBPROTOCOL in request.subprotocols else None
        self.stream.begin_handshake(plain_request(request, ours), self._reader.early)
        self._library = await wrap_server_stream(
            nursery, self.stream, max_message_size=self._frame_bytes
        )
        socket = await self._library.accept(subprotocol=ours)
        # Else each client keeps 2 KiB of it.
        socket._wsproto.handshake = _HANDSHAKEN  # type: ignore[assignment]  # noqa: SLF001
        return socket

    def forget(self) -> None:
        """The library's task has ended. Its parser is a generator, which holds what holds it: a
        cycle that only a full collection would find, hours later.

        The attributes are private. With a version that renames them this memory is freed late,
        which a test would show, but the node works.
        """
        if self._library is not None:
            with suppress(AttributeError):
                connection = self._library._connection._wsproto.connection  # noqa: SLF001
                connection._proto._parse_more = NOTHING  # type: ignore[union-attr]  # noqa: SLF001

    async def refuse(
        self, request: OpeningRequest, refusal: Refusal, nursery: trio.Nursery
    ) -> None:
        """Answers ``refusal``; a final one by close code 4001, if the client asks for that."""
        if refusal.status in CLOSED_INSTEAD and REFUSE_BY_CLOSE in request.subprotocols:
            await self.accept(request, nursery)
            self._output.send_close(Close.NOT_ALLOWED, refusal.reason)
        else:
            await self.answer(refusal)

    async def answer(self, refusal: Refusal) -> None:
        """Answers with an HTTP status, in any case."""
        await self.stream.send_all(self._reader.answer(refusal))


class _Handshaken:
    """Takes the place of the library's HTTP state, of which nothing is asked any more but this."""

    def events(self) -> Iterable[object]:
        """None."""
        return ()


_HANDSHAKEN = _Handshaken()
