"""The caller's requests of one link: in lockstep, each with all items that wait.

The rules are in :mod:`lastcall.core.link.uplink` and :mod:`lastcall.core.batching`.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import NamedTuple

import trio

from lastcall.bus.base import Caller
from lastcall.core.batching import AdaptiveBatcher
from lastcall.core.link.feed import FeedReceiver
from lastcall.core.link.uplink import Outgoing
from lastcall.errors import RemoteProtocolError
from lastcall.ids import LinkId
from lastcall.links.link_counts import LinkCounts
from lastcall.links.node_watch import NodeWatch
from lastcall.links.turn_cork import TurnCork
from lastcall.policy import LinkPolicy
from lastcall.wire import nodes

DETACH_SECONDS = 0.5
ASK_AGAIN_SECONDS = 1.0
"""A request without an answer is sent again, byte for byte: the game node repeats its reply."""


class Uplink:
    """Sends requests by ``caller``, which also confirm the ``feed`` and ask for what it lacks."""

    def __init__(
        self,
        link_id: LinkId,
        *,
        caller: Caller,
        feed: FeedReceiver[nodes.Down],
        watch: NodeWatch,
        policy: LinkPolicy,
        counts: LinkCounts,
        cork: TurnCork,
    ) -> None:
        self._link_id = link_id
        self._counts = counts
        self._caller = caller
        self._feed = feed
        self._watch = watch
        self._policy = policy
        self._cork = cork
        self._waiting = Outgoing(nodes.size_of)
        self._batcher = AdaptiveBatcher()
        self._in_flight: list[nodes.Up] = []
        """The items of the request that is not answered yet."""
        self._closed = False
        self._begun: _Begun | None = None
        """The request that was sent at the end of a turn; :meth:`run` waits for the answer."""
        self._may_ask = False
        """Whether it runs, and the last request is answered."""
        self._take: Callable[[nodes.Reply, float], None] = _drop
        self._failed: list[Exception] = []
        """At most one error of a request that another task has sent: :meth:`run` raises it."""
        self._wake = trio.Event()
        self.confirm_now = False
        """Whether the feed should be confirmed at once; followed by :meth:`wake`."""
        self._request_at = -inf  # the first request goes at once: its reply announces the head
        self.confirmed = 0
        """The last item of the feed that a request has confirmed."""

    @property
    def unsent(self) -> list[nodes.Up]:
        """The items that the game node has not answered."""
        return [*self._in_flight, *self._waiting]

    def send(self, item: nodes.Up, *, pressing: bool = True) -> None:
        """Queues an item for the next request; drops it once the listener knows of the loss.

        Until then the sender cannot know: the item is among :attr:`unsent`. An item that is not
        ``pressing`` goes with another, or with the heartbeat: a request costs both nodes more
        than all that it carries.
        """
        if not self._closed:
            first = pressing and not self._waiting.pressing
            if first and not self._cork.at_end(self._send_now):
                self._wake.set()
            self._waiting.push(item, pressing=pressing)

    def close(self) -> None:
        """Drops what is sent from now on."""
        self._closed = True

    def wake(self) -> None:
        """The feed has something to confirm or to ask for."""
        self._wake.set()

    def ask_now(self) -> None:
        """Sends a request, also without items."""
        self.confirm_now = True
        self._wake.set()

    async def run(self, take: Callable[[nodes.Reply, float], None]) -> None:
        """Sends each request when it is due, and again until it is answered; ``take`` gets the
        answers, and the time now. Until cancelled.
        """
        self._take, self._may_ask = take, True
        try:
            while True:
                await self._wait_until_due()
                await trio.lowlevel.checkpoint_if_cancelled()  # another task's request may end it
                if self._failed:
                    raise self._failed.pop()
                answer = None if self._begun else self._caller.answers_here
                if answer is not None:
                    self._ask_here(answer, trio.current_time())
                    await trio.lowlevel.checkpoint()
                else:
                    await self._ask()
        finally:
            self._may_ask, self._take = False, _drop

    async def _ask(self) -> None:
        begun, self._begun = self._begun or self._begin(), None
        self._answered(await self._answer(begun.request), begun.at, asks=begun.asks)

    def _begin(self) -> _Begun:
        now = trio.current_time()
        request = self._next_request(now, self._policy.batch_bytes)
        self._watch.asked(now)
        return _Begun(nodes.encode(request), now, bool(request.missing))

    def _ask_here(self, answer: Callable[[nodes.Batch], nodes.Reply], now: float) -> None:
        """Sends the next request to a node of this process, and takes the answer."""
        request = self._next_request(now, bytes_max=inf)  # it is not encoded
        self._answered(answer(request), now, asks=bool(request.missing))

    def _answered(self, reply: nodes.Reply, asked_at: float, *, asks: bool) -> None:
        now = trio.current_time()
        self._watch.answered(now)
        self._counts.round_trips.observe(now - asked_at)
        if asks:
            self._counts.repairs += 1
            self._feed.answered(now)
        self._take(reply, now)

    def _send_now(self) -> None:
        """The turn of another task ends that has sent something: the node gets that now, and not in
        a turn of :meth:`run`, which costs more than the request if the node is in this process.
        """
        now = trio.current_time()
        due = self._cork.waited or self._batcher.due() <= now
        if self._may_ask and self._waiting.pressing and due:
            answer = self._caller.answers_here
            try:
                if answer is not None:
                    self._ask_here(answer, now)
                else:
                    self._begun = self._begin()
                    self._caller.begin(self._begun.request)
            except Exception as error:  # noqa: BLE001 - our own fault, which run() raises
                self._may_ask = False
                self._failed.append(error)
        if self._waiting.pressing or self._begun or self._failed:
            self._wake.set()

    def arrived(self) -> None:
        """The game node has the items of the last request."""
        self._in_flight = []
        self._may_ask = True

    async def detach(self) -> None:
        """Sends what still waits, and the detach; bounded, since the node may not listen."""
        with trio.move_on_after(DETACH_SECONDS, shield=True):
            if self._waiting and self._watch.asked_at is None:  # else a number may be out of step
                request = self._next_request(trio.current_time(), self._policy.batch_bytes)
                await self._caller.call(nodes.encode(request))
            await self._caller.call(nodes.encode(nodes.Detach(link=self._link_id)))

    async def _wait_until_due(self) -> None:
        while not (self._waiting.pressing or self.confirm_now or self._failed or self._begun):
            at = min(self._request_at + self._policy.heartbeat_seconds, self._feed.due())
            if at <= trio.current_time():
                break
            self._wake = trio.Event()
            with trio.move_on_at(at):
                await self._wake.wait()
        if self._begun is None and self._batcher.due() > trio.current_time():
            await trio.sleep_until(self._batcher.due())

    def _next_request(self, now: float, bytes_max: float) -> nodes.Batch:
        """The request with what waits; it may also ask for a hole in the feed."""
        self._request_at = now
        missing = self._feed.ask(now)
        pressing = self._waiting.pressing
        number, items = self._waiting.take(nodes.ITEMS_MAX, bytes_max)
        self._may_ask = False
        self._in_flight = items
        self._batcher.sent(now, min(pressing, len(items)))  # the others only came along
        self.confirm_now = False
        self.confirmed = self._feed.confirm()
        return nodes.Batch(
            link=self._link_id,
            number=number,
            confirmed=self.confirmed,
            missing=missing,
            items=items,
        )

    async def _answer(self, request: bytes) -> nodes.Reply:
        while True:
            with trio.move_on_after(ASK_AGAIN_SECONDS):
                return read_reply(await self._caller.call(request))


class _Begun(NamedTuple):
    """A request that is not answered."""

    request: bytes
    at: float
    asks: bool
    """Whether it asks for a hole in the feed."""


def _drop(reply: nodes.Reply, now: float) -> None:
    """The default of a callback that is not set."""


def read_reply(reply: bytes) -> nodes.Reply:
    """Decodes a reply; an unreadable one is ``Unsupported``, with the reason."""
    try:
        return nodes.decode_reply(reply)
    except RemoteProtocolError as error:
        return nodes.Unsupported(message=str(error))
