"""The Protocol of the transport: what it does for a link, and what it does not guarantee.

It has two patterns, as nng has: request/reply in lockstep, and publish/subscribe. Messages arrive
in order, but published messages may be lost, and a request may be delivered twice: nng sends it
again after a broken connection, also to another process that has taken the address. Links
(:mod:`lastcall.core.link.feed`, :mod:`lastcall.core.link.uplink`) correct both.

Every object here is closed with ``close()``, which is synchronous and may be called twice. A task
that waits in a closed object gets :class:`trio.ClosedResourceError`.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Any, Protocol

import msgspec

from lastcall.errors import MessageTooBig
from lastcall.peer import Peer

__all__ = [
    "BUFFER_MESSAGES",
    "MESSAGE_BYTES_MAX",
    "RECEIVE_AT_ONCE",
    "Bus",
    "Caller",
    "Probe",
    "Publisher",
    "Refusals",
    "Responder",
    "Subscriber",
    "check_message",
]

MESSAGE_BYTES_MAX = 4 * 1024 * 1024
"""Sending a longer message raises :class:`lastcall.errors.MessageTooBig`."""
RECEIVE_AT_ONCE = 256
"""The most messages that one ``receive`` returns, so that no peer can block the event loop."""
BUFFER_MESSAGES = 8192
"""The most published messages that wait at each end (nng's limit); then the oldest is lost."""


def check_message(message: bytes) -> bytes:
    """Returns ``message`` if it may be sent.

    Raises :class:`lastcall.errors.MessageTooBig`, or ``ValueError`` for an empty one.
    """
    if len(message) > MESSAGE_BYTES_MAX:
        raise MessageTooBig(f"a message of {len(message)} bytes is over {MESSAGE_BYTES_MAX}")
    if not message:
        raise ValueError("a message has at least one byte")
    return message


class Probe(enum.Enum):
    """The result of a probe of an address."""

    REACHED = "reached"
    """A process accepts connections there."""
    REFUSED = "refused"
    """The host answers that no process listens: the node is gone."""
    SILENT = "silent"
    """There was no answer in time: the node is frozen, partitioned or slow. It proves nothing."""


class Refusals(msgspec.Struct, frozen=True):
    """How many connections were refused so far: over the bounds, by TLS, and for their silence."""

    connections: int = 0
    handshakes: int = 0
    silent: int = 0


class Responder(Protocol):
    """Answers requests at one address, one at a time, in the order in which they arrive."""

    @property
    def address(self) -> str:
        """The URL it listens at, with the real port where port 0 was asked for."""

    @property
    def peer(self) -> Peer | None:
        """Where the request came from that is being answered; only inside ``answer``.

        None if no other machine can send one: in memory, and by a path.
        """

    def refusals(self) -> Refusals:
        """The connections that were refused so far."""

    async def close_silent(self) -> None:
        """Closes connections that never begin to speak; call it every few seconds."""

    async def serve(
        self, answer: Callable[[bytes], bytes], here: Callable[[Any], Any] | None = None
    ) -> None:
        """Answers each request with ``answer(request)`` until cancelled.

        ``here`` is what a caller of this process may call: see :attr:`Caller.answers_here`.

        ``answer`` is synchronous, must return at least one byte, and must not raise.
        Checkpoints at least once every :data:`RECEIVE_AT_ONCE` requests.
        """

    def close(self) -> None:
        """Stops listening."""


class Caller(Protocol):
    """Sends requests to one address, one at a time."""

    @property
    def refused_by_tls(self) -> bool:
        """Whether a side has refused the other's certificate, or only one of them has TLS."""

    @property
    def answers_here(self) -> Callable[[Any], Any] | None:
        """Answers at once, and without bytes; None if :meth:`call` is needed.

        It is there while a responder of this process can answer: call it before the next ``await``.
        """

    def begin(self, request: bytes) -> None:
        """Sends ``request`` now, if that needs no wait. Then :meth:`call` it: the same bytes."""

    async def call(self, request: bytes) -> bytes:
        """Sends ``request`` and returns the reply; waits while the peer is not there.

        Cancelling abandons the call: a late reply is dropped, and the caller may be used again. The
        request may have been delivered once, twice, or not at all.
        Raises :class:`lastcall.errors.MessageTooBig` over :data:`MESSAGE_BYTES_MAX`.
        """

    async def wait_broken(self) -> None:
        """Waits until a connection breaks that stood; one that broke since the last call counts.

        That proves nothing: the process may have ended, or only the connection. Only one task may
        wait. Always a checkpoint.
        """

    def close(self) -> None:
        """Closes the connection."""


class Publisher(Protocol):
    """Sends to one subscriber's address; does not wait, and does not learn what arrives."""

    @property
    def takes_here(self) -> Callable[[Any], bool] | None:
        """Takes a message at once, and without bytes; None if :meth:`publish` is needed.

        It returns whether it has taken all of it; if not, publish the same. It is there while a
        subscriber of this process can take something: call it before the next ``await``.
        """

    def publish(self, message: bytes) -> None:
        """Sends ``message``; drops it when the peer is not there or its buffer is full.

        Raises :class:`lastcall.errors.MessageTooBig` over :data:`MESSAGE_BYTES_MAX`, and
        ``ValueError`` for an empty one.
        """

    def close(self) -> None:
        """Closes the connection; queued messages may be lost."""


class Subscriber(Protocol):
    """Listens at one address for any number of publishers."""

    take: Callable[[Any], bool] | None
    """May be set, for publishers of this process: see :attr:`Publisher.takes_here`."""

    @property
    def address(self) -> str:
        """The URL it listens at, with the real port where port 0 was asked for."""

    def refusals(self) -> Refusals:
        """The connections that were refused so far."""

    async def close_silent(self) -> None:
        """Closes connections that never begin to speak; call it every few seconds."""

    async def receive(self) -> list[bytes]:
        """Waits for a message and returns all that have come, up to :data:`RECEIVE_AT_ONCE`.

        Messages of one publisher come in their order; some may be missing. The buffer is bounded;
        when it is full, messages are lost. Always a checkpoint.
        """

    def close(self) -> None:
        """Stops listening."""


class Bus(Protocol):
    """Makes the four kinds of sockets. Addresses are URLs, ``tcp://HOST:PORT``.

    A bus that encrypts takes the same addresses.
    """

    def respond(self, address: str, bytes_max: int = MESSAGE_BYTES_MAX) -> Responder:
        """Listens for requests of at most ``bytes_max``; a longer one closes its connection.

        Raises :class:`lastcall.errors.AddressInUse` or ``BadAddress``.
        """

    def caller(self, address: str) -> Caller:
        """Dials in the background; connects to a peer that is not up yet when it comes."""

    def subscribe(self, address: str) -> Subscriber:
        """Listens for publishers; raises ``AddressInUse`` or ``BadAddress``."""

    def publisher(self, address: str, tls_name: str = "") -> Publisher:
        """Dials in the background; messages that are published before it connects are dropped.

        ``tls_name`` is the name of the host, if ``address`` has only its address.
        """

    async def probe(self, address: str, timeout_seconds: float) -> Probe:
        """Finds out whether a process listens at ``address``; never raises for what it finds."""
