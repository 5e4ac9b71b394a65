"""The bus over nng, the only file that imports pynng.

pynng's own ``arecv`` and ``asend`` finish on a foreign thread, cost 100 µs, and cannot be
cancelled reliably. Here a task waits for the socket's descriptor in trio's own loop, and then
takes what is there without blocking; only that wait is ever cancelled. So this bus needs real
time: under a virtual clock use :mod:`lastcall.bus.memory`.

Not fork-safe: start child processes by spawning.
"""

from __future__ import annotations

import select
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pynng
import trio

from lastcall.bus.address import HostPort, parse_ipc, parse_url
from lastcall.bus.base import (
    BUFFER_MESSAGES,
    MESSAGE_BYTES_MAX,
    RECEIVE_AT_ONCE,
    Probe,
    check_message,
)
from lastcall.bus.probe import probe
from lastcall.errors import AddressInUse, BadAddress, BusExhausted

__all__ = ["NngBus", "NngCaller", "NngPublisher", "NngResponder", "NngSubscriber"]

HEADER_BYTES = 64
"""nng counts its request id (4 bytes, and 4 a hop) into the size that ``recv_max_size`` bounds;
over that it cuts the connection in silence and the request comes again, for ever."""
RECONNECT_MS = (50, 500)
"""The first and the longest wait between two attempts to connect."""
RESEND_MS = 60_000
"""When nng repeats a request that has no reply on a connection that stands. TCP has not lost it,
so a repeat only adds to what a frozen peer will find; the link above has a heartbeat of its own
and calls again. It cannot be switched off: without it nng does not repeat a request after a
broken connection either, which it otherwise does at once, whatever this figure."""
REPLY_SECONDS = 0.5
"""How long a reply waits for its caller to read the one before, while nobody else is answered."""
SPURIOUS_SECONDS = 0.001


class _Socket:
    """A pynng socket and the two descriptors that trio waits for; both become *readable*."""

    __slots__ = ("_closed", "_fds", "_nng")

    def __init__(self, nng: pynng.Socket) -> None:
        self._nng = nng
        self._fds: dict[str, int] = {}
        self._closed = False

    def fd(self, name: str) -> int:
        """The descriptor ``recv_fd`` or ``send_fd``; asked for once, as nng makes it on demand."""
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
        """Returns a message, or ``None`` if there is none; ``b""`` is a foreign empty one."""
        self.check_open()
        try:
            message: bytes = self._nng.recv(block=False)
        except (pynng.TryAgain, pynng.BadState):  # the latter: no request is under way
            return None
        except RuntimeError:  # pynng cannot unpack an empty message, which we never send
            return b""
        except pynng.Closed as error:
            raise trio.ClosedResourceError("this end of the bus is closed") from error
        return message

    def send_nowait(self, message: bytes) -> bool:
        """Hands ``message`` over; returns whether nng has taken it."""
        self.check_open()
        try:
            self._nng.send(message, block=False)
        except (pynng.TryAgain, pynng.BadState):
            return False
        except pynng.Closed as error:
            raise trio.ClosedResourceError("this end of the bus is closed") from error
        return True

    def check_open(self) -> None:
        if self._closed:
            raise trio.ClosedResourceError("this end of the bus is closed")

    def close(self) -> None:
        """Closes; whoever waits gets :class:`trio.ClosedResourceError`. May be called twice."""
        if self._closed:
            return
        self._closed = True
        if trio.lowlevel.in_trio_run():
            # Before nng closes them: the numbers may belong to another socket right after.
            for fd in self._fds.values():
                trio.lowlevel.notify_closing(fd)
        self._nng.close()


class _End:
    """What the four ends have in common."""

    def __init__(self, nng: pynng.Socket, address: str) -> None:
        self.address = address
        self._socket = _Socket(nng)

    def close(self) -> None:
        """Gives the address or the connection up; may be called twice."""
        self._socket.close()


class NngResponder(_End):
    """Answers at one address, over a ``Rep0``."""

    async def serve(self, answer: Callable[[bytes], bytes]) -> None:
        """See :meth:`lastcall.bus.base.Responder.serve`."""
        socket = self._socket
        sendable = select.poll()
        sendable.register(socket.fd("send_fd"), select.POLLIN)
        while True:
            await socket.wait("recv_fd")
            for _ in range(RECEIVE_AT_ONCE):
                request = socket.receive_nowait()
                if request is None:
                    break
                if request:
                    reply = check_message(answer(request))
                    if not sendable.poll(0):
                        await self._wait_for_reader()
                    socket.send_nowait(reply)

    async def _wait_for_reader(self) -> None:
        """Waits until nng can take the reply, because it forgets the request if it cannot.

        It cannot while the last reply to the same caller is still leaving: for some microseconds,
        or for as long as that caller does not read. Then its reply is dropped; it calls again.
        """
        with trio.move_on_after(REPLY_SECONDS):
            await self._socket.wait("send_fd")


class NngCaller(_End):
    """Asks one address, over a ``Req0``."""

    def __init__(self, nng: pynng.Socket, address: str) -> None:
        super().__init__(nng, address)
        self._busy = False

    async def call(self, request: bytes) -> bytes:
        """See :meth:`lastcall.bus.base.Caller.call`."""
        check_message(request)
        if self._busy:
            raise trio.BusyResourceError("this caller waits for a reply already")
        self._busy = True
        try:
            await self._send(request)
            return await self._reply()
        finally:
            self._busy = False

    async def _send(self, request: bytes) -> None:
        """Waits for a connection. A new request makes nng drop late replies to older ones."""
        while True:
            # A reply that came after its call was abandoned must be taken out first: nng throws
            # it away at the next send, but leaves the descriptor readable over an empty box.
            self._socket.receive_nowait()
            if self._socket.send_nowait(request):
                return
            await self._socket.wait("send_fd")

    async def _reply(self) -> bytes:
        while True:
            await self._socket.wait("recv_fd")
            reply = self._socket.receive_nowait()
            if reply is not None:
                return reply
            # A late reply has slipped in just before the send: see _send. The descriptor stays
            # readable until the true reply is taken, so this must not spin.
            await trio.sleep(SPURIOUS_SECONDS)


class NngPublisher(_End):
    """Sends to one subscriber's address, over a ``Pub0``."""

    def publish(self, message: bytes) -> None:
        """See :meth:`lastcall.bus.base.Publisher.publish`."""
        self._socket.send_nowait(check_message(message))


class NngSubscriber(_End):
    """Listens at one address, over a ``Sub0`` that takes every topic."""

    async def receive(self) -> list[bytes]:
        """See :meth:`lastcall.bus.base.Subscriber.receive`."""
        receive = self._socket.receive_nowait
        messages: list[bytes] = []
        while not messages:
            await self._socket.wait("recv_fd")
            for _ in range(RECEIVE_AT_ONCE):
                message = receive()
                if message is None:
                    break
                if message:
                    messages.append(message)
        return messages


class NngBus:
    """A :class:`lastcall.bus.base.Bus` over TCP; on one machine also over ``ipc:///PATH``."""

    def respond(self, address: str) -> NngResponder:
        """See :meth:`lastcall.bus.base.Bus.respond`."""
        nng = _made(pynng.Rep0)
        return NngResponder(nng, _listen(nng, address))

    def caller(self, address: str) -> NngCaller:
        """See :meth:`lastcall.bus.base.Bus.caller`."""
        nng = _made(pynng.Req0, resend_time=RESEND_MS)
        return NngCaller(nng, _dial(nng, address))

    def subscribe(self, address: str) -> NngSubscriber:
        """See :meth:`lastcall.bus.base.Bus.subscribe`."""
        nng = _made(pynng.Sub0, topics=b"", recv_buffer_size=BUFFER_MESSAGES)
        return NngSubscriber(nng, _listen(nng, address))

    def publisher(self, address: str) -> NngPublisher:
        """See :meth:`lastcall.bus.base.Bus.publisher`."""
        nng = _made(pynng.Pub0, send_buffer_size=BUFFER_MESSAGES)
        return NngPublisher(nng, _dial(nng, address))

    async def probe(self, address: str, timeout_seconds: float) -> Probe:
        """See :meth:`lastcall.bus.base.Bus.probe`, and :func:`lastcall.bus.probe.look`."""
        return await probe(address, timeout_seconds)


def _made(kind: type[pynng.Socket], **options: object) -> pynng.Socket:
    """A socket with our settings; raises :class:`BusExhausted` when the process has no more."""
    try:
        nng = kind(**options)
        nng.recv_max_size = MESSAGE_BYTES_MAX + HEADER_BYTES
        nng.reconnect_time_min, nng.reconnect_time_max = RECONNECT_MS
        nng.tcp_nodelay = True
        nng.tcp_keepalive = True  # else the connection of a peer that lost its power stays for ever
    except pynng.NNGException as error:
        raise BusExhausted(f"cannot make one more socket for other nodes: {error}") from error
    return nng


def _listen(nng: pynng.Socket, address: str) -> str:
    """Listens and returns the address with its real port; closes ``nng`` if it cannot."""
    with _translated(nng, f"cannot listen at {address}"):
        if parse_ipc(address) is not None:
            nng.listen(address)
            return address
        where = parse_url(address)
        listener = nng.listen(where.url)
        port = where.port or int(str(listener.local_address).rpartition(":")[2])
        return HostPort(where.host, port).url


def _dial(nng: pynng.Socket, address: str) -> str:
    """Dials in the background, for ever; closes ``nng`` if the address is none."""
    with _translated(nng, f"cannot dial {address}"):
        if parse_ipc(address) is None:
            address = parse_url(address, dialled=True).url
        nng.dial(address, block=False)
    return address


@contextmanager
def _translated(nng: pynng.Socket, what: str) -> Iterator[None]:
    """Closes ``nng`` on any failure; gives nng's own errors our names."""
    try:
        yield
    except pynng.AddressInUse as error:
        nng.close()
        raise AddressInUse(f"{what}: somebody listens there already") from error
    except pynng.NNGException as error:
        nng.close()
        raise BadAddress(
            f"{what} ({error}): wanted is tcp://HOST:PORT, where HOST, "
            f"if it is to be listened at, is this machine's"
        ) from error
    except BadAddress:
        nng.close()
        raise
