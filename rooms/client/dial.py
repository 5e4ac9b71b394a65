"""Makes a WebSocket from a URL: the transport, the opening handshake, and their failures."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from ssl import SSLContext
from typing import TypeAlias
from urllib.parse import SplitResult, urlsplit

import trio
from trio_websocket import (
    ConnectionClosed,
    ConnectionRejected,
    WebSocketConnection,
    wrap_client_stream,
)

from lastcall.errors import AuthRefused, BadAddress, ConnectFailed
from lastcall.reasons import Close
from lastcall.wire.close_codes import learn_codes
from lastcall.wire.frames import SUBPROTOCOL

OpenStream: TypeAlias = Callable[[str], Awaitable[trio.abc.Stream]]
"""Opens the transport to a ``ws://`` or ``wss://`` URL; may raise ``OSError``."""

MESSAGE_CHARACTERS_MAX = 2 * 1024 * 1024
RECEIVE_BYTES = 64 * 1024
REASON_BYTES = 200
DIGITS_MAX = 10
REFUSALS = frozenset({401, 403})

learn_codes()


def parse(url: str) -> SplitResult:
    """The parts of a WebSocket URL; raises :class:`BadAddress` for anything else."""
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - reading the port checks it
    except ValueError:  # its text may quote a password
        raise BadAddress(f"{shown(url)!r} is not a URL") from None
    if parts.scheme not in {"ws", "wss"} or not parts.hostname:
        raise BadAddress(f"{shown(url)!r} is not a WebSocket URL; it looks like ws://HOST:PORT/")
    return parts


def shown(url: str) -> str:
    """``url`` for a message: without a password or a query, which may have a token."""
    return re.sub(r"(?<=//)[^/?#]*@|[?#].*", "", url)


async def open_tcp(url: str, ssl_context: SSLContext | None = None) -> trio.abc.Stream:
    """TCP for ``ws://``, TLS for ``wss://``: with ``ssl_context``, or the system's certificates.

    For a certificate of your own authority give ``open_stream=partial(open_tcp, ssl_context=…)``.
    """
    parts = parse(url)
    host = parts.hostname or ""
    if parts.scheme == "wss":
        return await trio.open_ssl_over_tcp_stream(
            host, parts.port or 443, https_compatible=True, ssl_context=ssl_context
        )
    return await trio.open_tcp_stream(host, parts.port or 80)


class _WatchedStream(trio.abc.Stream):
    """A stream that calls ``on_end`` when its peer closes it.

    trio_websocket's opening handshake does not notice a peer that closes TCP, as a leaving node
    does; without this class it would wait for its whole time limit.
    """

    def __init__(self, stream: trio.abc.Stream, on_end: Callable[[], None]) -> None:
        self._stream = stream
        self._on_end = on_end

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        try:
            data = await self._stream.receive_some(max_bytes)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self._on_end()
            raise
        if not data:
            self._on_end()
        return data

    async def aclose(self) -> None:
        self._on_end()
        await self._stream.aclose()


async def handshake(
    nursery: trio.Nursery, stream: trio.abc.Stream, url: str, token: str | None
) -> WebSocketConnection:
    """Performs the opening handshake; the WebSocket's reader task then runs in ``nursery``.

    ``token`` goes into the header ``Authorization`` (RFC 6750 §2.1). Raises :class:`ConnectFailed`
    if the peer closes instead. A refusal (an HTTP status other than 101) is raised from
    ``nursery``, as trio_websocket's ``ConnectionRejected``. Has no time limit of its own; may be
    cancelled.
    """
    parts = parse(url)
    headers = [(b"Authorization", b"Bearer " + token.encode())] if token is not None else []
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    with trio.CancelScope() as opening:
        return await wrap_client_stream(
            nursery,
            _WatchedStream(stream, opening.cancel),  # type: ignore[arg-type]  # any stream works
            parts.netloc.rpartition("@")[2],
            target,
            subprotocols=[SUBPROTOCOL],
            extra_headers=headers,
            max_message_size=MESSAGE_CHARACTERS_MAX,
            receive_buffer_size=RECEIVE_BYTES,
        )
    raise ConnectFailed(f"{shown(url)}: the server closed the connection during the handshake")


def failure(url: str, error: Exception) -> ConnectFailed | AuthRefused:
    """The error for an attempt that failed: only :class:`AuthRefused` is final."""
    if isinstance(error, ConnectionRejected):
        if error.status_code in REFUSALS:
            return AuthRefused(error.status_code, _text(error.body or b""))
        seconds = _retry_after(error)
        return ConnectFailed(
            f"{shown(url)}: the server answered {error.status_code}", retry_after=seconds
        )
    if isinstance(error, ConnectionClosed) and error.reason is not None:
        code, reason = error.reason.code, error.reason.reason or ""
        if code == Close.NOT_ALLOWED:
            return AuthRefused(code, reason)
        return ConnectFailed(f"{shown(url)}: the server closed the connection ({code} {reason})")
    return ConnectFailed(f"{shown(url)}: {describe(error)}")


def _retry_after(rejected: ConnectionRejected) -> float:
    """The seconds of Retry-After, or 0; its other form, a date, is ignored."""
    for name, value in rejected.headers:
        if name.lower() == b"retry-after" and value.isdigit() and len(value) < DIGITS_MAX:
            return float(value)
    return 0.0


def _text(body: bytes) -> str:
    """A reason that a stranger gives, as one short line."""
    printable = "".join(
        c if c.isprintable() else " " for c in body[:REASON_BYTES].decode(errors="replace")
    )
    return " ".join(printable.split())


def describe(error: Exception) -> str:
    """Describes a failure of the transport."""
    if isinstance(error, trio.TooSlowError):
        return "no answer in time"
    return str(error) or type(error).__name__
