"""The bus over nng; the only file that imports pynng.

pynng's own ``arecv`` and ``asend`` finish on a foreign thread, cost 100 µs, and cannot be
cancelled reliably. Here a task waits for the socket's descriptor in trio's own loop, and then
receives without blocking; only that wait can be cancelled. So this bus needs real time: under a
virtual clock use :mod:`lastcall.bus.memory`.

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

HEADER_BYTES = 64
"""nng counts its request id (4 bytes, and 4 for each hop) into the size that ``recv_max_size``
bounds. Over that, it closes the connection silently, and the request comes again for ever."""
RECONNECT_MS = (50, 500)
"""The first and the longest wait between two attempts to connect."""
RESEND_MS = 60_000
"""When nng repeats an unanswered request on an intact connection. TCP has not lost the request, so
a repeat only adds to the queue of a frozen peer; the link above has its own heartbeat and calls
again. It cannot be switched off: without it, nng does not repeat a request after a broken
connection either. With it, nng does that at once, whatever this figure is."""
REPLY_SECONDS = 0.5
"""How long a reply waits for its caller to read the last one; other callers wait meanwhile."""
SPURIOUS_SECONDS = 0.001


class _Socket:
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
        self.check_open()
        try:
            message: bytes = self._nng.recv(block=False)
        except (pynng.TryAgain, pynng.BadState):  # BadState: there is no open request
            return None
        except RuntimeError:  # pynng cannot unpack an empty message, which we never send
            return b""
        except pynng.Closed as error:
            raise trio.ClosedResourceError("this end of the bus is closed") from error
        return message

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


class _End:
    """The base of the four ends: a socket at an address."""

    def __init__(self, nng: pynng.Socket, address: str) -> None:
        self.address = address
        self._socket = _Socket(nng)

    def close(self) -> None:
        """Closes the socket; may be called twice."""
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
        """Waits until nng can accept the reply; otherwise nng would forget the request.

        nng cannot while the last reply to the same caller is still being sent: for some
        microseconds, or for as long as that caller does not read. After the time limit the reply
        is dropped, and the caller calls again.
        """
        with trio.move_on_after(REPLY_SECONDS):
            await self._socket.wait("send_fd")


class NngCaller(_End):
    """Sends requests to one address, over a ``Req0``."""

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
            # A late reply to an abandoned call must be received first: nng drops it at the next
            # send, but leaves the descriptor readable with nothing to receive.
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
            # A late reply came just before the send: see _send. The descriptor stays readable
            # until the true reply is received, so this must not spin.
            await trio.sleep(SPURIOUS_SECONDS)


class NngPublisher(_End):
    """Sends to one subscriber's address, over a ``Pub0``."""

    def publish(self, message: bytes) -> None:
        """See :meth:`lastcall.bus.base.Publisher.publish`."""
        self._socket.send_nowait(check_message(message))


class NngSubscriber(_End):
    """Listens at one address, over a ``Sub0`` that subscribes to every topic."""

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
        nng = _make(pynng.Rep0)
        return NngResponder(nng, _listen(nng, address))

    def caller(self, address: str) -> NngCaller:
        """See :meth:`lastcall.bus.base.Bus.caller`."""
        nng = _make(pynng.Req0, resend_time=RESEND_MS)
        return NngCaller(nng, _dial(nng, address))

    def subscribe(self, address: str) -> NngSubscriber:
        """See :meth:`lastcall.bus.base.Bus.subscribe`."""
        nng = _make(pynng.Sub0, topics=b"", recv_buffer_size=BUFFER_MESSAGES)
        return NngSubscriber(nng, _listen(nng, address))

    def publisher(self, address: str) -> NngPublisher:
        """See :meth:`lastcall.bus.base.Bus.publisher`."""
        nng = _make(pynng.Pub0, send_buffer_size=BUFFER_MESSAGES)
        return NngPublisher(nng, _dial(nng, address))

    async def probe(self, address: str, timeout_seconds: float) -> Probe:
        """See :meth:`lastcall.bus.base.Bus.probe`, and :func:`lastcall.bus.probe.probe`."""
        return await probe(address, timeout_seconds)


def _make(kind: type[pynng.Socket], **options: object) -> pynng.Socket:
    """Makes a socket with our settings; raises :class:`BusExhausted` if the process cannot."""
    try:
        nng = kind(**options)
        nng.recv_max_size = MESSAGE_BYTES_MAX + HEADER_BYTES
        nng.reconnect_time_min, nng.reconnect_time_max = RECONNECT_MS
        nng.tcp_nodelay = True
        nng.tcp_keepalive = True  # otherwise the connection to a peer without power stays for ever
    except pynng.NNGException as error:
        raise BusExhausted(f"cannot make one more socket for other nodes: {error}") from error
    return nng


def _listen(nng: pynng.Socket, address: str) -> str:
    """Listens and returns the address with its real port; closes ``nng`` if it cannot."""
    with _translate_errors(nng, f"cannot listen at {address}"):
        if parse_ipc(address) is not None:
            nng.listen(address)
            return address
        where = parse_url(address)
        listener = nng.listen(where.url)
        port = where.port or int(str(listener.local_address).rpartition(":")[2])
        return HostPort(where.host, port).url


def _dial(nng: pynng.Socket, address: str) -> str:
    """Dials in the background, for ever; closes ``nng`` if the address is not valid."""
    with _translate_errors(nng, f"cannot dial {address}"):
        if parse_ipc(address) is None:
            address = parse_url(address, dialled=True).url
        nng.dial(address, block=False)
    return address


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
