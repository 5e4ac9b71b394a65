"""The caller's half of one link: requests in lockstep, the feed, and when a node is gone.

A :class:`GameLink` is one attach, from the welcome to the loss;
:mod:`lastcall.links.connector` makes them. The decisions are in :mod:`lastcall.core`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from math import inf
from typing import Protocol

import structlog
import trio

from lastcall.bus.base import Bus, Caller
from lastcall.core.lifecycle import Phase
from lastcall.core.link.batching import AdaptiveBatcher
from lastcall.core.link.feed import FeedReceiver
from lastcall.core.link.liveness import StallDetector
from lastcall.core.link.uplink import Outgoing
from lastcall.errors import RemoteProtocolError
from lastcall.ids import LinkId
from lastcall.links.link_counts import LinkCounts, Loss
from lastcall.links.node_watch import NodeWatch
from lastcall.policy import LinkPolicy
from lastcall.wire import nodes

log = structlog.get_logger()

DETACH_SECONDS = 0.5
CONFIRMED_AT_ONCE = (nodes.Ended, nodes.Moved, nodes.Out, nodes.Regroup)
"""A draining game node waits until these are confirmed."""
ITEMS_AT_ONCE = 256
"""Items passed on at once when a hole is filled: up to 65 536 may have waited for it."""
ASK_AGAIN_SECONDS = 1.0
"""A request without an answer is sent again, byte for byte: the game node repeats its reply."""


class LinkListener(Protocol):
    """Receives what a link brings."""

    def link_up(self, link: GameLink) -> None:
        """The link stands, and its first state has arrived."""

    def link_state(self, link: GameLink) -> None:
        """``link.state`` or ``link.silent`` has changed."""

    def link_item(self, link: GameLink, item: nodes.Down) -> None:
        """An item of the feed: in order, and once."""

    def link_down(self, link: GameLink, loss: Loss) -> None:
        """The link is over; it brings nothing more."""


class GameLink:
    """One attach. ``send`` queues; ``run`` sends requests in lockstep until the link is over."""

    def __init__(
        self,
        link_id: LinkId,
        address: str,
        *,
        bus: Bus,
        caller: Caller,
        listener: LinkListener,
        policy: LinkPolicy,
        counts: LinkCounts,
    ) -> None:
        self.address = address
        self._counts = counts
        self._caller = caller
        self.id = link_id
        self._listener = listener
        self._policy = policy
        self._waiting: Outgoing[nodes.Up] = Outgoing()
        self._batcher = AdaptiveBatcher()
        self._in_flight: list[nodes.Up] = []
        """The items of the request that is not answered yet."""
        self._feed: FeedReceiver[nodes.Down] = FeedReceiver(policy)
        self._wake = trio.Event()
        self._confirm_now = False
        self._confirmed = 0
        self._request_at = -inf  # the first request goes at once: its reply announces the head
        self._watch = NodeWatch(address, bus=bus, caller=caller, policy=policy)
        self._scope = trio.CancelScope()
        self.loss: Loss | None = None
        """Why it is over; None while it lasts."""
        self._welcome: nodes.Welcome | None = None
        self._up = False
        self._down = False
        self.silent = False
        self.wanted = True
        """Whether ``--games`` still names the game node; if not, it gets no new rooms from here."""
        self._state: nodes.NodeState | None = None

    @property
    def node(self) -> nodes.Welcome:
        """The game node, as it introduced itself; only once the link is up."""
        if self._welcome is None:
            raise RuntimeError("the link is not up yet")
        return self._welcome

    @property
    def state(self) -> nodes.NodeState:
        """The newest state of the game node; only once the link is up."""
        if self._state is None:
            raise RuntimeError("the link is not up yet")
        return self._state

    @property
    def unsent(self) -> list[nodes.Up]:
        """The items that the game node has not answered; read it once, when the link is over."""
        _, waiting = self._waiting.take(sys.maxsize, sys.maxsize)
        return [*self._in_flight, *waiting]

    def send(self, item: nodes.Up, *, pressing: bool = True) -> None:
        """Queues an item for the next request; drops it once the listener knows of the loss.

        Until then the sender cannot know: the item is among :attr:`unsent`. An item that is not
        ``pressing`` goes with another, or with the heartbeat: a request costs both nodes more
        than all that it carries.
        """
        if not self._down:
            if pressing and not self._waiting.pressing:
                self._wake.set()
            self._waiting.push(item, nodes.size_of(item), pressing=pressing)

    async def run(self, welcome: nodes.Welcome) -> None:
        """Sends until the link is over, and tells the listener; when cancelled, detaches."""
        self._welcome = welcome
        self._state = welcome.state
        try:
            with self._scope:
                await self._pass_early_items()
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._watch.run, self)
                    nursery.start_soon(self._watch_feed)
                    await self._lockstep()
        except Exception:  # our own fault: the rooms there live
            self.loss = self.loss or Loss.RESET
            raise
        finally:
            loss = self.loss = self.loss or Loss.DETACHED
            if loss is Loss.DETACHED:
                await self._detach()
            self._down = True
            if self._up:
                self._counts.ends[loss] += 1
                log.info("link.down", game=welcome.name, address=self.address, loss=loss)
                self._listener.link_down(self, loss)

    def reset(self) -> None:
        """Ends this attach; the next one starts from nothing."""
        self._over(Loss.RESET)

    def _over(self, loss: Loss) -> None:
        self.loss = self.loss or loss
        self._scope.cancel()

    # The feed.

    @property
    def more(self) -> bool:
        """Whether :meth:`on_feed` can pass on items that wait."""
        return self._welcome is not None and self._feed.more

    def on_feed(self, batch: nodes.FeedBatch, enough: Callable[[], bool]) -> None:
        """Passes the items that are in order to the listener, and asks for a hole.

        It stops after ``enough``: then :attr:`more` is true, and the next batch, which may be
        empty, passes the rest on. Items that arrive before the welcome wait for it.
        """
        now = trio.current_time()
        size = batch.item_bytes
        ready = self._feed.receive(
            batch.first, batch.items, now, item_bytes=size, at_once=ITEMS_AT_ONCE
        )
        if self._welcome is None:
            self._feed.put_back(ready, item_bytes=size)
            return
        if not self._up:
            self._come_up()
        for count, item in enumerate(ready, 1):
            self._pass_on(item)
            if enough():
                self._feed.put_back(ready[count:], item_bytes=size)
                break
        self._confirm_now |= self._feed.unconfirmed_bytes >= self._policy.confirm_bytes
        if self._confirm_now or self._feed.due() <= now:
            self._wake.set()

    def _pass_on(self, item: nodes.Down) -> None:
        if isinstance(item, nodes.NodeState):
            self._confirm_now |= item.phase == Phase.STOPPED
            self._learn(item)
            return
        if isinstance(item, CONFIRMED_AT_ONCE):
            self._confirm_now = True
        try:
            self._listener.link_item(self, item)
        except Exception:  # our fault in one item does not cost the others
            log.exception("feed.item_failed", item=type(item).__name__)

    def _come_up(self) -> None:
        """The attach is complete when the welcome and the feed's first item have arrived."""
        if self._up or self._welcome is None or self._feed.arrived == 0:
            return
        self._up = True
        wire = min(nodes.WIRE, self._welcome.wire)
        log.info("link.up", game=self._welcome.name, address=self.address, wire=wire)
        self._listener.link_up(self)

    def _learn(self, state: nodes.NodeState) -> None:
        if self._state is None or state.revision > self._state.revision:
            self._state = state
            if self._up:
                self._listener.link_state(self)

    # The requests.

    async def _lockstep(self) -> None:
        while True:
            await self._wait_until_due()
            request, asks = self._next_request()
            self._watch.asked(trio.current_time())
            reply = await self._answer(request)
            self._counts.round_trips.observe(self._watch.answered())
            self.node_silent(silent=False)
            if asks:
                self._counts.repairs += 1
                self._feed.answered(trio.current_time())
            self._take(reply)

    async def _wait_until_due(self) -> None:
        while not (self._waiting.pressing or self._confirm_now):
            at = min(self._request_at + self._policy.heartbeat_seconds, self._feed.due())
            if at <= trio.current_time():
                break
            self._wake = trio.Event()
            with trio.move_on_at(at):
                await self._wake.wait()
        if self._batcher.due() > trio.current_time():
            await trio.sleep_until(self._batcher.due())

    def _next_request(self) -> tuple[bytes, bool]:
        now = self._request_at = trio.current_time()
        missing = self._feed.ask(now)
        pressing = self._waiting.pressing
        number, items = self._waiting.take(self._policy.batch_bytes, nodes.ITEMS_MAX)
        self._in_flight = items
        self._batcher.sent(now, min(pressing, len(items)))  # the others only came along
        self._confirm_now = False
        self._confirmed = self._feed.confirm()
        batch = nodes.Batch(
            link=self.id,
            number=number,
            confirmed=self._confirmed,
            missing=missing,
            items=items,
        )
        return nodes.encode(batch), bool(missing)

    async def _answer(self, request: bytes) -> nodes.Reply:
        while True:
            with trio.move_on_after(ASK_AGAIN_SECONDS):
                return read_reply(await self._caller.call(request))

    def _take(self, reply: nodes.Reply) -> None:
        match reply:
            case nodes.Answer(link=link, head=head, state=state) if link == self.id:
                self._in_flight = []
                self._feed.announce(head, trio.current_time())
                self._learn(state)
                if self.state.phase == Phase.STOPPED and head == self._confirmed:
                    self._over(Loss.FAREWELL)
            case nodes.UnknownLink(incarnation=incarnation):
                self._over(Loss.RESET if incarnation == self.node.incarnation else Loss.GONE)
            case _:
                log.warning("link.unexpected_reply", address=self.address, reply=repr(reply))
                self._over(Loss.RESET)

    # When the node is gone.

    def ask_now(self) -> None:
        """Sends a request, also without items."""
        self._confirm_now = True
        self._wake.set()

    def node_gone(self) -> None:
        """It is certain that the process has ended."""
        self._over(Loss.GONE)

    def node_lost(self) -> None:
        """The process has been silent for too long."""
        self._over(Loss.LOST)

    def node_silent(self, *, silent: bool) -> None:
        """Whether nothing new may be sent there; also if nothing has changed."""
        if self.silent is not silent:
            self.silent = silent
            if self._up:
                self._listener.link_state(self)

    async def _watch_feed(self) -> None:
        """A feed that does not arrive while requests are answered ends the link."""
        policy, feed, stall = self._policy, self._feed, StallDetector()
        while True:
            await trio.sleep(policy.probe_seconds)
            stall.look(feed.arrived, behind=feed.behind, seconds=policy.probe_seconds)
            if stall.crossed(policy.silence_seconds, policy.probe_seconds):
                hint = "its feed does not arrive here; are our --advertise and --feed right?"
                log.warning("link.no_feed", game=self.node.name, address=self.address, hint=hint)
            if stall.seconds >= policy.lost_seconds:
                self._over(Loss.RESET)

    async def _pass_early_items(self) -> None:
        """The feed may have come before the welcome; then nothing else asks for what waits."""
        nothing = nodes.FeedBatch(self.id, 0, [], 0)
        self.on_feed(nothing, lambda: False)
        while self.more:
            await trio.lowlevel.checkpoint()
            self.on_feed(nothing, lambda: False)

    async def _detach(self) -> None:
        """Sends what still waits, and the detach; bounded, since the node may not listen."""
        with trio.move_on_after(DETACH_SECONDS, shield=True):
            if self._waiting and self._watch.asked_at is None:  # else a number may be out of step
                request, _ = self._next_request()
                await self._caller.call(request)
            await self._caller.call(nodes.encode(nodes.Detach(link=self.id)))


def read_reply(reply: bytes) -> nodes.Reply:
    """Decodes a reply; an unreadable one is ``Unsupported``, with the reason."""
    try:
        return nodes.decode_reply(reply)
    except RemoteProtocolError as error:
        return nodes.Unsupported(message=str(error))
