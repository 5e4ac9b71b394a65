"""The seam to the transport: what a link needs of it, and what it may not count on.

Two shapes, as nng has them: request/reply in lockstep, and publish/subscribe that may drop. The
transport keeps the order of what it delivers; it may lose published messages, and may deliver a
request twice (nng sends it again after a broken connection, also to another process that has taken
the address). Links (:mod:`lastcall.core.link.feed`, :mod:`lastcall.core.link.uplink`) are built to
bear that.

Every object here is closed with ``close()``, which is synchronous and may be called twice; a task
that waits in one that is closed gets :class:`trio.ClosedResourceError`.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Protocol

from lastcall.errors import MessageTooBig

__all__ = [
    "BUFFER_MESSAGES",
    "MESSAGE_BYTES_MAX",
    "RECEIVE_AT_ONCE",
    "Bus",
    "Caller",
    "Probe",
    "Publisher",
    "Responder",
    "Subscriber",
    "check_message",
]

MESSAGE_BYTES_MAX = 4 * 1024 * 1024
"""A longer message is refused by the sender with :class:`lastcall.errors.MessageTooBig`."""
RECEIVE_AT_ONCE = 256
"""How many messages one ``receive`` returns at the most, so that no peer can hold the loop."""
BUFFER_MESSAGES = 8192
"""How many published messages wait at each end, nng's most; when full, the oldest is lost."""


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
    """What a look at an address showed."""

    REACHED = "reached"
    """Somebody accepts connections there."""
    REFUSED = "refused"
    """The host answers that nobody listens: the process is gone."""
    SILENT = "silent"
    """No answer in time: frozen, partitioned, or slow. It proves nothing."""


class Responder(Protocol):
    """Answers requests at one address, one at a time, in the order of their arrival."""

    @property
    def address(self) -> str:
        """The URL it listens at, with the real port where port 0 was asked for."""

    async def serve(self, answer: Callable[[bytes], bytes]) -> None:
        """Answers each request with ``answer(request)`` until cancelled.

        ``answer`` is synchronous, must return at least one byte, and must not raise.
        Checkpoints at least once every :data:`RECEIVE_AT_ONCE` requests.
        """

    def close(self) -> None:
        """Stops listening."""


class Caller(Protocol):
    """Asks one address, one request at a time."""

    async def call(self, request: bytes) -> bytes:
        """Sends ``request`` and returns the reply; waits for as long as the peer is not there.

        Cancelling abandons the call: its reply, if it still comes, is dropped, and the caller
        may be used again. The request may have been delivered, once or twice, or not at all.
        Raises :class:`lastcall.errors.MessageTooBig` over :data:`MESSAGE_BYTES_MAX`.
        """

    def close(self) -> None:
        """Gives the connection up."""


class Publisher(Protocol):
    """Sends to one subscriber's address, without waiting and without knowing."""

    def publish(self, message: bytes) -> None:
        """Hands ``message`` over; drops it when the peer is not there or its buffer is full.

        Raises :class:`lastcall.errors.MessageTooBig` over :data:`MESSAGE_BYTES_MAX`, and
        ``ValueError`` for an empty one.
        """

    def close(self) -> None:
        """Gives the connection up; what is still queued may be lost."""


class Subscriber(Protocol):
    """Listens at one address for any number of publishers."""

    @property
    def address(self) -> str:
        """The URL it listens at, with the real port where port 0 was asked for."""

    async def receive(self) -> list[bytes]:
        """Waits for a message and returns all that wait, up to :data:`RECEIVE_AT_ONCE`.

        Messages of one publisher come in its order, with holes where some were dropped. The
        buffer is bounded; when it is full, messages are lost. Always a checkpoint.
        """

    def close(self) -> None:
        """Stops listening."""


class Bus(Protocol):
    """Makes the four ends. Addresses are URLs, ``tcp://HOST:PORT``."""

    def respond(self, address: str) -> Responder:
        """Listens for requests; raises :class:`lastcall.errors.AddressInUse` or ``BadAddress``."""

    def caller(self, address: str) -> Caller:
        """Dials in the background; a peer that is not up yet is met when it comes."""

    def subscribe(self, address: str) -> Subscriber:
        """Listens for publishers; raises ``AddressInUse`` or ``BadAddress``."""

    def publisher(self, address: str) -> Publisher:
        """Dials in the background; what is published before the peer is there is dropped."""

    async def probe(self, address: str, timeout_seconds: float) -> Probe:
        """Looks whether somebody listens at ``address``; never raises for what it finds."""
