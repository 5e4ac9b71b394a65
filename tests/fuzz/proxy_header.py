"""A trusted proxy's words: before the request, and in the request's headers."""

from __future__ import annotations

import socket

import trio

from lastcall.api.gateway.arrivals import BadProxyHeader, read_proxy_header
from lastcall.core.edge.addresses import parse_networks, plain_address

PROXIES = parse_networks("10.0.0.0/8,fd00::/8")
PROXY = "10.0.0.1"


def target(data: bytes) -> None:
    """Reads ``data`` as a PROXY header, and as the value of both headers."""
    trio.run(_header, data)
    for value in (data.decode("latin-1"), data.decode("latin-1").replace(" ", "10.0.0.2, ")):
        for headers in (([value], []), ([], [value]), ([value], [value])):
            address = PROXIES.client(PROXY, *headers)
            assert plain_address(address) == address


async def _header(data: bytes) -> None:
    """It is an address, none, or refused; and never more is read than the header."""
    mine, theirs = socket.socketpair()
    stream = trio.SocketStream(trio.socket.from_stdlib_socket(theirs))
    with mine:
        mine.sendall(data)
        mine.shutdown(socket.SHUT_WR)
        try:
            with trio.fail_after(5):
                found = await read_proxy_header(stream)
            rest = await stream.receive_some(65_536)
        except (BadProxyHeader, trio.BrokenResourceError):
            return
        finally:
            await stream.aclose()
    assert found is None or plain_address(found) == found
    assert data.endswith(rest)
    if not data.startswith((b"\r", b"P")):
        assert rest == data
