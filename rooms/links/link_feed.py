"""The feed of one link: its items in order and once, in short turns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import structlog
import trio

from lastcall.core.link.feed import FeedReceiver
from lastcall.core.link.liveness import StallDetector
from lastcall.ids import LinkId, NodeName
from lastcall.links.uplink import Uplink
from lastcall.policy import LinkPolicy
from lastcall.runtime.ticks import next_tick
from lastcall.wire import nodes

log = structlog.get_logger()

ITEMS_AT_ONCE = 256
"""Items passed on at once when a hole is filled: up to 65 536 may have waited for it."""


class FedLink(Protocol):
    """A :class:`lastcall.links.link.GameLink`, which does not keep its feed."""

    id: LinkId
    address: str
    policy: LinkPolicy
    receiver: FeedReceiver[nodes.Down]
    uplink: Uplink
    up: bool
    """Whether :meth:`come_up` was called."""

    def come_up(self) -> None:
        """The first item after the welcome has arrived."""

    def pass_on(self, item: nodes.Down) -> None:
        """The next item; does not raise."""

    def reset(self) -> None:
        """Ends the link."""


class LinkFeed:
    """Gives ``link`` what arrives; its ``uplink`` confirms it, and asks for what does not."""

    def __init__(self, link: FedLink) -> None:
        self.link = link
        self._pass_on = link.pass_on
        self._receiver = link.receiver
        self._uplink = link.uplink
        self._policy = link.policy
        self._open = False
        """Whether the welcome has come: until then items wait for it."""
        self._cut = False
        """Whether a turn has ended before all items that are in order were passed on."""

    @property
    def more(self) -> bool:
        """Whether :meth:`receive` can pass on items that wait."""
        return self._open and self._receiver.more

    def receive(self, batch: nodes.FeedBatch, enough: Callable[[], bool]) -> None:
        """Passes on the items that are in order, and asks for a hole.

        It stops after ``enough``: then :attr:`more` is true, and the next batch, which may be
        empty, passes the rest on.
        """
        now = trio.current_time()
        size, receiver = batch.item_bytes, self._receiver
        ready = receiver.receive(
            batch.first, batch.items, now, item_bytes=size, at_once=ITEMS_AT_ONCE
        )
        if not self._open:
            receiver.put_back(ready, item_bytes=size)
            return
        if not self.link.up and receiver.arrived:
            self.link.come_up()
        for count, item in enumerate(ready, 1):
            self._pass_on(item)
            if enough():
                receiver.put_back(ready[count:], item_bytes=size)
                self._cut = True
                break
        uplink = self._uplink
        if self._cut and not receiver.more:  # its first part may be confirmed already
            self._cut, uplink.confirm_now = False, True
        uplink.confirm_now |= receiver.unconfirmed_bytes >= self._policy.confirm_bytes
        if uplink.confirm_now or receiver.due() <= now:
            uplink.wake()

    async def open(self) -> None:
        """The welcome has come: passes on what came before it, which nothing else asks for."""
        self._open = True
        nothing = nodes.FeedBatch(self.link.id, 0, [], 0)
        self.receive(nothing, lambda: False)
        while self.more:
            await trio.lowlevel.checkpoint()
            self.receive(nothing, lambda: False)

    async def watch(self, game: NodeName) -> None:
        """Resets the link if requests are answered and the feed does not arrive; never returns."""
        policy, receiver, stall = self._policy, self._receiver, StallDetector()
        while True:
            await next_tick(policy.probe_seconds)
            stall.look(receiver.arrived, behind=receiver.behind, seconds=policy.probe_seconds)
            if stall.crossed(policy.silence_seconds, policy.probe_seconds):
                hint = "its feed does not arrive here; are our --advertise and --feed right?"
                log.warning("link.no_feed", game=game, address=self.link.address, hint=hint)
            if stall.seconds >= policy.lost_seconds:
                self.link.reset()
