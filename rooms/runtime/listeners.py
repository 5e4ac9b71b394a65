"""Opens the listening sockets of a node's ports, or adopts inherited ones."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Sequence

import trio

from lastcall.bus.address import HostPort
from lastcall.errors import AddressInUse, BadAddress
from lastcall.runtime.address import InheritedSocket, ListenAddress, is_loopback

BACKLOG = 4096
"""Connections that the kernel accepts while the loop is busy; a rollout brings thousands."""


def bound_address(listener: trio.SocketListener) -> HostPort:
    """The address that a listener is bound to, with the real port."""
    host, port = listener.socket.getsockname()[:2]
    return HostPort(host, port)


def is_exposed(where: ListenAddress) -> bool:
    """Whether strangers can reach the port: it is, or will be, bound beyond loopback."""
    if isinstance(where, HostPort):
        return not is_loopback(where.host)
    try:
        with socket.socket(fileno=os.dup(where.descriptor)) as inherited:
            return not is_loopback(str(inherited.getsockname()[0]))
    except OSError:  # not a socket; opening it will say so
        return False


async def open_listeners(
    where: ListenAddress, beside: Sequence[ListenAddress] = ()
) -> list[trio.SocketListener]:
    """Opens, or adopts, the listening sockets of ``where``: one for each address of its host.

    With port 0 there is only one, since each would get another port. ``[::]`` accepts IPv4 too, if
    the system allows that and no address of ``beside`` takes IPv4 at that port. Raises
    :class:`AddressInUse`, or :class:`BadAddress` for anything else that the operator can correct.
    """
    if isinstance(where, InheritedSocket):
        return [_adopt(where)]
    try:
        if ":" in where.host and where.is_wildcard and not _takes_ipv4(beside, where.port):
            return [_listen_everywhere(where.port)]
        listeners = await trio.open_tcp_listeners(where.port, host=where.host, backlog=BACKLOG)
    except OSError as error:
        raise _translated(error, where) from error
    if where.port == 0:
        for surplus in listeners[1:]:
            await surplus.aclose()
        del listeners[1:]
    return listeners


def _takes_ipv4(places: Sequence[ListenAddress], port: int) -> bool:
    ports = (
        place.port for place in places if isinstance(place, HostPort) and ":" not in place.host
    )
    return port != 0 and port in ports


def _listen_everywhere(port: int) -> trio.SocketListener:
    """One socket for IPv6 and, where the system allows it, IPv4."""
    opened = socket.create_server(
        ("::", port),
        family=socket.AF_INET6,
        backlog=BACKLOG,
        dualstack_ipv6=socket.has_dualstack_ipv6(),
    )
    return trio.SocketListener(trio.socket.from_stdlib_socket(opened))


def _adopt(where: InheritedSocket) -> trio.SocketListener:
    try:
        inherited = socket.socket(fileno=where.descriptor)
    except OSError as error:
        raise BadAddress(f"{where}: descriptor {where.descriptor} is not an open socket") from error
    tcp = inherited.family in {socket.AF_INET, socket.AF_INET6}
    if not (tcp and inherited.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)):
        inherited.detach()  # it does not belong to us, so it stays open
        raise BadAddress(f"{where}: descriptor {where.descriptor} is not a listening TCP socket")
    inherited.set_inheritable(False)
    return trio.SocketListener(trio.socket.from_stdlib_socket(inherited))


def _translated(error: OSError, where: HostPort) -> BadAddress | AddressInUse:
    if isinstance(error, socket.gaierror):
        return BadAddress(f"{where}: unknown host {where.host!r} ({error.strerror})")
    match error.errno:
        case errno.EADDRINUSE:
            return AddressInUse(
                f"{where} is in use: another process listens there; choose another port (0: a free "
                "one)"
            )
        case errno.EADDRNOTAVAIL:
            return BadAddress(f"{where}: no interface of this machine has that address")
        case errno.EACCES:
            return BadAddress(f"{where}: this user may not listen on port {where.port}")
    return BadAddress(f"{where}: cannot listen: {error.strerror or error}")
