"""The addresses of all game nodes, and which of them have answered or are certainly unused."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Sequence
from functools import partial

import structlog
import trio

from lastcall.bus.base import Bus
from lastcall.core.edge.missing_nodes import (
    NOTHING_KNOWN,
    MissingNodes,
    Unreached,
    missing_nodes,
)
from lastcall.core.edge.node_clocks import NodeClocks
from lastcall.core.edge.token_bucket import TokenBucket
from lastcall.core.link.secret import Secrets
from lastcall.ids import Incarnation
from lastcall.limits import Rate
from lastcall.links.candidates import as_candidate
from lastcall.links.connector import (
    CallerIdentity,
    ConnectorContext,
    GameConnector,
)
from lastcall.links.discovery import Discovery
from lastcall.links.feed_reader import FeedReader
from lastcall.links.link import GameLink, LinkListener
from lastcall.links.link_counts import LinkCounts
from lastcall.links.sources import GameSource
from lastcall.policy import LinkPolicy
from lastcall.runtime.cluster_secret import no_secrets

log = structlog.get_logger()

READY_ANYWAY_SECONDS = 2.0
NAME_WARNINGS, NAME_WARNING_SECONDS = 5, 60.0
"""Nodes of the same name are logged this many times at once, and then once in these seconds."""


class GameConnectors:
    """One :class:`GameConnector` for each address that the sources name.

    ``wall`` is the time now, in seconds since 1970.
    """

    def __init__(
        self,
        sources: Sequence[GameSource],
        *,
        bus: Bus,
        me: CallerIdentity,
        feeds: FeedReader,
        policy: LinkPolicy,
        rng: random.Random,
        wall: float,
        secrets: Callable[[], Secrets] = no_secrets,
    ) -> None:
        self._discovery = Discovery(sources)
        self._bus = bus
        self._me = me
        self._feeds = feeds
        self._policy = policy
        self._rng = rng
        self._secrets = secrets
        self.counts = LinkCounts()
        self._connectors: dict[str, GameConnector] = {}
        self._links: dict[str, GameLink] = {}
        self._started_at = now = trio.current_time()
        self._clocks = NodeClocks(wall, now)
        self._name_warnings = TokenBucket(Rate(NAME_WARNINGS, 1 / NAME_WARNING_SECONDS), now)

    async def run(
        self, listener: LinkListener, gone: Callable[[Incarnation], None] = lambda _: None
    ) -> None:
        """Attaches to every node that the sources name, until cancelled.

        ``gone`` is called, perhaps more than once, with each process that has certainly ended.
        """
        context = ConnectorContext(
            bus=self._bus,
            me=self._me,
            feeds=self._feeds,
            listener=listener,
            policy=self._policy,
            rng=self._rng,
            clocks=self._clocks,
            attempts=itertools.count(1),
            met_twice=partial(self._met_twice, listener),
            counts=self.counts,
            secrets=self._secrets,
            gone=gone,
        )
        async with trio.open_nursery() as nursery:
            await self._discovery.run(partial(self._found, context, nursery))

    @property
    def all_met(self) -> bool:
        """Whether every game node has been met, or has had its time to be."""
        wanted = [one for one in self._connectors.values() if one.wanted]
        met = self._discovery.complete and all(one.met for one in wanted)
        return met or trio.current_time() - self._started_at >= READY_ANYWAY_SECONDS

    @property
    def none_unmet(self) -> bool:
        """Whether every game node that is named was met, or is certainly not there."""
        wanted = [one for one in self._connectors.values() if one.wanted]
        return self._discovery.complete and all(one.met or one.empty for one in wanted)

    @property
    def trouble(self) -> str:
        """Why a game node refuses us, with a colon in front; or empty."""
        return next((f": {one.trouble}" for one in self._connectors.values() if one.trouble), "")

    def missing(self) -> MissingNodes:
        """Which places may be at game nodes that neither answer now nor are certainly not there.

        Without a single node that answers it may be this api node that is cut off. So it may have
        been before the first one answered of those that answer now: nothing was certain then.
        """
        answering = [self._links[one] for one in self._connectors if self._answers(one)]
        if not answering:
            return NOTHING_KNOWN
        now, since = trio.current_time(), min(link.turned_at for link in answering)
        unreached = [
            Unreached(
                one.met_name, 0 if address in self._links else now - max(one.certain_at, since)
            )
            for address, one in self._connectors.items()
            if not (one.empty or self._answers(address))
        ]
        if not self._discovery.complete:
            unreached.append(Unreached("", now - self._started_at))
        return missing_nodes(
            unreached,
            unmet_seconds=self._policy.lost_seconds,
            hinted_seconds=self._policy.hinted_seconds,
        )

    @property
    def any_may_return(self) -> bool:
        """Whether another node that was met does not answer now, and its end is not certain.

        One that has not answered for ``lost_seconds`` counts no more.
        """
        lost_at = trio.current_time() - self._policy.lost_seconds
        return any(
            one.met not in {0, self._me.incarnation} and not one.empty and one.certain_at > lost_at
            for address, one in self._connectors.items()
            if address not in self._links
        )

    def _answers(self, address: str) -> bool:
        link = self._links.get(address)
        return link is not None and not link.silent

    def _met_twice(self, listener: LinkListener, incarnation: Incarnation) -> bool:
        self._update_wanted(listener)
        return any(link.node.incarnation == incarnation for link in self._links.values())

    def _update_wanted(self, listener: LinkListener) -> None:
        """A node is wanted while an address that led to it is, also another than its link's."""
        wanted = self._wanted()
        for link in self._links.values():
            if link.wanted is not (now_wanted := link.node.incarnation in wanted):
                link.wanted = now_wanted
                listener.link_state(link)

    def _wanted(self) -> set[Incarnation]:
        return {one.met for one in self._connectors.values() if one.wanted}

    def link_up(self, link: GameLink) -> None:
        """A node answers at the link's address."""
        if (connector := self._connectors.get(link.address)) is not None:
            connector.met = link.node.incarnation
            connector.met_name = link.node.name
        link.wanted = link.node.incarnation in self._wanted()
        self._links[link.address] = link
        self._warn_of_namesakes(link)

    def _warn_of_namesakes(self, link: GameLink) -> None:
        """Two nodes of one name work: their incarnations differ. But nobody can tell them apart."""
        for other in self._links.values():
            one_process = other.node.incarnation == link.node.incarnation
            if one_process or other.node.name != link.node.name:
                continue
            if not as_candidate(other).serving:
                continue
            if self._name_warnings.take(trio.current_time()):
                addresses = [other.address, link.address]
                hint = "give each game node a --name of its own"
                log.warning("link.same_name", game=link.node.name, addresses=addresses, hint=hint)

    def link_down(self, link: GameLink) -> None:
        """The node does not answer any more."""
        if self._links.get(link.address) is link:
            del self._links[link.address]
            if (connector := self._connectors.get(link.address)) is not None:
                connector.certain_at = trio.current_time()

    def _found(
        self, context: ConnectorContext, nursery: trio.Nursery, addresses: frozenset[str]
    ) -> None:
        """Meets new addresses; one that is not named any more is left when its link is over."""
        for address in sorted(addresses - self._connectors.keys()):
            connector = self._connectors[address] = GameConnector(address, context)
            nursery.start_soon(self._follow, connector)
        for address, connector in self._connectors.items():
            connector.wanted = address in addresses
        self._update_wanted(context.listener)

    async def _follow(self, connector: GameConnector) -> None:
        """Keeps it to its end: a second connector at an address would end the first one's link."""
        await connector.run()
        del self._connectors[connector.address]
