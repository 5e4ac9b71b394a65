"""The game nodes behind this api node: where they are, the links to them, and what these bring."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence

import trio

from api.discovery import Discovery
from api.joins import SWEEP_SECONDS, Joins
from api.relay import Relays
from api.session import Session
from api.sources import GameSource
from rooms.bus.base import Bus
from rooms.core.lifecycle import Phase
from rooms.core.placement import GameNode
from rooms.policy import LinkPolicy, SocketPolicy
from rooms.reasons import EndReason
from rooms.runtime.link_api import ApiLink, Loss
from rooms.runtime.peer import ApiIdentity, Feeds, Peer
from rooms.wire import frames, nodes

__all__ = ["Games"]

READY_ANYWAY_SECONDS = 2.0
REGROUP_SECONDS = 5.0
"""How long a player whose room was given up waits for another node, before his place is over."""


class Games:
    """Discovery, links and readiness; the sink of every link, and what a session asks of a game."""

    def __init__(
        self,
        sources: Sequence[GameSource],
        *,
        bus: Bus,
        me: ApiIdentity,
        feeds: Feeds,
        relays: Relays,
        link_policy: LinkPolicy,
        socket_policy: SocketPolicy,
        rng: random.Random,
    ) -> None:
        self._discovery = Discovery(sources, self._found)
        self._bus = bus
        self._me = me
        self._feeds = feeds
        self._relays = relays
        self._link_policy = link_policy
        self._socket_policy = socket_policy
        self._rng = rng
        self._attempts = itertools.count(1)
        self._peers: dict[str, Peer] = {}
        self._joins = Joins(lambda: self._heard)
        self._draining: set[ApiLink] = set()
        self._nursery: trio.Nursery | None = None
        self._started_at = trio.current_time()

    async def run(self) -> None:
        """Follows the game nodes until cancelled."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            nursery.start_soon(self._discovery.run)
            nursery.start_soon(self._joins.sweep)

    @property
    def ready(self) -> bool:
        """Whether a join would find a place now (the api node's part of ``/readyz``)."""
        return self._heard and any(node.serving for node in self.known)

    @property
    def _heard(self) -> bool:
        """Whether every game node has been met, or has had its time to be."""
        wanted = [peer for peer in self._peers.values() if peer.wanted]
        heard = self._discovery.complete and all(peer.answered for peer in wanted)
        return heard or trio.current_time() - self._started_at >= READY_ANYWAY_SECONDS

    @property
    def links(self) -> int:
        """How many game nodes are attached."""
        return len(self.known)

    @property
    def known(self) -> list[GameNode]:
        """The game nodes that are attached, with the joins that are under way to each."""
        return self._joins.known

    def _found(self, addresses: frozenset[str]) -> None:
        """Meets new addresses; one that is no longer named is left when its link is over."""
        for address in addresses - self._peers.keys():
            peer = self._peers[address] = Peer(
                address,
                bus=self._bus,
                me=self._me,
                feeds=self._feeds,
                sink=self,
                policy=self._link_policy,
                rng=self._rng,
                attempts=lambda: next(self._attempts),
            )
            if self._nursery is not None:
                self._nursery.start_soon(self._follow, peer)
        for address, peer in self._peers.items():
            peer.wanted = address in addresses

    async def _follow(self, peer: Peer) -> None:
        """Known to its end: a second peer at an address would end the first one's link."""
        await peer.run()
        del self._peers[peer.address]

    # from the client: the session's Games

    def join(self, session: Session, request: frames.Join) -> None:
        """Seeks a seat; exactly one of ``session.seated`` and ``session.refused`` follows."""
        patience = self._socket_policy.join_seconds - 2 * SWEEP_SECONDS
        self._joins.begin(session, request, patience)

    def forget(self, session: Session) -> None:
        """The session is gone: a seat that still comes for it is given up at once."""
        self._joins.forget(session)

    # what links bring

    def link_up(self, link: ApiLink) -> None:
        """A game node is there: joins that wait go on."""
        if (peer := self._peers.get(link.address)) is not None:
            peer.answered = True
        self._joins.link_up(link)
        self.link_state(link)

    def link_state(self, link: ApiLink) -> None:
        """Phase, load, seats or silence have changed."""
        self._joins.link_state(link)
        if link.state.phase == Phase.DRAINING and link not in self._draining:
            self._draining.add(link)
            self._relays.draining(link, link.state.seconds_left or 0.0)

    def link_item(self, link: ApiLink, item: nodes.Down) -> None:
        """Results of joins find their session; all else belongs to a room."""
        match item:
            case nodes.Seated():
                self._seated(link, item)
            case nodes.Refused():
                self._joins.refused(link, item)
            case nodes.Regroup():
                for session, request in self._relays.vacate(link, item):
                    self._joins.begin(session, request, REGROUP_SECONDS)
            case _:
                self._relays.take(link, item)

    def _seated(self, link: ApiLink, seat: nodes.Seated) -> None:
        session = self._joins.seated(link, seat)
        if session is None:
            link.send(nodes.Absent(room=seat.room, player=seat.player, session=seat.session))
        else:
            self._relays.seat(link, seat, session)

    def link_down(self, link: ApiLink, loss: Loss) -> None:
        """Its rooms are lost for us; joins that were asked there go elsewhere."""
        self._draining.discard(link)
        if loss is not Loss.LEFT:
            self._relays.lost(link, EndReason.NODE_LOST)
        self._joins.link_down(link)
