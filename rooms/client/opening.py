"""Opens a socket to the first of several URLs that accepts it, and runs it to its end."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

import trio
from trio_websocket import ConnectionClosed, HandshakeError, WebSocketConnection

from lastcall.client.connection import NO_CLOSE_FRAME, Connection, next_frame
from lastcall.client.dial import (
    OpenStream,
    describe,
    failure,
    handshake,
    open_tcp,
    parse,
    shown,
)
from lastcall.client.place import OnState
from lastcall.client.tokens import Token, TokenSource
from lastcall.core.client.reconnect import BusyServers
from lastcall.errors import BadFrame, ConnectFailed, ConnectionLost
from lastcall.exception_groups import lone_error
from lastcall.wire import frames


@asynccontextmanager
async def open_connection(
    urls: str | Iterable[str],
    *,
    connect_seconds: float = 5.0,
    token: Token | None = None,
    open_stream: OpenStream = open_tcp,
) -> AsyncIterator[Connection]:
    """Opens a socket to the first of ``urls`` that accepts it; closes it at the end (≤ 0.5 s).

    ``connect_seconds`` bounds each attempt, the server's ``hello`` included; ``token`` says who the
    client is; ``open_stream`` opens the transport. Raises :class:`ConnectFailed` with each URL's
    reason when none worked, :class:`AuthRefused`, what the token function raises, and
    :class:`lastcall.errors.BadAddress` for a text that is not a WebSocket URL. A socket that is
    lost later raises where it is used: in ``join``, in ``say``, and from a place's messages.
    """
    opener = Opener(urls, connect_seconds, TokenSource(token), open_stream)
    async with socket_nursery() as nursery:
        connection = await opener.open(nursery)
        try:
            yield connection
        finally:
            with trio.CancelScope(shield=True):  # aclose() has a time limit of its own
                await connection.aclose()


@asynccontextmanager
async def socket_nursery() -> AsyncIterator[trio.Nursery]:
    """A nursery whose tasks end with the block, and not before it.

    When the block is cancelled, its last frames (a leave, a close) are still written; the block
    must bound the time for that.
    """
    with lone_error():
        async with trio.open_nursery() as shelter:
            with trio.CancelScope(shield=True):  # does not block
                nursery: trio.Nursery = await shelter.start(_shelter)
            try:
                yield nursery
            finally:
                nursery.cancel_scope.cancel()


async def _shelter(*, task_status: trio.TaskStatus[trio.Nursery]) -> None:
    with trio.CancelScope(shield=True), lone_error():
        async with trio.open_nursery() as nursery:
            task_status.started(nursery)
            await trio.sleep_forever()


class Opener:
    """Opens sockets to several URLs in turn, each with a token of its own."""

    def __init__(
        self,
        urls: str | Iterable[str],
        connect_seconds: float,
        tokens: TokenSource,
        open_stream: OpenStream,
    ) -> None:
        self._urls = [urls] if isinstance(urls, str) else list(urls)
        for url in self._urls:
            parse(url)
        self._connect_seconds = connect_seconds
        self._open_stream = open_stream
        self._busy = BusyServers()
        self.tokens = tokens

    async def open(
        self,
        nursery: trio.Nursery,
        last: Connection | None = None,
        on_state: OnState | None = None,
    ) -> Connection:
        """A socket to the first URL after ``last`` that accepts it; its tasks run in ``nursery``.

        Tries each URL once, except those that have just said how long they will be busy. Raises
        :class:`ConnectFailed` with each URL's reason, :class:`AuthRefused` at the first refusal,
        and what the token function raises. If cancelled, nothing is left open.
        """
        first = 0 if last is None else self._urls.index(last.url) + 1
        failures = []
        for url in self._urls[first:] + self._urls[:first]:
            if self._busy.seconds_left([url], trio.current_time()) > 0:
                failures.append(ConnectFailed(f"{shown(url)}: busy"))
                continue
            token = await self.tokens.ask(self._connect_seconds)
            try:
                connection: Connection = await nursery.start(self._serve, url, token, on_state)
            except ConnectFailed as error:
                self._busy.refused(url, error.retry_after, trio.current_time())
                failures.append(error)
            else:
                return connection
        raise ConnectFailed(
            "; ".join(map(str, failures)) or "there is no URL to connect to",
            retry_after=self._busy.seconds_left(self._urls, trio.current_time()),
        )

    async def _serve(
        self,
        url: str,
        token: str | None,
        on_state: OnState | None,
        *,
        task_status: trio.TaskStatus[Connection],
    ) -> None:
        """Runs one socket from its opening to its end; raises nothing once it has started."""
        connection: Connection | None = None
        try:
            async with self._socket(url, token) as (socket, hello, nursery):
                cut = nursery.cancel_scope.cancel
                connection = Connection(url, hello, socket, cut, on_state)
                nursery.start_soon(connection.writer.run)
                task_status.started(connection)
                connection.lose(await connection.read())
                await connection.aclose()
        except ConnectFailed:
            raise
        except (HandshakeError, ConnectionClosed) as error:
            if connection is None:
                raise failure(url, error) from None  # it may quote a stranger at any length
            connection.lose(ConnectionLost(NO_CLOSE_FRAME, describe(error)))
        except (OSError, trio.TooSlowError, BadFrame) as error:
            if connection is None:
                raise failure(url, error) from error
            connection.lose(ConnectionLost(NO_CLOSE_FRAME, describe(error)))
        except Exception as error:  # whatever the library's reader task raises, it ends one socket
            if connection is None:
                raise ConnectFailed(f"{shown(url)}: {error!r}") from error
            connection.lose(ConnectionLost(NO_CLOSE_FRAME, repr(error)))
        finally:
            if connection is not None and connection.lost is None:
                connection.lose(ConnectionLost(NO_CLOSE_FRAME, "closed without an answer"))

    @asynccontextmanager
    async def _socket(
        self, url: str, token: str | None
    ) -> AsyncIterator[tuple[WebSocketConnection, frames.Hello, trio.Nursery]]:
        """A WebSocket whose server has sent ``hello``, and the nursery that its tasks run in."""
        stream: trio.abc.Stream | None = None
        try:
            with lone_error():
                async with trio.open_nursery() as nursery:
                    with trio.fail_after(self._connect_seconds):
                        stream = await self._open_stream(url)
                        socket = await handshake(nursery, stream, url, token)
                        hello = await _hello(socket, url)
                    yield socket, hello, nursery
                    nursery.cancel_scope.cancel()
        finally:
            if stream is not None:
                await trio.aclose_forcefully(stream)


async def _hello(socket: WebSocketConnection, url: str) -> frames.Hello:
    frame = await next_frame(socket)
    if not isinstance(frame, frames.Hello):
        raise ConnectFailed(f"{shown(url)}: the server's first frame is not a hello")
    if frame.v != 1:
        raise ConnectFailed(
            f"{shown(url)}: the server speaks version {frame.v}; this client speaks 1"
        )
    return frame
