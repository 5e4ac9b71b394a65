"""The bus over nng; this file and :mod:`lastcall.bus.nng_socket` alone import pynng.

pynng's own ``arecv`` and ``asend`` finish on a foreign thread, cost 100 µs, and cannot be
cancelled reliably. Here a task waits for the socket's descriptor in trio's own loop, and then
receives without blocking; only that wait can be cancelled. So this bus needs real time: under a
virtual clock use :mod:`lastcall.bus.memory`.

Not fork-safe: start child processes by spawning.
"""

from __future__ import annotations

import select
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pynng
import trio
from pynng import lib

from lastcall.bus.address import parse_url
from lastcall.bus.base import (
    BUFFER_MESSAGES,
    MESSAGE_BYTES_MAX,
    RECEIVE_AT_ONCE,
    Probe,
    Refusals,
    check_message,
)
from lastcall.bus.connections import ConnectionBounds, Connections
from lastcall.bus.nng_socket import (
    NngSocket,
    dial,
    failed_handshakes,
    listen,
    make_socket,
    remote_peer,
)
from lastcall.bus.probe import probe
from lastcall.bus.silent_connections import SilentConnections
from lastcall.bus.tls import ClusterTls
from lastcall.peer import Peer

RESEND_MS = 60_000
"""When nng repeats an unanswered request on an intact connection. TCP has not lost the request, so
a repeat only adds to the queue of a frozen peer; the link above has its own heartbeat and calls
again. It cannot be switched off: without it, nng does not repeat a request after a broken
connection either. With it, nng does that at once, whatever this figure is."""
REPLY_SECONDS = 0.5
"""How long a reply waits for its caller to read the last one; other callers wait meanwhile."""
SPURIOUS_SECONDS = 0.001


class _End:
    """The base of the four ends: a socket at an address."""

    def __init__(self, nng: pynng.Socket, address: str) -> None:
        self.address = address
        self._socket = NngSocket(nng)

    def close(self) -> None:
        """Closes the socket; may be called twice."""
        self._socket.close()


class _Listening(_End):
    """An end that listens, and bounds its connections."""

    def __init__(self, nng: pynng.Socket, bus: NngBus, address: str) -> None:
        self._connections = connections = Connections(bus.bounds)

        def connecting(pipe: pynng.Pipe) -> None:
            peer = remote_peer(pipe.pipe)
            if not connections.admit(pipe.id, peer.host, peer.port):
                pipe.close()

        nng.add_pre_pipe_connect_cb(connecting)
        nng.add_post_pipe_remove_cb(lambda pipe: connections.gone(pipe.id))
        listener, where = listen(nng, address, bus.tls)
        self._listener = listener
        path = where.startswith("ipc:")
        self._silent = None if path else SilentConnections(parse_url(where))
        super().__init__(nng, where)

    def refusals(self) -> Refusals:
        """The connections that were refused so far; costs a look at all sockets of the process."""
        return Refusals(
            self._connections.refused,
            failed_handshakes(lib.nng_stat_find_listener, self._listener.listener),
            0 if self._silent is None else self._silent.closed,
        )

    async def close_silent(self) -> None:
        """See :meth:`lastcall.bus.base.Responder.close_silent`."""
        await trio.lowlevel.checkpoint()
        if self._silent is not None:
            speaking = self._connections.ports()
            await trio.to_thread.run_sync(self._silent.look, trio.current_time(), speaking)


class NngResponder(_Listening):
    """Answers at one address, over a ``Rep0``."""

    _pipe: Any = None

    @property
    def peer(self) -> Peer | None:
        """See :attr:`lastcall.bus.base.Responder.peer`."""
        return None if self.address.startswith("ipc:") else remote_peer(self._pipe)

    async def serve(
        self,
        answer: Callable[[bytes], bytes],
        here: Callable[[Any], Any] | None = None,  # noqa: ARG002 - no caller of this process
    ) -> None:
        """See :meth:`lastcall.bus.base.Responder.serve`."""
        socket = self._socket
        sendable = select.poll()
        sendable.register(socket.fd("send_fd"), select.POLLIN)
        while True:
            await socket.wait("recv_fd")
            for _ in range(RECEIVE_AT_ONCE):
                request, self._pipe = socket.receive_from_nowait()
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

    answers_here = None

    def __init__(self, nng: pynng.Socket, bus: NngBus, address: str) -> None:
        self._broken = trio.Event()
        self._loop = trio.lowlevel.current_trio_token()
        nng.add_post_pipe_remove_cb(self._connection_over)
        self._dialer, where = dial(nng, address, bus.tls)
        super().__init__(nng, where)
        self._busy = False
        self._begun: bytes | None = None
        """The request that was sent before its call."""

    @property
    def refused_by_tls(self) -> bool:
        """See :attr:`lastcall.bus.base.Caller.refused_by_tls`."""
        causes = (b"auth", b"other")  # "other": TLS there, and none here
        return failed_handshakes(lib.nng_stat_find_dialer, self._dialer.dialer, causes) > 1

    def begin(self, request: bytes) -> None:
        """See :meth:`lastcall.bus.base.Caller.begin`."""
        if not self._busy and self._sent(check_message(request)):
            self._begun = request

    async def call(self, request: bytes) -> bytes:
        """See :meth:`lastcall.bus.base.Caller.call`."""
        check_message(request)
        if self._busy:
            raise trio.BusyResourceError("this caller waits for a reply already")
        self._busy = True
        begun, self._begun = self._begun, None
        try:
            while begun is not request and not self._sent(request):
                await self._socket.wait("send_fd")
            return await self._reply()
        finally:
            self._busy = False

    async def wait_broken(self) -> None:
        """See :meth:`lastcall.bus.base.Caller.wait_broken`."""
        await trio.lowlevel.checkpoint()
        await self._broken.wait()
        self._socket.check_open()
        self._broken = trio.Event()

    def close(self) -> None:
        """Closes the socket; may be called twice."""
        super().close()
        self._broken.set()

    def _connection_over(self, _pipe: pynng.Pipe) -> None:
        """Called in a thread of nng's."""
        with suppress(trio.RunFinishedError):
            self._loop.run_sync_soon(lambda: self._broken.set())  # noqa: PLW0108 - it is replaced

    def _sent(self, request: bytes) -> bool:
        """Whether there is a connection. A new request makes nng drop late replies to older ones.

        A late reply to an abandoned call must be received first: nng drops it at the next send, but
        leaves the descriptor readable with nothing to receive.
        """
        self._socket.receive_nowait()
        return self._socket.send_nowait(request)

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

    takes_here: Callable[[Any], bool] | None = None
    """None: a process does not publish to itself over the network."""

    def publish(self, message: bytes) -> None:
        """See :meth:`lastcall.bus.base.Publisher.publish`."""
        self._socket.send_nowait(check_message(message))


class NngSubscriber(_Listening):
    """Listens at one address, over a ``Sub0`` that subscribes to every topic."""

    take: Callable[[Any], bool] | None = None
    """Never called: see :attr:`NngPublisher.takes_here`."""

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
    """A :class:`lastcall.bus.base.Bus` over TCP; on one machine also over ``ipc:///PATH``.

    With ``tls``, every TCP connection is encrypted, and both ends show a certificate.
    """

    def __init__(
        self, tls: ClusterTls | None = None, bounds: ConnectionBounds | None = None
    ) -> None:
        self.tls = tls
        self.bounds = bounds or ConnectionBounds()

    def respond(self, address: str, bytes_max: int = MESSAGE_BYTES_MAX) -> NngResponder:
        """See :meth:`lastcall.bus.base.Bus.respond`."""
        nng = make_socket(pynng.Rep0, bytes_max)
        return NngResponder(nng, self, address)

    def caller(self, address: str) -> NngCaller:
        """See :meth:`lastcall.bus.base.Bus.caller`."""
        nng = make_socket(pynng.Req0, resend_time=RESEND_MS)
        return NngCaller(nng, self, address)

    def subscribe(self, address: str) -> NngSubscriber:
        """See :meth:`lastcall.bus.base.Bus.subscribe`."""
        nng = make_socket(pynng.Sub0, topics=b"", recv_buffer_size=BUFFER_MESSAGES)
        return NngSubscriber(nng, self, address)

    def publisher(self, address: str, tls_name: str = "") -> NngPublisher:
        """See :meth:`lastcall.bus.base.Bus.publisher`."""
        nng = make_socket(pynng.Pub0, send_buffer_size=BUFFER_MESSAGES)
        return NngPublisher(nng, dial(nng, address, self.tls, tls_name)[1])

    async def probe(self, address: str, timeout_seconds: float) -> Probe:
        """See :meth:`lastcall.bus.base.Bus.probe`, and :func:`lastcall.bus.probe.probe`."""
        return await probe(address, timeout_seconds)
