"""The links by which api nodes have called this game node: they are witnesses of its pairs.

A witness that is gone is probed until it is known to be dead.
"""

from __future__ import annotations

from typing import Protocol

import msgspec
import trio

from lastcall.bus.address import host_of
from lastcall.bus.base import Bus, Probe
from lastcall.core.survival.choice import Api
from lastcall.game.feeds import Feeds, Link
from lastcall.ids import Incarnation, LinkId
from lastcall.runtime.ticks import next_tick
from lastcall.wire import nodes
from lastcall.wire.survival_items import SurvivalItem

PROBE_SECONDS = 0.25
"""Between two looks whether a witness that is gone has died."""
PROBED_MAX = 64
"""Api nodes that are gone and not known to be dead; the oldest are forgotten first."""


class PairEvents(Protocol):
    """The listener of the links that surviving rooms use."""

    def linked(self, node: Incarnation) -> None:
        """There is a new link to ``node``."""

    def gone(self, node: Incarnation, *, certain: bool) -> None:
        """The link is over; or it is ``certain`` by now that the process has ended."""

    def received(self, node: Incarnation, item: SurvivalItem) -> None:
        """``node`` has said something."""


class GoneApi(msgspec.Struct):
    """An api node without a link, and where its feed was."""

    incarnation: Incarnation
    feed: str


class WitnessLinks:
    """The api nodes; ``events`` gets what comes from them."""

    def __init__(self, bus: Bus, feeds: Feeds, events: PairEvents) -> None:
        self._bus = bus
        self._feeds = feeds
        self._events = events
        self._links: dict[Incarnation, Link] = {}
        self._gone: dict[str, GoneApi] = {}
        """By the address of the feed."""

    @property
    def apis(self) -> list[Api]:
        """The api nodes with a link; one of version 0.1 cannot vote."""
        links = [link for link in self._links.values() if link.wire >= nodes.PEERS]
        return [Api(link.name, link.incarnation, host_of(link.feed)) for link in links]

    def send(self, node: Incarnation, item: SurvivalItem) -> None:
        """Sends ``item``; drops it without a link."""
        if (link := self._links.get(node)) is not None:
            self._feeds.push(link.id, item)

    def send_all(self, item: nodes.Moved) -> None:
        """Tells all api nodes where a room is."""
        for link in self._links.values():
            self._feeds.push(link.id, item)

    async def run(self) -> None:
        """Finds out which api nodes have died, until cancelled."""
        while True:
            await next_tick(PROBE_SECONDS)
            async with trio.open_nursery() as nursery:
                for one in self._gone.values():
                    nursery.start_soon(self._probe, one)

    def attached(self, link: Link) -> None:
        """An api node has called this one. If another one had the address of its feed, that one is
        dead, also if its link still stands.
        """
        dead = {one.incarnation for one in self._links.values() if one.feed == link.feed}
        if (before := self._gone.pop(link.feed, None)) is not None:
            dead.add(before.incarnation)
        for incarnation in dead - {link.incarnation}:
            self._links.pop(incarnation, None)
            self._events.gone(incarnation, certain=True)
        self._links[link.incarnation] = link
        self._events.linked(link.incarnation)

    def dropped(self, link: Link) -> None:
        """Its link is over; whether it has died is still to be seen."""
        if self._links.get(link.incarnation) is not link:
            return
        del self._links[link.incarnation]
        self._gone[link.feed] = GoneApi(link.incarnation, link.feed)
        while len(self._gone) > PROBED_MAX:
            del self._gone[next(iter(self._gone))]
        self._events.gone(link.incarnation, certain=False)

    def voted(self, link: LinkId, vote: nodes.Vote) -> None:
        """An api node has answered."""
        by = self._feeds.links[link]
        if self._links.get(by.incarnation) is by:
            self._events.received(by.incarnation, vote)

    async def _probe(self, api: GoneApi) -> None:
        if await self._bus.probe(api.feed, PROBE_SECONDS) is not Probe.REFUSED:
            return
        if self._gone.get(api.feed) is api:
            del self._gone[api.feed]
            if api.incarnation not in self._links:
                self._events.gone(api.incarnation, certain=True)
