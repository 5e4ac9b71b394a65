"""The other game nodes, for a node that calls them: its rooms may move there, and outlive it."""

from __future__ import annotations

import random
from collections.abc import Callable

import trio

from lastcall.bus.address import parse_url
from lastcall.bus.base import Bus
from lastcall.core.lifecycle import Phase
from lastcall.game.feeds import Feeds
from lastcall.game.links import Links
from lastcall.game.pair_links import PairLinks
from lastcall.game.peers import PeerCalls, PeerHandler, PeerRequests, Peers, PublishAfterTurn
from lastcall.game.settings import GameSettings
from lastcall.game.survival import Survival
from lastcall.game.survival_views import Views
from lastcall.game.witness_links import PairEvents
from lastcall.host.host import Host
from lastcall.ids import Incarnation
from lastcall.links.connector import CallerIdentity
from lastcall.links.connectors import GameConnectors
from lastcall.links.feed_reader import FeedReader
from lastcall.links.link_counts import LinkCounts
from lastcall.runtime.drain import Drain
from lastcall.wire import nodes


class OtherGames:
    """The game nodes that node ``me`` knows; without ``--games``, those alone that call it.

    Raises ``AddressInUse``.
    """

    def __init__(
        self,
        settings: GameSettings,
        me: Incarnation,
        *,
        bus: Bus,
        feeds: Feeds,
        drain: Drain,
        rng: random.Random,
        host: Callable[[], Host],
        links: Callable[[], Links],
    ) -> None:
        self._settings = settings
        self._me = me
        self._bus = bus
        self._feeds = feeds
        self._drain = drain
        self._host = host
        self._links = links
        """Of those that call this node."""
        self.handlers: list[PeerHandler] = []
        """They get what other game nodes say; to be filled before the start."""

        def drop_links(dead: Incarnation) -> None:
            links().attachments.drop_dead(dead)

        self.peers = Peers(me, self.handlers, drop_links)
        self.requests = PeerRequests(feeds, self.handlers)
        self._calls = self._open_calls(rng) if settings.games else None
        self.survival = None if self._calls is None else self._open_survival(self._calls)

    def run(self, services: trio.Nursery) -> None:
        """Calls the others from now on, inside ``services``."""
        if self._calls is not None:
            services.start_soon(self._calls.run)
        if self.survival is not None:
            services.start_soon(self.survival.run)

    async def leave(self) -> None:
        """The others hear that this node calls them no more."""
        if self._calls is not None:
            await self._calls.leave()

    @property
    def refused_connections(self) -> int:
        """How many connections the feed of the others has refused."""
        return 0 if self._calls is None else self._calls.refused_connections

    @property
    def counts(self) -> LinkCounts:
        """How the links to the others do."""
        return LinkCounts() if self._calls is None else self._calls.counts

    @property
    def any_may_return(self) -> bool:
        """Whether a node that took rooms before its link was lost may soon be reached again."""
        return self._calls is not None and self._calls.any_may_return

    def why(self) -> list[str]:
        """Sentences about surviving rooms that wait, and about images of others that have to go."""
        if self.survival is None:
            return []
        reasons = self.survival.standings.why()
        if self._drain.seconds_left is not None and (count := len(self.survival.copies)):
            reasons.append(f"{count} image(s) of other nodes' rooms, which those have to let go")
        return reasons

    def _open_calls(self, rng: random.Random) -> PeerCalls:
        settings = self._settings
        subscriber = self._bus.subscribe(settings.feed.url)
        port = parse_url(subscriber.address).port
        feed = settings.feed.dialled(settings.advertise, port).url
        me = settings.name, self._me, settings.version, feed, nodes.GAME
        feeds = FeedReader(
            subscriber, PublishAfterTurn(lambda: self._links().publish_now(), self._feeds.turn_end)
        )
        connectors = GameConnectors(
            settings.games,
            bus=self._bus,
            me=CallerIdentity(*me),
            feeds=feeds,
            policy=settings.link_policy,
            rng=rng,
            wall=settings.born,
            secrets=settings.secrets,
        )
        return PeerCalls(connectors, feeds, self.peers)

    def _open_survival(self, calls: PeerCalls) -> Survival:
        """The rooms that survive this node, on one that knows others."""
        settings = self._settings

        def links(events: PairEvents) -> PairLinks:
            return PairLinks(
                self._me, bus=self._bus, peers=self.peers, feeds=self._feeds, events=events
            )

        def views(links: PairLinks) -> Views:
            where = settings.listen.dialled(settings.advertise)
            return Views(links, host=where.host, all_met=lambda: calls.none_unmet)

        survival = Survival(
            self._me,
            settings.name,
            host=self._host,
            links=links,
            views=views,
            policy=settings.survival_policy,
            refusal=self._keeps_none,
        )
        self.handlers.append(survival.links)
        return survival

    def _keeps_none(self) -> str:
        """Why this node keeps no more images of others' rooms; empty while it does."""
        phase = self._drain.phase
        return "" if phase in {Phase.SERVING, Phase.CORDONED} else f"this node is {phase}"
