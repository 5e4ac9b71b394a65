"""The other game nodes, as the parts of this one use them: who is there, and what they say.

Two game nodes have two links, since each calls the other. A node sends its questions by the link
that it has opened, and gets the answers on the feed of that link.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Protocol, TypeAlias

import trio

from lastcall.core.edge.placement import Candidate
from lastcall.core.lifecycle import Phase
from lastcall.errors import MisplacedItem
from lastcall.game.feeds import Feeds
from lastcall.ids import Incarnation, LinkId, NodeName
from lastcall.links.candidates import as_candidate
from lastcall.links.connectors import GameConnectors
from lastcall.links.feed_reader import FeedReader
from lastcall.links.link import GameLink
from lastcall.links.link_counts import LinkCounts, Loss
from lastcall.links.turn_cork import NoCork
from lastcall.runtime.rated_log import RatedLog
from lastcall.runtime.turn_end import TurnEnd
from lastcall.wire import nodes

GONE_MAX = 1_024
"""At most this many ended processes are remembered; the oldest are forgotten first."""
Asked: TypeAlias = nodes.PeerUp | nodes.SurvivalItem
Answered: TypeAlias = nodes.PeerDown | nodes.SurvivalItem
NOT_OF_PEERS = "game nodes do not say that to each other"


class PeerHandler(Protocol):
    """A part of this node that works with other game nodes, such as the hand-off of rooms."""

    def asked(self, peer: Incarnation, item: Asked) -> None:
        """``peer`` asks for something; :meth:`PeerRequests.answer` takes the answer."""

    def answered(self, peer: Incarnation, item: Answered) -> None:
        """``peer`` answers what :meth:`Peers.send` has asked: in order, and once on each link."""

    def peer_up(self, peer: Incarnation) -> None:
        """A link to ``peer`` stands: whatever it has not answered must be asked again."""

    def peer_down(self, peer: Incarnation, loss: Loss) -> None:
        """The link to ``peer`` is over; unanswered items may have arrived, or not."""

    def peer_gone(self, peer: Incarnation) -> None:
        """It is certain that the process ``peer`` has ended. No link to it stands."""


class PeerRequests:
    """The requests of other game nodes: the items of the links by which they call.

    ``handlers`` get all of them; each ignores what is not for it.
    """

    def __init__(self, feeds: Feeds, handlers: Sequence[PeerHandler]) -> None:
        self._feeds = feeds
        self._handlers = handlers
        self._links: dict[Incarnation, LinkId] = {}
        """By which link each node has asked last."""

    def handle(self, link: LinkId, item: nodes.Up) -> None:
        """Passes the item on; raises :class:`MisplacedItem` for one of an api node."""
        if isinstance(item, nodes.Unknown):
            return
        if not isinstance(item, nodes.Move | nodes.OfRoom):
            raise MisplacedItem(NOT_OF_PEERS)
        peer = self._feeds.links[link].incarnation
        self._links[peer] = link
        for handler in self._handlers:
            handler.asked(peer, item)

    def answer(self, peer: Incarnation, item: nodes.PeerDown) -> bool:
        """Answers by the link by which ``peer`` has asked last; False if it is over.

        The node asks again on the next one.
        """
        link = self._links.get(peer)
        if link is not None:
            self._feeds.push(link, item)
        return link is not None

    def flush_acks(self) -> None:
        """Nothing to do: each item has an answer of its own."""

    def drop_link(self, link: LinkId, _confirmed_until: float) -> None:
        """The link is over: nothing is answered by it any more."""
        self._links = {peer: one for peer, one in self._links.items() if one != link}


class Peers:
    """The game nodes that this one calls: :class:`PeerCalls` keeps the links.

    ``handlers`` get all that is said, and learn who comes and goes. ``drop_links`` ends the links
    by which a process has called this node.
    """

    def __init__(
        self,
        me: Incarnation,
        handlers: Sequence[PeerHandler],
        drop_links: Callable[[Incarnation], None] = lambda _: None,
    ) -> None:
        self.me = me
        self._handlers = handlers
        self._drop_links = drop_links
        self._links: dict[Incarnation, GameLink] = {}
        self._gone: OrderedDict[Incarnation, None] = OrderedDict()
        self._misplaced = RatedLog("link.misplaced_item")

    @property
    def candidates(self) -> list[Candidate]:
        """The nodes to which a link stands, as placement sees them."""
        return [as_candidate(link) for link in self._links.values()]

    @property
    def any_serves(self) -> bool:
        """Whether one of them takes rooms."""
        return any(node.serving for node in self.candidates)

    def __len__(self) -> int:
        return len(self._links)

    def name(self, peer: Incarnation) -> NodeName:
        """The name of ``peer``; empty without a link to it."""
        link = self._links.get(peer)
        return NodeName("") if link is None else link.node.name

    def is_gone(self, peer: Incarnation) -> bool:
        """Whether it is certain that the process has ended; False if it is not known."""
        return peer in self._gone

    def send(self, peer: Incarnation, item: Asked) -> bool:
        """Asks ``peer``; False if no link to it stands. Ask again on the next one."""
        link = self._links.get(peer)
        if link is not None:
            link.send(item)
        return link is not None

    def note_gone(self, peer: Incarnation) -> None:
        """The process has ended, unless a link to it stands by another address.

        From now on nothing comes from it that is still under way.
        """
        if peer in self._links or peer in self._gone or peer == self.me:
            return
        self._gone[peer] = None
        if len(self._gone) > GONE_MAX:
            self._gone.popitem(last=False)
        for handler in self._handlers:
            handler.peer_gone(peer)
        self._drop_links(peer)

    def link_up(self, link: GameLink) -> None:
        """A link stands. A node that has stopped may still listen, but takes nothing; and one of
        version 0.1 takes this node for an api node.
        """
        if link.node.wire < nodes.PEERS or link.state.phase == Phase.STOPPED:
            return
        peer = link.node.incarnation
        self._links[peer] = link
        self._gone.pop(peer, None)  # another address of it refused connections
        for handler in self._handlers:
            handler.peer_up(peer)

    def link_item(self, link: GameLink, item: nodes.Down) -> None:
        """An answer."""
        if isinstance(item, nodes.Move | nodes.OfRoom):
            for handler in self._handlers:
                handler.answered(link.node.incarnation, item)
        elif not isinstance(item, nodes.Unknown):
            name = type(item).__name__.lower()
            self._misplaced.warning(game=link.node.name, item=name, why=NOT_OF_PEERS)

    def link_down(self, link: GameLink, loss: Loss) -> None:
        """The link is over, but perhaps there is another one by now."""
        peer = link.node.incarnation
        if self._links.get(peer) is not link:
            return
        del self._links[peer]
        for handler in self._handlers:
            handler.peer_down(peer, loss)


class PublishAfterTurn(NoCork):
    """Publishes this node's own feeds at the end of each turn of the :class:`FeedReader`."""

    def __init__(self, publish: Callable[[], None], turn_end: TurnEnd) -> None:
        self._publish = publish
        self._turn_end = turn_end

    def __exit__(self, *_: object) -> None:
        """Ends the turn."""
        self._publish()

    def at_end(self, act: Callable[[], None]) -> bool:
        """Calls ``act`` at the end of the loop's turn, if the caller wakes its task as well."""
        self._turn_end.at_end(act)
        return False


class PeerCalls:
    """The links by which this node calls others, from its start until it leaves."""

    def __init__(self, connectors: GameConnectors, feeds: FeedReader, peers: Peers) -> None:
        self._connectors = connectors
        self._feeds = feeds
        self._peers = peers
        self._scope = trio.CancelScope()
        self._left = trio.Event()

    @property
    def refused_connections(self) -> int:
        """How many connections to ``--feed`` a limit has refused."""
        return self._feeds.refused_connections

    @property
    def counts(self) -> LinkCounts:
        """How the links do."""
        return self._connectors.counts

    @property
    def none_unmet(self) -> bool:
        """Whether every game node that is named was met, or is certainly not there."""
        return self._connectors.none_unmet

    @property
    def any_may_return(self) -> bool:
        """Whether a node to which a link stood may soon be reached again."""
        return self._connectors.any_may_return

    async def run(self) -> None:
        """Keeps the links until cancelled, or until :meth:`leave`."""
        try:
            with self._scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._feeds.run)
                    nursery.start_soon(self._connectors.run, self, self._peers.note_gone)
        finally:
            self._left.set()

    async def leave(self) -> None:
        """Detaches from all nodes; it takes half a second at most."""
        self._scope.cancel()
        await self._left.wait()

    # From the links: lastcall.links.link.LinkListener

    def link_up(self, link: GameLink) -> None:
        """A game node is there."""
        self._connectors.link_up(link)
        self._peers.link_up(link)

    def link_state(self, link: GameLink) -> None:
        """Its phase, load or seats have changed: :attr:`Peers.candidates` shows them.

        The link to a node that is silent is given up, as that node does with links of silent ones:
        both sides of a link must know that it is over.
        """
        if link.silent:
            link.reset()

    def link_item(self, link: GameLink, item: nodes.Down) -> None:
        """It has said something."""
        self._peers.link_item(link, item)

    def link_down(self, link: GameLink, loss: Loss) -> None:
        """It is gone, or the link is."""
        self._connectors.link_down(link)
        self._peers.link_down(link, loss)
