"""One link to each other node that surviving rooms may turn to, and what is known of that node.

An api node calls this one. Of the two links between two game nodes, the one that counts here is the
link that the node with the lower incarnation has opened: so what both say has one order each way,
and is lost together when that link is over. Game nodes say each other everything by it, and an api
node nothing but its vote.
"""

from __future__ import annotations

from typing import Protocol

import msgspec
import trio

from lastcall.bus.address import parse_url
from lastcall.bus.base import Bus, Probe
from lastcall.core.lifecycle import Phase
from lastcall.core.survival.choice import Api, Game
from lastcall.errors import BadAddress
from lastcall.game.feeds import Feeds, Link
from lastcall.game.peers import Answered, Asked, Peers
from lastcall.ids import Incarnation, LinkId, NodeName
from lastcall.links.link_counts import Loss
from lastcall.wire import nodes
from lastcall.wire.survival_items import SurvivalItem

PROBE_SECONDS = 0.25
"""Between two looks whether a witness that is gone has died."""
PROBED_MAX = 64
"""Api nodes that are gone and not known to be dead; the oldest are forgotten first."""


class PairEvents(Protocol):
    """The listener of these links."""

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


class PairLinks:
    """The links of node ``me``; ``events`` gets what comes by them."""

    def __init__(
        self, me: Incarnation, *, bus: Bus, peers: Peers, feeds: Feeds, events: PairEvents
    ) -> None:
        self._me = me
        self._bus = bus
        self._peers = peers
        self._feeds = feeds
        self._events = events
        self._called: set[Incarnation] = set()
        """The game nodes that this one has called."""
        self._callers: dict[Incarnation, Link] = {}
        """The api nodes, and the game nodes that have called this one."""
        self._gone_apis: dict[str, GoneApi] = {}
        """By the address of the feed."""
        self._games: set[Incarnation] = set()

    @property
    def games(self) -> frozenset[Incarnation]:
        """This node and all game nodes that were met and are not known to be dead."""
        return frozenset({self._me, *self._games})

    @property
    def linked_games(self) -> list[Game]:
        """The game nodes with a link, as placement sees them."""
        linked = {*self._called, *self._callers}
        nodes_ = [node for node in self._peers.candidates if node.incarnation in linked]
        return [Game(node, host_of(node.address)) for node in nodes_]

    @property
    def leaving(self) -> frozenset[Incarnation]:
        """The game nodes that drain."""
        stay = (Phase.SERVING, Phase.CORDONED)
        nodes_ = self._peers.candidates
        return frozenset(node.incarnation for node in nodes_ if node.state.phase not in stay)

    @property
    def apis(self) -> list[Api]:
        """The api nodes with a link; one of version 0.1 cannot vote."""
        callers = self._callers.values()
        links = [x for x in callers if x.tier == nodes.API and x.wire >= nodes.PEERS]
        return [Api(link.name, link.incarnation, host_of(link.feed)) for link in links]

    def name(self, node: Incarnation) -> NodeName:
        """The name of a game node; empty if it has left."""
        names = (peer.name for peer in self._peers.candidates if peer.incarnation == node)
        return next(names, NodeName(""))

    def send(self, node: Incarnation, item: SurvivalItem) -> None:
        """Sends ``item``; drops it without a link."""
        if node in self._called:
            self._peers.send(node, item)
        elif (link := self._callers.get(node)) is not None:
            self._feeds.push(link.id, item)

    def tell_apis(self, item: nodes.Moved) -> None:
        """Tells all api nodes where a room is."""
        for link in self._callers.values():
            if link.tier == nodes.API:
                self._feeds.push(link.id, item)

    async def run(self) -> None:
        """Finds out which api nodes have died, until cancelled."""
        while True:
            await trio.sleep(PROBE_SECONDS)
            async with trio.open_nursery() as nursery:
                for one in self._gone_apis.values():
                    nursery.start_soon(self._probe, one)

    # From this node's own links and those of its peers: lastcall.game.peers.PeerHandler.

    def peer_up(self, peer: Incarnation) -> None:
        """This node has called ``peer``."""
        self._games.add(peer)
        if self._me < peer:
            self._called.add(peer)
            self._events.linked(peer)

    def peer_down(self, peer: Incarnation, loss: Loss) -> None:
        """The link that this node has opened is over."""
        if peer in self._called:
            self._called.discard(peer)
            self._gone(peer, certain=loss in {Loss.GONE, Loss.FAREWELL})

    def peer_gone(self, peer: Incarnation) -> None:
        """It is certain that ``peer`` has ended, although its link may not be dropped yet."""
        self._callers.pop(peer, None)
        self._gone(peer, certain=True)

    def answered(self, peer: Incarnation, item: Answered) -> None:
        """``peer`` has said something on the feed of this node's link."""
        if isinstance(item, nodes.OfRoom) and peer in self._called:
            self._events.received(peer, item)

    def asked(self, peer: Incarnation, item: Asked) -> None:
        """``peer`` has said something by its own link."""
        if isinstance(item, nodes.OfRoom) and peer in self._callers:
            self._events.received(peer, item)

    # From the links of others: lastcall.game.feeds.LinkWatcher.

    def attached(self, link: Link) -> None:
        """A node has called this one."""
        if link.tier == nodes.API:
            self._replaced(link)
        elif link.incarnation < self._me:
            self._games.add(link.incarnation)
        else:
            return
        self._callers[link.incarnation] = link
        self._events.linked(link.incarnation)

    def dropped(self, link: Link) -> None:
        """Its link is over."""
        if self._callers.get(link.incarnation) is not link:
            return
        del self._callers[link.incarnation]
        if link.tier == nodes.API:
            self._gone_apis[link.feed] = GoneApi(link.incarnation, link.feed)
            while len(self._gone_apis) > PROBED_MAX:
                del self._gone_apis[next(iter(self._gone_apis))]
        self._gone(link.incarnation, certain=self._peers.is_gone(link.incarnation))

    def voted(self, link: LinkId, vote: nodes.Vote) -> None:
        """An api node has answered."""
        by = self._feeds.links[link]
        if self._callers.get(by.incarnation) is by:
            self._events.received(by.incarnation, vote)

    def _gone(self, node: Incarnation, *, certain: bool) -> None:
        if certain:
            self._games.discard(node)
        self._events.gone(node, certain=certain)

    def _replaced(self, link: Link) -> None:
        """Another api node has the address of the feed: the one that had it is dead, also if its
        link still stands.
        """
        before = self._gone_apis.pop(link.feed, None)
        apis = (x for x in self._callers.values() if x.tier == nodes.API)
        dead = {x.incarnation for x in apis if x.feed == link.feed}
        if before is not None:
            dead.add(before.incarnation)
        for incarnation in dead - {link.incarnation}:
            self._callers.pop(incarnation, None)
            self._events.gone(incarnation, certain=True)

    async def _probe(self, api: GoneApi) -> None:
        if await self._bus.probe(api.feed, PROBE_SECONDS) is not Probe.REFUSED:
            return
        if self._gone_apis.get(api.feed) is api:
            del self._gone_apis[api.feed]
            if api.incarnation not in self._callers:
                self._events.gone(api.incarnation, certain=True)


def host_of(address: str) -> str:
    """The host of a node's address; empty for one that has none."""
    try:
        return parse_url(address).host
    except BadAddress:
        return ""
