"""The caller's half of one link: its uplink and its feed, and when a node is gone.

A :class:`GameLink` is one attach, from the welcome to the loss;
:mod:`lastcall.links.connector` makes them. The decisions are in :mod:`lastcall.core`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Protocol

import structlog
import trio

from lastcall.bus.base import Bus, Caller
from lastcall.core.lifecycle import Phase
from lastcall.core.link.feed import FeedReceiver
from lastcall.ids import LinkId
from lastcall.links.link_counts import LinkCounts, Loss
from lastcall.links.link_feed import LinkFeed
from lastcall.links.node_watch import NodeWatch
from lastcall.links.turn_cork import TurnCork
from lastcall.links.uplink import Uplink
from lastcall.policy import LinkPolicy
from lastcall.wire import nodes

log = structlog.get_logger()

CONFIRMED_AT_ONCE = frozenset({nodes.Ended, nodes.Moved, nodes.Out, nodes.Regroup})
"""A draining game node waits until these are confirmed."""


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
        cork: TurnCork,
    ) -> None:
        self._counts = counts
        self.id = link_id
        self.address = address
        self._listener = listener
        self.policy = policy
        self._watch = NodeWatch(address, bus=bus, caller=caller, policy=policy)
        self.receiver: FeedReceiver[nodes.Down] = FeedReceiver(policy)
        self.uplink = Uplink(
            link_id,
            caller=caller,
            feed=self.receiver,
            watch=self._watch,
            policy=policy,
            counts=counts,
            cork=cork,
        )
        self.send = self.uplink.send  # no method of its own: one call less for each input
        self._scope = trio.CancelScope()
        self.loss: Loss | None = None
        """Why it is over; None while it lasts."""
        self._welcome: nodes.Welcome | None = None
        self.up = False
        """Whether the attach was complete: the welcome and the feed's first item have arrived."""
        self.silent = False
        self.turned_at = trio.current_time()
        """Since when it is silent, or is not."""
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
        """The items that the game node has not answered."""
        return self.uplink.unsent

    async def run(
        self, welcome: nodes.Welcome, feed: LinkFeed, hear: Callable[[bytes], None]
    ) -> None:
        """Sends until the link is over, and tells the listener; when cancelled, detaches.

        ``feed`` is the one of this link; ``hear`` gets what comes of it with answers.
        """
        self._welcome = welcome
        self._state = welcome.state
        try:
            with self._scope:
                await feed.open()
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._watch.run, self)
                    nursery.start_soon(feed.watch, welcome.name)
                    await self.uplink.run(partial(self._take, hear))
        except Exception:  # our own fault: the rooms there live
            self.loss = self.loss or Loss.RESET
            raise
        finally:
            loss = self.loss = self.loss or Loss.DETACHED
            if loss is Loss.DETACHED:
                await self.uplink.detach()
            self.uplink.close()
            if self.up:
                self._counts.ends[loss] += 1
                log.info("link.down", game=welcome.name, address=self.address, loss=loss)
                self._listener.link_down(self, loss)

    def reset(self) -> None:
        """Ends this attach; the next one starts from nothing."""
        self._over(Loss.RESET)

    def _over(self, loss: Loss) -> None:
        self.loss = self.loss or loss
        self._scope.cancel()

    def _take(self, hear: Callable[[bytes], None], reply: nodes.Reply, now: float) -> None:
        self.node_silent(silent=False)
        match reply:
            case nodes.Answer(link=link, head=head, state=state) if link == self.id:
                self.uplink.arrived()
                if reply.feed:
                    hear(reply.feed)
                self.receiver.announce(head, now)
                self._learn(state)
                confirmed = self.uplink.confirmed  # a late reply does not count the last items
                if self.state.phase == Phase.STOPPED and head == confirmed == self.receiver.arrived:
                    self._over(Loss.FAREWELL)
            case nodes.UnknownLink(incarnation=incarnation):
                self._over(Loss.RESET if incarnation == self.node.incarnation else Loss.GONE)
            case _:
                log.warning("link.unexpected_reply", address=self.address, reply=repr(reply))
                self._over(Loss.RESET)

    def _learn(self, state: nodes.NodeState) -> None:
        if self._state is None or state.revision > self._state.revision:
            self._state = state
            if self.up:
                self._listener.link_state(self)

    # From the feed.

    def come_up(self) -> None:
        """The attach is complete."""
        self.up = True
        wire = min(nodes.WIRE, self.node.wire)
        log.info("link.up", game=self.node.name, address=self.address, wire=wire)
        self._listener.link_up(self)

    def pass_on(self, item: nodes.Down) -> None:
        """Gives the listener an item of the feed; does not raise."""
        if type(item) is nodes.NodeState:  # isinstance() would ask the metaclass: 0.1 µs
            self.uplink.confirm_now |= item.phase == Phase.STOPPED
            self._learn(item)
            return
        if type(item) in CONFIRMED_AT_ONCE:
            self.uplink.confirm_now = True
        try:
            self._listener.link_item(self, item)
        except Exception:  # our fault in one item does not cost the others
            log.exception("feed.item_failed", item=type(item).__name__)

    # From the watch.

    def ask_now(self) -> None:
        """Sends a request, also without items."""
        self.uplink.ask_now()

    def node_lost(self, *, certain: bool) -> None:
        """It is ``certain`` that the process has ended, or it has been silent for too long."""
        self._over(Loss.GONE if certain else Loss.LOST)

    def node_silent(self, *, silent: bool) -> None:
        """Whether nothing new may be sent there; also if nothing has changed."""
        if self.silent is not silent:
            self.silent, self.turned_at = silent, trio.current_time()
            if self.up:
                self._listener.link_state(self)
