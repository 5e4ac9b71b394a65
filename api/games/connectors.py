"""The addresses of all game nodes, and which of them have answered or are certainly unused."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from functools import partial

import trio

from lastcall.api.games.connector import ApiIdentity, FeedReader, GameConnector
from lastcall.api.games.discovery import Discovery
from lastcall.api.games.link import GameLink, LinkListener
from lastcall.api.games.sources import GameSource
from lastcall.bus.base import Bus
from lastcall.core.edge.missing_nodes import (
    NOTHING_KNOWN,
    MissingNodes,
    Unreached,
    missing_nodes,
)
from lastcall.policy import LinkPolicy

READY_ANYWAY_SECONDS = 2.0


class GameConnectors:
    """One :class:`GameConnector` for each address that the sources name."""

    def __init__(
        self,
        sources: Sequence[GameSource],
        *,
        bus: Bus,
        me: ApiIdentity,
        feeds: FeedReader,
        policy: LinkPolicy,
        rng: random.Random,
    ) -> None:
        self._discovery = Discovery(sources)
        self._bus = bus
        self._me = me
        self._feeds = feeds
        self._policy = policy
        self._rng = rng
        self._attempts = itertools.count(1)
        self._connectors: dict[str, GameConnector] = {}
        self._links: dict[str, GameLink] = {}
        self._started_at = trio.current_time()

    async def run(self, listener: LinkListener) -> None:
        """Attaches to every node that the sources name, until cancelled."""
        async with trio.open_nursery() as nursery:
            await self._discovery.run(partial(self._found, listener, nursery))

    @property
    def all_met(self) -> bool:
        """Whether every game node has been met, or has had its time to be."""
        wanted = [one for one in self._connectors.values() if one.wanted]
        met = self._discovery.complete and all(one.answered for one in wanted)
        return met or trio.current_time() - self._started_at >= READY_ANYWAY_SECONDS

    def missing(self) -> MissingNodes:
        """Which places may be at game nodes that neither answer now nor are certainly not there.

        Without a single node that answers it may be this api node that is cut off.
        """
        if not self._discovery.complete or not any(map(self._answers, self._connectors)):
            return NOTHING_KNOWN
        now = trio.current_time()
        unreached = [
            Unreached(one.met_name, 0 if address in self._links else now - one.certain_at)
            for address, one in self._connectors.items()
            if not (one.empty or self._answers(address))
        ]
        return missing_nodes(
            unreached,
            unmet_seconds=self._policy.lost_seconds,
            hinted_seconds=self._policy.hinted_seconds,
        )

    def _answers(self, address: str) -> bool:
        link = self._links.get(address)
        return link is not None and not link.silent

    def link_up(self, link: GameLink) -> None:
        """A node answers at the link's address."""
        if (connector := self._connectors.get(link.address)) is not None:
            connector.answered = True
            connector.met_name = link.node.name
        self._links[link.address] = link

    def link_down(self, link: GameLink) -> None:
        """The node does not answer any more."""
        if self._links.get(link.address) is link:
            del self._links[link.address]
            if (connector := self._connectors.get(link.address)) is not None:
                connector.certain_at = trio.current_time()

    def _found(
        self, listener: LinkListener, nursery: trio.Nursery, addresses: frozenset[str]
    ) -> None:
        """Meets new addresses; one that is not named any more is left when its link is over."""
        for address in addresses - self._connectors.keys():
            connector = self._connectors[address] = GameConnector(
                address,
                bus=self._bus,
                me=self._me,
                feeds=self._feeds,
                listener=listener,
                policy=self._policy,
                rng=self._rng,
                attempts=self._attempts,
            )
            nursery.start_soon(self._follow, connector)
        for address, connector in self._connectors.items():
            connector.wanted = address in addresses

    async def _follow(self, connector: GameConnector) -> None:
        """Keeps it to its end: a second connector at an address would end the first one's link."""
        await connector.run()
        del self._connectors[connector.address]
