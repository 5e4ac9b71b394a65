"""Opens a socket to the first of several URLs that accepts it, and runs it to its end."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

import trio
from trio_websocket import ConnectionClosed, HandshakeError, WebSocketConnection

from lastcall.client.connection import NO_CLOSE_FRAME, Connection, next_frame
from lastcall.client.dial import OpenStream, describe, handshake, open_tcp, parse
from lastcall.client.place import OnState
from lastcall.errors import BadFrame, ConnectFailed, ConnectionLost
from lastcall.exception_groups import lone_error
from lastcall.wire import frames


@asynccontextmanager
async def open_connection(
    urls: str | Iterable[str],
    *,
    connect_seconds: float = 5.0,
    open_stream: OpenStream = open_tcp,
) -> AsyncIterator[Connection]:
    """Opens a socket to the first of ``urls`` that accepts it; closes it at the end (≤ 0.5 s).

    ``connect_seconds`` bounds each attempt, the server's ``hello`` included; ``open_stream`` opens
    the transport. Raises :class:`ConnectFailed` with each URL's reason when none worked, and
    :class:`lastcall.errors.BadAddress` for a text that is not a WebSocket URL. A socket that is
    lost later raises where it is used: in ``join``, in ``say``, and from a place's messages.
    """
    async with socket_nursery() as nursery:
        connection = await first_that_answers(nursery, checked(urls), connect_seconds, open_stream)
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


def checked(urls: str | Iterable[str]) -> list[str]:
    """One URL or several, as a list; raises :class:`lastcall.errors.BadAddress`."""
    urls = [urls] if isinstance(urls, str) else list(urls)
    for url in urls:
        parse(url)
    return urls


async def first_that_answers(
    nursery: trio.Nursery,
    urls: Iterable[str],
    connect_seconds: float,
    open_stream: OpenStream,
    on_state: OnState | None = None,
) -> Connection:
    """A socket to the first of ``urls`` that accepts it; its tasks then run in ``nursery``.

    Raises :class:`ConnectFailed` with each URL's reason. If cancelled, nothing is left open.
    """
    failures = []
    for url in urls:
        try:
            connection: Connection = await nursery.start(
                _serve, url, connect_seconds, open_stream, on_state
            )
        except ConnectFailed as error:
            failures.append(error)
        else:
            return connection
    raise ConnectFailed("; ".join(map(str, failures)) or "there is no URL to connect to")


async def _serve(
    url: str,
    connect_seconds: float,
    open_stream: OpenStream,
    on_state: OnState | None,
    *,
    task_status: trio.TaskStatus[Connection],
) -> None:
    """Runs one socket from its opening to its end; raises nothing once it has started."""
    connection: Connection | None = None
    try:
        async with _socket(url, connect_seconds, open_stream) as (socket, hello, nursery):
            cut = nursery.cancel_scope.cancel
            connection = Connection(url, hello, socket, cut, on_state)
            nursery.start_soon(connection.writer.run)
            task_status.started(connection)
            connection.lose(await connection.read())
            await connection.aclose()
    except ConnectFailed:
        raise
    except (OSError, trio.TooSlowError, HandshakeError, ConnectionClosed, BadFrame) as error:
        if connection is None:
            raise ConnectFailed(f"{url}: {describe(error)}") from error
        connection.lose(ConnectionLost(NO_CLOSE_FRAME, describe(error)))
    except Exception as error:  # whatever the library's reader task raises, it ends one socket only
        if connection is None:
            raise ConnectFailed(f"{url}: {error!r}") from error
        connection.lose(ConnectionLost(NO_CLOSE_FRAME, repr(error)))
    finally:
        if connection is not None and connection.lost is None:
            connection.lose(ConnectionLost(NO_CLOSE_FRAME, "closed without an answer"))


@asynccontextmanager
async def _socket(
    url: str, connect_seconds: float, open_stream: OpenStream
) -> AsyncIterator[tuple[WebSocketConnection, frames.Hello, trio.Nursery]]:
    """A WebSocket whose server has sent ``hello``, and the nursery that its tasks run in."""
    stream: trio.abc.Stream | None = None
    try:
        with lone_error():
            async with trio.open_nursery() as nursery:
                with trio.fail_after(connect_seconds):
                    stream = await open_stream(url)
                    socket = await handshake(nursery, stream, url)
                    hello = await _hello(socket, url)
                yield socket, hello, nursery
                nursery.cancel_scope.cancel()
    finally:
        if stream is not None:
            await trio.aclose_forcefully(stream)


async def _hello(socket: WebSocketConnection, url: str) -> frames.Hello:
    frame = await next_frame(socket)
    if not isinstance(frame, frames.Hello):
        raise ConnectFailed(f"{url}: the server's first frame is not a hello")
    if frame.v != 1:
        raise ConnectFailed(f"{url}: the server speaks version {frame.v}; this client speaks 1")
    return frame
