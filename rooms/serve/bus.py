"""The bus of a process that has both tiers: messages between the two stay in its memory.

Others reach the process by the network bus, if it has one; then each end that listens does so
twice. A process knows its own ports, and so it finds itself at every address that leads back.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import trio

from lastcall.bus.address import HostPort, parse_url
from lastcall.bus.base import (
    MESSAGE_BYTES_MAX,
    Bus,
    Caller,
    Probe,
    Publisher,
    Refusals,
    Responder,
    Subscriber,
)
from lastcall.bus.memory import MemoryBus
from lastcall.peer import Peer

HERE = HostPort("this-process", 1)
"""Where the process's own requests are answered."""
LOOPBACK = ("127.0.0.1", "::1", "localhost")


class LocalFirstBus:
    """A :class:`lastcall.bus.base.Bus`: in memory where that reaches the other end, and over
    ``network`` otherwise. ``advertise`` is the host that other nodes dial, if no end listens on it.
    """

    def __init__(self, network: Bus | None = None, advertise: str | None = None) -> None:
        self._memory = MemoryBus(direct=True)
        self._network = network
        self._hosts = {*LOOPBACK, *filter(None, [advertise])}
        """The names and addresses of this process."""
        self._here: dict[int, str] = {}
        """The address in memory of what listens here, by its port on the network."""
        self._answers_at = HERE.url
        """The address in memory of the process's own responder."""

    def respond(self, address: str, bytes_max: int = MESSAGE_BYTES_MAX) -> Responder:
        """See :meth:`lastcall.bus.base.Bus.respond`; the last one answers at :data:`HERE`."""
        if self._network is None:
            return self._memory.respond(HERE.url, bytes_max)
        remote = self._network.respond(address, bytes_max)
        self._answers_at = self._listen(remote.address)
        local = self._memory.respond(self._answers_at, bytes_max)
        return _BothResponders(local, remote, self._forget)

    def subscribe(self, address: str) -> Subscriber:
        """See :meth:`lastcall.bus.base.Bus.subscribe`."""
        if self._network is None:
            return self._memory.subscribe(address)
        remote = self._network.subscribe(address)
        local = self._memory.subscribe(self._listen(remote.address))
        return _BothSubscribers(local, remote, self._forget)

    def caller(self, address: str) -> Caller:
        """See :meth:`lastcall.bus.base.Bus.caller`."""
        bus, url = self._route(address)
        return bus.caller(url)

    def publisher(self, address: str, tls_name: str = "") -> Publisher:
        """See :meth:`lastcall.bus.base.Bus.publisher`."""
        bus, url = self._route(address)
        return bus.publisher(url, tls_name)

    async def probe(self, address: str, timeout_seconds: float) -> Probe:
        """See :meth:`lastcall.bus.base.Bus.probe`."""
        bus, url = self._route(address)
        return await bus.probe(url, timeout_seconds)

    def _listen(self, address: str) -> str:
        """The address in memory for what listens at ``address`` on the network."""
        where = parse_url(address)
        self._hosts.add(where.host)
        return self._here.setdefault(where.port, HostPort(HERE.host, where.port).url)

    def _forget(self, address: str) -> None:
        """Nothing listens there any more; another process may do so later."""
        self._here.pop(parse_url(address).port, None)

    def _route(self, address: str) -> tuple[Bus, str]:
        """The bus that leads to ``address``, and the address there."""
        if self._network is None:
            return self._memory, address
        where = parse_url(address, dialled=True)
        if where == HERE:
            return self._memory, self._answers_at
        here = self._here.get(where.port) if where.host in self._hosts else None
        return (self._network, address) if here is None else (self._memory, here)


@asynccontextmanager
async def _both() -> AsyncIterator[trio.Nursery]:
    """A nursery for a task at each end; if both are closed, that is one error."""
    try:
        async with trio.open_nursery() as nursery:
            yield nursery
    except BaseExceptionGroup as group:
        closed, rest = group.split(trio.ClosedResourceError)
        if closed is None or rest is not None:
            raise
        raise trio.ClosedResourceError("this end of the bus is closed") from group


class _BothResponders:
    """Answers requests of this process, and of others."""

    def __init__(
        self, local: Responder, remote: Responder, on_close: Callable[[str], None]
    ) -> None:
        self._local = local
        self._remote = remote
        self._on_close = on_close
        self._answering = local

    @property
    def address(self) -> str:
        """Where others send to."""
        return self._remote.address

    @property
    def peer(self) -> Peer | None:
        """See :attr:`lastcall.bus.base.Responder.peer`."""
        return self._answering.peer

    def refusals(self) -> Refusals:
        """Of the network: see :meth:`lastcall.bus.base.Responder.refusals`."""
        return self._remote.refusals()

    async def close_silent(self) -> None:
        """See :meth:`lastcall.bus.base.Responder.close_silent`."""
        await self._remote.close_silent()

    async def serve(
        self, answer: Callable[[bytes], bytes], here: Callable[[Any], Any] | None = None
    ) -> None:
        """See :meth:`lastcall.bus.base.Responder.serve`."""

        def answer_for(responder: Responder, request: bytes) -> bytes:
            self._answering = responder
            return answer(request)

        async with _both() as nursery:
            for responder in (self._local, self._remote):
                nursery.start_soon(responder.serve, partial(answer_for, responder), here)

    def close(self) -> None:
        """Stops listening."""
        self._local.close()
        self._remote.close()
        self._on_close(self._remote.address)


class _BothSubscribers:
    """Receives what this process publishes, and what others do."""

    def __init__(
        self, local: Subscriber, remote: Subscriber, on_close: Callable[[str], None]
    ) -> None:
        self._local = local
        self._remote = remote
        self._on_close = on_close

    @property
    def take(self) -> Callable[[Any], bool] | None:
        """See :attr:`lastcall.bus.base.Subscriber.take`."""
        return self._local.take

    @take.setter
    def take(self, take: Callable[[Any], bool] | None) -> None:
        self._local.take = take

    @property
    def address(self) -> str:
        """Where others publish to."""
        return self._remote.address

    def refusals(self) -> Refusals:
        """Of the network: see :meth:`lastcall.bus.base.Subscriber.refusals`."""
        return self._remote.refusals()

    async def close_silent(self) -> None:
        """See :meth:`lastcall.bus.base.Subscriber.close_silent`."""
        await self._remote.close_silent()

    async def receive(self) -> list[bytes]:
        """See :meth:`lastcall.bus.base.Subscriber.receive`."""
        messages: list[bytes] = []

        async def receive_from(subscriber: Subscriber) -> None:
            messages.extend(await subscriber.receive())
            nursery.cancel_scope.cancel()

        async with _both() as nursery:
            nursery.start_soon(receive_from, self._local)
            nursery.start_soon(receive_from, self._remote)
        return messages

    def close(self) -> None:
        """Stops listening."""
        self._local.close()
        self._remote.close()
        self._on_close(self._remote.address)
