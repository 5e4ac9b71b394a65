"""nng's sockets as :mod:`lastcall.bus.nng` needs them: made, dialled, read and closed."""

from __future__ import annotations

import socket
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Any

import pynng
import trio
from pynng import ffi, lib

from lastcall.bus.address import HostPort, parse_ipc, parse_url
from lastcall.bus.base import MESSAGE_BYTES_MAX
from lastcall.bus.tls import ClusterTls
from lastcall.errors import AddressInUse, BadAddress, BusExhausted
from lastcall.peer import Peer

HEADER_BYTES = 64
"""nng counts its request id (4 bytes, and 4 for each hop) into the size that ``recv_max_size``
bounds. Over that, it closes the connection silently, and the request comes again for ever."""
RECONNECT_MS = (50, 500)
"""The first and the longest wait between two attempts to connect."""
TASK_THREADS = 2
"""nng's least. By default there are two for each processor, and a message that arrives wakes one
after the other: a request and its reply take 10 % longer, and more processor time."""
lib.nng_init_set_parameter(lib.NNG_INIT_NUM_TASK_THREADS, TASK_THREADS)


class NngSocket:
    """A pynng socket, and the two descriptors that trio waits for; both become *readable*."""

    __slots__ = ("_closed", "_fds", "_nng")

    def __init__(self, nng: pynng.Socket) -> None:
        self._nng = nng
        self._fds: dict[str, int] = {}
        self._closed = False

    def fd(self, name: str) -> int:
        """The descriptor ``recv_fd`` or ``send_fd``; kept here, since nng makes it on demand."""
        self.check_open()
        if name not in self._fds:
            try:
                self._fds[name] = getattr(self._nng, name)
            except pynng.NNGException as error:
                raise BusExhausted(f"no descriptor for another node's socket: {error}") from error
        return self._fds[name]

    async def wait(self, name: str) -> None:
        """Waits for ``recv_fd`` or ``send_fd``. Always a checkpoint; loses nothing if cancelled."""
        await trio.lowlevel.wait_readable(self.fd(name))

    def receive_nowait(self) -> bytes | None:
        """Returns a message, or None if there is none; ``b""`` is an empty one from a stranger."""
        return self.receive_from_nowait()[0]

    def receive_from_nowait(self) -> tuple[bytes | None, Any]:
        """As :meth:`receive_nowait`, with the connection by which it came.

        Not by pynng's ``recv``, which raises an error if there is none (2 µs) and cannot read an
        empty one; nor by its ``recv_msg``, which keeps an object for each connection that is
        closed meanwhile, for ever.
        """
        self.check_open()
        found = ffi.new("nng_msg **")
        code = lib.nng_recvmsg(self._nng.socket, found, lib.NNG_FLAG_NONBLOCK)
        if code in (lib.NNG_EAGAIN, lib.NNG_ESTATE):  # ESTATE: there is no open request
            return None, None
        if code:
            raise trio.ClosedResourceError("this end of the bus is closed")
        try:
            size = lib.nng_msg_len(found[0])
            body = ffi.unpack(ffi.cast("char *", lib.nng_msg_body(found[0])), size) if size else b""
            return body, lib.nng_msg_get_pipe(found[0])
        finally:
            lib.nng_msg_free(found[0])

    def send_nowait(self, message: bytes) -> bool:
        """Hands ``message`` to nng; returns whether nng accepted it."""
        self.check_open()
        try:
            self._nng.send(message, block=False)
        except (pynng.TryAgain, pynng.BadState):
            return False
        except pynng.Closed as error:
            raise trio.ClosedResourceError("this end of the bus is closed") from error
        return True

    def check_open(self) -> None:
        """Raises :class:`trio.ClosedResourceError` if the socket is closed."""
        if self._closed:
            raise trio.ClosedResourceError("this end of the bus is closed")

    def close(self) -> None:
        """Closes; a waiting task gets :class:`trio.ClosedResourceError`. May be called twice."""
        if self._closed:
            return
        self._closed = True
        if trio.lowlevel.in_trio_run():
            # Before nng closes them: right after, their numbers may belong to another socket.
            for fd in self._fds.values():
                trio.lowlevel.notify_closing(fd)
        self._nng.close()


def make_socket(
    kind: type[pynng.Socket], bytes_max: int = MESSAGE_BYTES_MAX, **options: object
) -> pynng.Socket:
    """Makes a socket with our settings; raises :class:`BusExhausted` if the process cannot."""
    try:
        nng = kind(**options)
        nng.recv_max_size = bytes_max + HEADER_BYTES
        nng.reconnect_time_min, nng.reconnect_time_max = RECONNECT_MS
        nng.tcp_nodelay = True
        nng.tcp_keepalive = True  # otherwise the connection to a peer without power stays for ever
    except pynng.NNGException as error:
        raise BusExhausted(f"cannot make one more socket for other nodes: {error}") from error
    return nng


def listen(
    nng: pynng.Socket, address: str, tls: ClusterTls | None
) -> tuple[pynng.nng.Listener, str]:
    """Listens; returns the address with its real port, too. Closes ``nng`` if it cannot."""
    with _translate_errors(nng, f"cannot listen at {address}"):
        if parse_ipc(address) is not None:
            return nng.listen(address), address
        where = parse_url(address)
        if tls is not None:
            nng.tls_config = _tls_config(tls, pynng.TLSConfig.MODE_SERVER)
        listener = nng.listen(_with_scheme(where, tls))
        port = where.port or int(str(listener.local_address).rpartition(":")[2])
        return listener, HostPort(where.host, port).url


def dial(
    nng: pynng.Socket, address: str, tls: ClusterTls | None, tls_name: str = ""
) -> tuple[pynng.nng.Dialer, str]:
    """Dials in the background, for ever; closes ``nng`` if the address is not valid."""
    with _translate_errors(nng, f"cannot dial {address}"):
        if parse_ipc(address) is not None:
            return nng.dial(address, block=False), address
        where = parse_url(address, dialled=True)
        if tls is not None:
            name = tls.name or tls_name or where.host
            nng.tls_config = _tls_config(tls, pynng.TLSConfig.MODE_CLIENT, name)
        return nng.dial(_with_scheme(where, tls), block=False), where.url


def _with_scheme(where: HostPort, tls: ClusterTls | None) -> str:
    return where.url if tls is None else f"tls+{where.url}"


def _tls_config(tls: ClusterTls, mode: int, name: str | None = None) -> pynng.TLSConfig:
    return pynng.TLSConfig(
        mode,
        server_name=name,
        ca_string=tls.ca,
        own_cert_string=tls.certificate,
        own_key_string=tls.key,
        auth_mode=pynng.TLSConfig.AUTH_MODE_REQUIRED,
    )


def remote_peer(pipe: Any) -> Peer:
    """The other end of a connection; an unknown one if the connection is closed by now."""
    remote, port = _address(pipe, b"remote-address")
    local, _ = _address(pipe, b"local-address")
    return Peer(remote, same_machine=remote == local != "", port=port)


def _address(pipe: Any, option: bytes) -> tuple[str, int]:
    address = ffi.new("nng_sockaddr *")
    if lib.nng_pipe_get_addr(pipe, option, address):
        return "", 0
    match address.s_family:
        case lib.NNG_AF_INET:
            packed = bytes(ffi.buffer(ffi.addressof(address.s_in, "sa_addr")))
            return socket.inet_ntop(socket.AF_INET, packed), socket.ntohs(address.s_in.sa_port)
        case lib.NNG_AF_INET6:
            packed = bytes(address.s_in6.sa_addr)
            return socket.inet_ntop(socket.AF_INET6, packed), socket.ntohs(address.s_in6.sa_port)
    return "", 0


def failed_handshakes(
    find: Callable[[Any, Any], Any], end: Any, causes: Collection[bytes] = (b"auth",)
) -> int:
    """How many handshakes of a listener or dialer have failed: by default, for a certificate."""
    snapshot = ffi.new("nng_stat **")
    if lib.nng_stats_get(snapshot):
        return 0
    try:
        found = find(snapshot[0], end)
        stat, count = ffi.NULL if found == ffi.NULL else lib.nng_stat_child(found), 0
        while stat != ffi.NULL:
            if ffi.string(lib.nng_stat_name(stat)) in causes:
                count += int(lib.nng_stat_value(stat))
            stat = lib.nng_stat_next(stat)
        return count
    finally:
        lib.nng_stats_free(snapshot[0])


@contextmanager
def _translate_errors(nng: pynng.Socket, failure: str) -> Iterator[None]:
    """Raises nng's errors as Lastcall's, and closes ``nng`` on any failure."""
    try:
        yield
    except pynng.AddressInUse as error:
        nng.close()
        raise AddressInUse(f"{failure}: somebody listens there already") from error
    except pynng.NNGException as error:
        nng.close()
        raise BadAddress(
            f"{failure} ({error}): the form is tcp://HOST:PORT, and a node can listen "
            f"only at a HOST of this machine"
        ) from error
    except BadAddress:
        nng.close()
        raise
