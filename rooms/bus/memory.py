"""A bus inside one process, under trio's clock (virtual or real), with faults on demand.

It behaves as nng does where the links can see it. A request is sent again, also to another
process, when its responder is gone. A late reply to an abandoned call is dropped. Published
messages are lost while nobody listens, and a full buffer keeps the newest. A message never arrives
within the sender's call: the receiver's task has to run first. On a ``direct`` bus it may, where
the receiver has asked for that; but nothing arrives within the call that another message makes.

To cut off or crash a whole node, give it a view of its own: ``bus.node("game-1")``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any, Generic, TypeVar

import trio

from lastcall.bus.address import parse_url
from lastcall.bus.base import (
    BUFFER_MESSAGES,
    MESSAGE_BYTES_MAX,
    RECEIVE_AT_ONCE,
    Probe,
    Refusals,
    check_message,
)
from lastcall.bus.mailbox import Mailbox
from lastcall.bus.net import End, Faults, Net
from lastcall.peer import Peer

T = TypeVar("T")


class _Listener(End, Generic[T]):
    """An end that listens. Up to 8192 items wait in it; then the oldest is lost."""

    def __init__(self, net: Net, owner: str, address: str) -> None:
        self.mail: Mailbox[T] = Mailbox(BUFFER_MESSAGES)
        address = net.bind(self, address)
        super().__init__(net, owner, address)
        net.changed()

    def refusals(self) -> Refusals:
        """No connection is refused."""
        return Refusals()

    async def close_silent(self) -> None:
        """No connection is silent."""
        await trio.lowlevel.checkpoint()

    def on_net_changed(self) -> None:
        """Delivers nothing while frozen."""
        self.mail.freeze(frozen=self.net.is_frozen(self))

    def close(self) -> None:
        """Stops listening; waiting items are lost."""
        self.mail.close()
        super().close()


class MemoryResponder(_Listener["tuple[MemoryCaller, _Call]"]):
    """Answers at one address. The next responder there gets the unanswered requests."""

    peer: Peer | None = None
    """See :attr:`lastcall.bus.base.Responder.peer`; may be set."""
    _here: Callable[[Any], Any] | None = None

    async def serve(
        self, answer: Callable[[bytes], bytes], here: Callable[[Any], Any] | None = None
    ) -> None:
        """See :meth:`lastcall.bus.base.Responder.serve`."""
        if self.net.direct and here is not None:
            self._here = partial(self.net.call, here)
        try:
            while True:
                for caller, call in await self.mail.receive(RECEIVE_AT_ONCE):
                    reply = check_message(answer(call.request))
                    self.check_open()  # answer() may have crashed this node
                    caller.on_reply(call, reply)
        finally:
            self._here = None

    @property
    def answers_here(self) -> Callable[[Any], Any] | None:
        """See :attr:`lastcall.bus.base.Caller.answers_here`."""
        net = self.net
        return None if net.calling or len(self.mail) else self._here


class _Call:
    """One request until its reply; its identity stands for nng's request id."""

    __slots__ = ("due", "reply", "request", "sent_to")

    def __init__(self, request: bytes) -> None:
        self.request = request
        self.sent_to: MemoryResponder | None = None
        self.reply: bytes | None = None
        self.due = math.inf


class MemoryCaller(End):
    """Calls one address; sends again whenever the responder or the link has changed."""

    refused_by_tls = False

    def __init__(self, net: Net, owner: str, address: str) -> None:
        super().__init__(net, owner, parse_url(address, dialled=True).url)
        self._call: _Call | None = None
        self._begun: _Call | None = None
        """The call that was sent before it is called."""
        self._connected_to: MemoryResponder | None = None
        self._wake = trio.Event()
        self._broken = trio.Event()
        self._broken_at = -math.inf
        self._last_due = -math.inf

    @property
    def answers_here(self) -> Callable[[Any], Any] | None:
        """See :attr:`lastcall.bus.base.Caller.answers_here`."""
        responder = self._connected_to
        if responder is None or self._call is not None or self.closed or responder.closed:
            return None
        return responder.answers_here

    def begin(self, request: bytes) -> None:
        """See :meth:`lastcall.bus.base.Caller.begin`."""
        if self._call is None:
            self._begun = _Call(check_message(request))
            self._advance(self._begun)

    async def call(self, request: bytes) -> bytes:
        """See :meth:`lastcall.bus.base.Caller.call`."""
        check_message(request)
        self.check_open()
        if self._call is not None:
            raise trio.BusyResourceError("this caller waits for a reply already")
        begun, self._begun = self._begun, None
        if begun is None or begun.request is not request:
            begun = _Call(request)
        call = self._call = begun
        try:
            await trio.lowlevel.checkpoint()
            while (reply := self._advance(call)) is None:
                self._wake = trio.Event()
                with trio.move_on_at(math.inf if self.net.is_frozen(self) else call.due):
                    await self._wake.wait()
            return reply
        finally:
            self._call = None

    def _advance(self, call: _Call) -> bytes | None:
        """Returns the reply if it has arrived; sends the request if no responder has it."""
        self.check_open()
        if self.net.is_frozen(self):
            return None
        if call.reply is not None:
            return call.reply if call.due <= trio.current_time() else None
        responder = self.net.listener(self.address)
        if responder is call.sent_to or not self.net.passes(self.owner, self.address):
            return None
        if isinstance(responder, MemoryResponder) and self._connected(responder):
            self._send(call, responder)
        return None

    def _connected(self, responder: MemoryResponder) -> bool:
        """Connects, if it is the first request to ``responder``: nng's handshake needs an answer,
        which a frozen process does not give.
        """
        if self._connected_to is not responder and not self.net.is_frozen(responder):
            self._connected_to = responder
        return self._connected_to is responder

    def _send(self, call: _Call, responder: MemoryResponder) -> None:
        call.sent_to = responder
        faults = self.net.faults
        self._last_due = max(self._last_due, faults.arrival_time())
        responder.mail.put((self, call), self._last_due)
        if faults.happens(faults.repeat_request):
            responder.mail.put((self, call), faults.arrival_time())

    async def wait_broken(self) -> None:
        """See :meth:`lastcall.bus.base.Caller.wait_broken`."""
        await trio.lowlevel.checkpoint()
        await self._broken.wait()
        self.check_open()
        self._broken = trio.Event()
        await trio.sleep_until(self._broken_at)

    def on_reply(self, call: _Call, reply: bytes) -> None:
        """Keeps the reply to ``call``; drops it if there is one already, or if the link is cut."""
        if call.reply is None and self.net.passes(self.owner, self.address):
            call.reply = reply
            call.due = self.net.faults.arrival_time()
            self._wake.set()

    def on_net_changed(self) -> None:
        """Wakes the call; if the link is cut, its reply is lost and it is sent again later."""
        call = self._call or self._begun
        if call is not None and not self.net.passes(self.owner, self.address):
            call.sent_to = call.reply = None
            call.due = math.inf
        self._wake.set()
        peer, reached = self._connected_to, self.net.passes(self.owner, self.address)
        if peer is not None and peer.closed and reached and not self.net.is_frozen(self):
            self._connected_to = None
            self._broken_at = self.net.faults.arrival_time()
            self._broken.set()

    def close(self) -> None:
        """Closes the connection."""
        super().close()
        self._wake.set()
        self._broken.set()


class MemoryPublisher(End):
    """Sends to one subscriber's address."""

    def __init__(self, net: Net, owner: str, address: str) -> None:
        super().__init__(net, owner, parse_url(address, dialled=True).url)
        self._last_due = -math.inf

    @property
    def takes_here(self) -> Callable[[Any], bool] | None:
        """See :attr:`lastcall.bus.base.Publisher.takes_here`."""
        subscriber = None if self.closed else self._subscriber()
        return None if subscriber is None else subscriber.takes_here

    def publish(self, message: bytes) -> None:
        """See :meth:`lastcall.bus.base.Publisher.publish`."""
        check_message(message)
        if self.closed:
            self.check_open()
        subscriber = self._subscriber()
        if subscriber is None:
            return
        faults = self.net.faults
        if faults.happens(faults.drop):
            return
        for _ in range(2 if faults.happens(faults.repeat_publish) else 1):
            due = faults.arrival_time()
            if not faults.reorder_publish:
                due = self._last_due = max(due, self._last_due)
            subscriber.mail.put(message, due, self)

    def _subscriber(self) -> MemorySubscriber | None:
        net = self.net
        end = net.listener(self.address)
        if net.direct:  # nothing is frozen or cut there
            return end if isinstance(end, MemorySubscriber) else None
        if net.is_frozen(self) or not net.passes(self.owner, self.address):
            return None
        return end if isinstance(end, MemorySubscriber) else None

    def close(self) -> None:
        """Closes the connection; messages that have not arrived are lost, as in nng."""
        subscriber = self._subscriber()
        if subscriber is not None and not self.closed:
            subscriber.mail.discard_from(self)
        super().close()


class MemorySubscriber(_Listener[bytes]):
    """Listens at one address for any number of publishers."""

    take: Callable[[Any], bool] | None = None
    """See :attr:`lastcall.bus.base.Subscriber.take`."""

    @property
    def takes_here(self) -> Callable[[Any], bool] | None:
        """Calls :attr:`take`; None while others wait, or one end calls another."""
        net = self.net
        if self.take is None or net.calling or not net.direct or len(self.mail):
            return None
        return partial(net.call, self.take)

    @property
    def dropped(self) -> int:
        """How many messages were lost because the buffer was full."""
        return self.mail.dropped

    async def receive(self) -> list[bytes]:
        """See :meth:`lastcall.bus.base.Subscriber.receive`."""
        return await self.mail.receive(RECEIVE_AT_ONCE)


class MemoryBus:
    """A :class:`lastcall.bus.base.Bus` in memory, which compares addresses as text.

    A *place*, where links are cut, is an address or the name of a node (see :meth:`node`).
    """

    def __init__(
        self,
        faults: Faults | None = None,
        *,
        net: Net | None = None,
        owner: str = "",
        direct: bool = False,
    ) -> None:
        self._net = net or Net(faults or Faults(), direct=direct)
        self._owner = owner

    @property
    def faults(self) -> Faults:
        """The faults that happen; all views share them."""
        return self._net.faults

    @faults.setter
    def faults(self, faults: Faults) -> None:
        self._net.faults = faults

    def node(self, name: str) -> MemoryBus:
        """A view of this bus whose ends belong to the node ``name``."""
        return MemoryBus(net=self._net, owner=name)

    def crash(self) -> None:
        """Closes every end made through this view, as the end of its process does."""
        self._net.close_all(self._owner)

    def respond(self, address: str, bytes_max: int = MESSAGE_BYTES_MAX) -> MemoryResponder:  # noqa: ARG002 - the Protocol's
        """See :meth:`lastcall.bus.base.Bus.respond`."""
        return MemoryResponder(self._net, self._owner, address)

    def caller(self, address: str) -> MemoryCaller:
        """See :meth:`lastcall.bus.base.Bus.caller`."""
        return MemoryCaller(self._net, self._owner, address)

    def subscribe(self, address: str) -> MemorySubscriber:
        """See :meth:`lastcall.bus.base.Bus.subscribe`."""
        return MemorySubscriber(self._net, self._owner, address)

    def publisher(self, address: str, tls_name: str = "") -> MemoryPublisher:  # noqa: ARG002 - the Protocol's
        """See :meth:`lastcall.bus.base.Bus.publisher`."""
        return MemoryPublisher(self._net, self._owner, address)

    async def probe(self, address: str, timeout_seconds: float) -> Probe:
        """See :meth:`lastcall.bus.base.Bus.probe`."""
        place = parse_url(address, dialled=True).url
        await trio.lowlevel.checkpoint()
        if self._net.is_silent(self._owner, place):
            await trio.sleep(timeout_seconds)
            return Probe.SILENT
        return Probe.REFUSED if self._net.listener(place) is None else Probe.REACHED

    def break_link(self, place: str, other: str | None = None) -> None:
        """Loses every message to and from ``place``; with ``other``, those between the two.

        Messages published meanwhile are lost. A call waits, and is sent (again) after :meth:`heal`.
        """
        self._net.cut(frozenset({place} if other is None else {place, other}))

    def freeze(self, place: str) -> None:
        """Stops the process at ``place``: messages to it wait, unanswered, up to the buffers' size.

        With a node's name, its own calls wait too, and what it publishes is lost.
        """
        self._net.freeze(place)

    def heal(self, place: str) -> None:
        """Undoes :meth:`break_link` and :meth:`freeze` at ``place``."""
        self._net.heal(place)
