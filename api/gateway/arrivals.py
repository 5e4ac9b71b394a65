"""From an accepted connection to the stream of an HTTP request: whose it is, and through TLS.

The order is the wire's: the header of a TCP balancer (PROXY protocol, from trusted peers only),
then TLS, then HTTP.
"""

from __future__ import annotations

import select
import socket
import struct
from contextlib import suppress

import msgspec
import trio
import trio.abc
from proxyprotocol import ProxyProtocol
from proxyprotocol.v1 import ProxyProtocolV1
from proxyprotocol.v2 import ProxyProtocolV2

from lastcall.api.gateway.tls import ServerTls
from lastcall.core.edge.addresses import TrustedProxies, plain_address
from lastcall.runtime.stream_errors import WITHOUT_FRAMES

V1_BYTES_MAX = 107
"""As the specification has it, with the line's end."""
V2_HEAD_BYTES = 16
V2_BYTES_MAX = 2 * 1024
"""HAProxy writes about 100 bytes, or a few hundred with the client's certificate."""


class Arrival(msgspec.Struct, frozen=True):
    """A connection that may begin its request."""

    stream: trio.abc.Stream
    peer: str
    """The address that the connection comes from; "" if it has none (memory, a Unix socket)."""


class BadProxyHeader(Exception):
    """A trusted peer has begun a PROXY header, and what came is not one."""


async def arrive(
    stream: trio.abc.Stream, peer: str, proxies: TrustedProxies, tls: ServerTls | None
) -> Arrival:
    """Reads a PROXY header if a trusted proxy sends one, and begins TLS if ``tls`` is given.

    ``peer`` is the :func:`peer_address` of ``stream``.

    Raises :class:`BadProxyHeader`, or :class:`trio.BrokenResourceError` when the peer is lost or
    TLS fails. May be cancelled; the caller closes ``stream`` then, as after any error.
    """
    with WITHOUT_FRAMES:
        if isinstance(stream, trio.SocketStream) and proxies.trusts(peer):
            peer = await read_proxy_header(stream) or peer
        if tls is None:
            return Arrival(stream, peer)
        secure = trio.SSLStream(stream, tls.context, server_side=True, https_compatible=True)
        try:
            await secure.do_handshake()
        finally:
            forget_handshake(secure)
        return Arrival(secure, peer)


def forget_handshake(stream: trio.SSLStream[trio.abc.Stream]) -> None:
    """The handshake was begun, which happens once: trio keeps a method of ``stream`` for it, and so
    the stream in a cycle, which only a full collection would find.

    The attribute is private. With a version that renames it this memory is freed late, which a
    test would show, but the node works.
    """
    with suppress(AttributeError):
        stream._handshook._afn = _nothing  # noqa: SLF001


async def _nothing(*_: object) -> None:
    """In place of a handshake that is over."""


def peer_address(stream: trio.abc.Stream) -> str:
    """The address at the other end of ``stream``; "" if it has none, or is closed already."""
    if not isinstance(stream, trio.SocketStream):
        return ""
    try:
        peer = stream.socket.getpeername()
    except OSError:
        return ""
    return plain_address(peer[0].partition("%")[0]) or "" if isinstance(peer, tuple) else ""


def has_gone(stream: trio.abc.Stream) -> bool:
    """Whether the peer has already ended its side: it waited to be accepted, and gave up.

    Nobody would read the answer to its request. When many connect at once, such answers would take
    so long that the next peers give up, too. False for a stream that is not a socket.
    """
    if not isinstance(stream, trio.SocketStream):
        return False
    poll = select.poll()
    poll.register(stream.socket, select.POLLRDHUP)
    return bool(poll.poll(0))


async def read_proxy_header(stream: trio.SocketStream) -> str | None:
    """The client's address that a PROXY header names (version 1 or 2).

    None if there is no header, or one without an address: a balancer's own check. The first byte
    tells: no TLS record begins like a header, and no request for a WebSocket does.
    """
    try:
        first = await stream.socket.recv(1, socket.MSG_PEEK)
    except OSError as error:
        raise trio.BrokenResourceError from error
    if first == b"\r":
        head = await _exactly(stream, V2_HEAD_BYTES)
        return _source(ProxyProtocolV2(), head + await _rest(stream, head))
    if first == b"P":
        return _source(ProxyProtocolV1(), await _line(stream))
    return None


async def _rest(stream: trio.SocketStream, head: bytes) -> bytes:
    try:
        size = ProxyProtocolV2().unpack_header(head).data_len
    except ValueError as error:
        raise BadProxyHeader from error
    if size > V2_BYTES_MAX:
        raise BadProxyHeader
    return await _exactly(stream, size)


async def _line(stream: trio.SocketStream) -> bytes:
    """A line, byte by byte: what follows it belongs to others."""
    line = b""
    while not line.endswith(b"\r\n"):
        if len(line) == V1_BYTES_MAX:
            raise BadProxyHeader
        line += await _exactly(stream, 1)
    return line


async def _exactly(stream: trio.SocketStream, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = await stream.receive_some(size - len(data))
        if not more:
            raise trio.BrokenResourceError("the peer has gone within its PROXY header")
        data += more
    return data


def _source(protocol: ProxyProtocol, header: bytes) -> str | None:
    try:
        source = protocol.unpack(header).source
    except (ValueError, struct.error, IndexError) as error:  # the library knows only the first
        raise BadProxyHeader from error
    return plain_address(str(source[0])) if isinstance(source, tuple) else None
