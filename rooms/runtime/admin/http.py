"""One connection of the admin port: HTTP/1.1 by h11, in front of an ASGI application.

A stranger may send anything, slowly, or read nothing: a request must be whole after
:data:`REQUEST_SECONDS`, and each part of an answer be read within :data:`SEND_SECONDS`. There is no
other protocol: an ``Upgrade`` is ignored, which RFC 9110 §7.8 allows, and HTTP/2 with prior
knowledge is answered with 505.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from contextlib import suppress
from email.utils import formatdate
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote, urlsplit

import h11
import trio
import trio.abc

from lastcall.bus.address import HostPort
from lastcall.runtime.rated_log import RatedLog
from lastcall.runtime.stream_errors import WITHOUT_FRAMES

REQUEST_SECONDS = 5.0
SEND_SECONDS = 5.0
HEAD_BYTES = 16_384
BODY_BYTES = 65_536
READ_BYTES = 16_384
LINGER_SECONDS = 0.5
BROKEN = (trio.BrokenResourceError, trio.ClosedResourceError)

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]


class BadRequest(Exception):
    """The request cannot be served; its answer has this status."""

    def __init__(self, status: HTTPStatus) -> None:
        self.status = status


class HttpConnection:
    """Answers the requests of ``stream`` with ``app``, one after the other."""

    def __init__(
        self,
        stream: trio.abc.HalfCloseableStream,
        app: App,
        *,
        client: HostPort,
        server: HostPort,
        failed: RatedLog | None = None,
    ) -> None:
        self._failed = failed or RatedLog("admin.request_failed")
        self._stream = stream
        self._app = app
        self._client = client
        self._server = server
        self._h11 = h11.Connection(h11.SERVER, max_incomplete_event_size=HEAD_BYTES)
        self._broken = trio.Event()
        self._reading = trio.CancelScope()
        self._finishing = False

    async def serve(self) -> None:
        """Returns when either side has ended it, or the peer is too slow. May be cancelled; leaves
        the stream open.
        """
        with suppress(*BROKEN, trio.TooSlowError), WITHOUT_FRAMES:
            try:
                while await self._serve_one():
                    self._h11.start_next_cycle()
            except h11.RemoteProtocolError as error:
                await self._refuse(HTTPStatus(error.error_status_hint))
            except BadRequest as bad:
                await self._refuse(bad.status)

    def finish(self) -> None:
        """Ends it after the answer that is under way, or at once if there is none."""
        self._finishing = True
        self._reading.cancel()

    async def _serve_one(self) -> bool:
        """Serves one request; returns whether there may be another one."""
        if self._finishing:
            return False
        with trio.move_on_after(REQUEST_SECONDS) as self._reading:
            request = await self._event()
            if not isinstance(request, h11.Request):
                return False
            scope = self._scope(request)
            body = await self._body()
        if self._reading.cancelled_caught:
            return False
        await self._answer(scope, body)
        return self._h11.our_state is h11.DONE and self._h11.their_state is h11.DONE

    async def _event(self) -> object:
        """The next event of the peer; raises :class:`h11.RemoteProtocolError`."""
        while (event := self._h11.next_event()) is h11.NEED_DATA:
            if self._h11.they_are_waiting_for_100_continue:
                await self._send(h11.InformationalResponse(status_code=100, headers=[]))
            self._h11.receive_data(bytes(await self._stream.receive_some(READ_BYTES)))
        return event

    async def _body(self) -> bytes:
        body = bytearray()
        while isinstance(event := await self._event(), h11.Data):
            body += event.data
            if len(body) > BODY_BYTES:
                raise BadRequest(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        return bytes(body)

    def _scope(self, request: h11.Request) -> Message:
        """The ASGI scope of a request; raises :class:`BadRequest`."""
        if request.http_version not in {b"1.0", b"1.1"}:
            raise BadRequest(HTTPStatus.HTTP_VERSION_NOT_SUPPORTED)
        host, target = _split_target(request.target.decode("ascii"))
        headers = list(request.headers)
        if host is not None:
            headers = [pair for pair in headers if pair[0] != b"host"] + [(b"host", host.encode())]
        path, _, query = target.partition("?")
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": request.http_version.decode("ascii"),
            "method": request.method.decode("ascii"),
            "scheme": "http",
            "path": unquote(path),
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": headers,
            "client": (self._client.host, self._client.port),
            "server": (self._server.host, self._server.port),
        }

    async def _answer(self, scope: Message, body: bytes) -> None:
        messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive() -> Message:
            if not messages:
                await self._broken.wait()
                return {"type": "http.disconnect"}
            return messages.pop()

        async def send(message: Message) -> None:
            if self._broken.is_set():
                return  # ASGI: what is sent to a client that has gone is dropped
            try:
                await self._send_message(message, head_only=scope["method"] == "HEAD")
            except (*BROKEN, trio.TooSlowError):
                self._broken.set()

        try:
            await self._app(scope, receive, send)
        except Exception as error:  # noqa: BLE001 - it is logged
            self._failed.error(path=scope["path"], exc_info=error)
            if not self._broken.is_set() and self._h11.our_state is h11.SEND_RESPONSE:
                await self._refuse(HTTPStatus.INTERNAL_SERVER_ERROR)

    async def _send_message(self, message: Message, *, head_only: bool) -> None:
        if message["type"] == "http.response.start":
            await self._send(_head(message["status"], message.get("headers", ())))
            return
        if message.get("body") and not head_only:
            await self._send(h11.Data(data=message["body"]))
        if not message.get("more_body"):
            await self._send(h11.EndOfMessage())

    async def _refuse(self, status: HTTPStatus) -> None:
        """Answers without a body, and ends the connection; nothing if an answer has begun."""
        if self._h11.our_state not in {h11.IDLE, h11.SEND_RESPONSE}:
            return
        await self._send(_head(status, [("content-length", "0"), ("connection", "close")]))
        await self._send(h11.EndOfMessage())
        await self._linger()

    async def _linger(self) -> None:
        """Lets the peer read the answer: a socket that is closed with unread bytes is reset."""
        await self._stream.send_eof()
        with trio.move_on_after(LINGER_SECONDS):
            while await self._stream.receive_some(READ_BYTES):
                pass

    async def _send(self, event: h11.Event) -> None:
        if data := self._h11.send(event):
            with trio.move_on_after(SEND_SECONDS) as sending, WITHOUT_FRAMES:
                await self._stream.send_all(data)
            if sending.cancelled_caught:  # fail_after() leaves a cycle: see WITHOUT_FRAMES
                raise trio.TooSlowError


def _head(status: int, headers: Iterable[tuple[Any, Any]]) -> h11.Response:
    return h11.Response(
        status_code=status,
        reason=HTTPStatus(status).phrase,
        headers=[*headers, ("date", formatdate(usegmt=True))],
    )


def _split_target(target: str) -> tuple[str | None, str]:
    """The host of an absolute target, which replaces ``Host`` (RFC 9112 §3.2.2), and the path."""
    if target.startswith("/"):
        return None, target
    try:
        parts = urlsplit(target)
    except ValueError:
        raise BadRequest(HTTPStatus.BAD_REQUEST) from None
    if parts.scheme != "http" or not parts.netloc:
        raise BadRequest(HTTPStatus.BAD_REQUEST)
    query = f"?{parts.query}" if parts.query else ""
    return parts.netloc, (parts.path or "/") + query
