"""One link to each other node that surviving rooms may turn to, and what is known of that node.

An api node calls this one, and says nothing by its link but its vote: see ``witnesses``. Of the two
links between two game nodes, the one that counts here is the link that the node with the lower
incarnation has opened: so what both say has one order each way, and is lost together when that link
is over. Game nodes say each other everything by it.
"""

from __future__ import annotations

from lastcall.bus.address import host_of
from lastcall.bus.base import Bus
from lastcall.core.lifecycle import Phase
from lastcall.core.survival.choice import Game
from lastcall.game.feeds import Feeds, Link
from lastcall.game.peers import Answered, Asked, Peers
from lastcall.game.witness_links import PairEvents, WitnessLinks
from lastcall.ids import Incarnation
from lastcall.links.link_counts import Loss
from lastcall.wire import nodes
from lastcall.wire.survival_items import SurvivalItem


class PairLinks:
    """The links of node ``me``; ``events`` gets what comes by them."""

    def __init__(
        self, me: Incarnation, *, bus: Bus, peers: Peers, feeds: Feeds, events: PairEvents
    ) -> None:
        self._me = me
        self.peers = peers
        self._feeds = feeds
        self._events = events
        self._called: set[Incarnation] = set()
        """The game nodes that this one has called."""
        self._callers: dict[Incarnation, Link] = {}
        """The game nodes that have called this one."""
        self._games: set[Incarnation] = set()
        self.witnesses = WitnessLinks(bus, feeds, events)

    @property
    def games(self) -> frozenset[Incarnation]:
        """This node and all game nodes that were met and are not known to be dead."""
        return frozenset({self._me, *self._games})

    @property
    def linked_games(self) -> list[Game]:
        """The game nodes with a link, as placement sees them."""
        linked = {*self._called, *self._callers}
        nodes_ = [node for node in self.peers.candidates if node.incarnation in linked]
        return [Game(node, host_of(node.address)) for node in nodes_]

    @property
    def leaving(self) -> frozenset[Incarnation]:
        """The game nodes that drain."""
        stay = (Phase.SERVING, Phase.CORDONED)
        nodes_ = self.peers.candidates
        return frozenset(node.incarnation for node in nodes_ if node.state.phase not in stay)

    def send(self, node: Incarnation, item: SurvivalItem) -> None:
        """Sends ``item``; drops it without a link."""
        if node in self._called:
            self.peers.send(node, item)
        elif (link := self._callers.get(node)) is not None:
            self._feeds.push(link.id, item)
        else:
            self.witnesses.send(node, item)

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
            self.witnesses.attached(link)
        elif link.incarnation < self._me:
            self._games.add(link.incarnation)
            self._callers[link.incarnation] = link
            self._events.linked(link.incarnation)

    def dropped(self, link: Link) -> None:
        """Its link is over."""
        if link.tier == nodes.API:
            self.witnesses.dropped(link)
        elif self._callers.get(link.incarnation) is link:
            del self._callers[link.incarnation]
            self._gone(link.incarnation, certain=self.peers.is_gone(link.incarnation))

    def _gone(self, node: Incarnation, *, certain: bool) -> None:
        if certain:
            self._games.discard(node)
        self._events.gone(node, certain=certain)
