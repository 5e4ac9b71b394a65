"""The links to a game node: who may attach, which link a new one replaces, and how one ends."""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import NamedTuple

import msgspec
import structlog
import trio

from lastcall.bus.base import Bus
from lastcall.core.edge.token_bucket import TokenBucket
from lastcall.errors import LastcallError
from lastcall.game.admission import Admission
from lastcall.game.feeds import Feeds, Link, LinkWatcher, RequestHandler
from lastcall.ids import Incarnation, LinkId, NodeName
from lastcall.limits import Rate
from lastcall.peer import Peer
from lastcall.policy import LinkPolicy
from lastcall.runtime.rated_log import RatedLog
from lastcall.wire import nodes

log = structlog.get_logger()

LINES = Rate(burst=200, per_second=2)
"""How many links have lines in the log; a stranger without a secret to know may attach for ever."""


class GameIdentity(msgspec.Struct, frozen=True):
    """This node, for a caller. ``born`` is in seconds since 1970."""

    name: NodeName
    incarnation: Incarnation
    version: str
    born: float


class LinkListeners(NamedTuple):
    """``api`` gets the items of api nodes, and ``peers`` those of other game nodes; ``watcher``
    learns which links there are.
    """

    api: RequestHandler
    peers: RequestHandler
    watcher: LinkWatcher | None = None


class Attachments:
    """Opens and drops the links of ``feeds``."""

    def __init__(
        self,
        bus: Bus,
        me: GameIdentity,
        policy: LinkPolicy,
        *,
        feeds: Feeds,
        listeners: LinkListeners,
        state: Callable[[], nodes.NodeState],
        admission: Admission,
        links_max: int,
    ) -> None:
        self._bus = bus
        self._links_max = links_max
        """More nodes than this are refused: each costs a publisher and a ring."""
        self.admission = admission
        self.me = me
        self._policy = policy
        self._feeds = feeds
        self._links = feeds.links
        self._handlers = {nodes.API: listeners.api, nodes.GAME: listeners.peers}
        self._watcher = listeners.watcher
        self._state = state
        self._started_at = trio.current_time()
        self._lines = TokenBucket(LINES, self._started_at)
        self._not_logged = RatedLog("link.not_logged")

    def attach(self, attach: nodes.Attach, peer: Peer | None) -> nodes.Reply:
        """Answers a node that wants to attach, or repeats the answer to one that has."""
        reply = self._attach(attach, peer)
        self.admission.note_refusal(attach, peer, reply)
        return reply

    def _attach(self, attach: nodes.Attach, peer: Peer | None) -> nodes.Reply:
        if attach.incarnation == self.me.incarnation:
            return nodes.Twice(incarnation=self.me.incarnation)
        state, known = self._state(), attach.link in self._links
        refusal = self.admission.check(attach, known=known)
        if refusal is None and not known:
            feed = self.admission.feeds.find(attach.feed, peer)
            if isinstance(feed, nodes.Unsupported):
                return feed
            refusal = self._replace(attach) or self._open(attach, feed, state)
        if refusal is not None:
            return refusal
        return nodes.Welcome(
            wire=nodes.WIRE,
            link=attach.link,
            name=self.me.name,
            incarnation=self.me.incarnation,
            version=self.me.version,
            born=self.me.born,
            state=state,
            age_seconds=trio.current_time() - self._started_at,
            proof=self.admission.proof(attach),
        )

    def _replace(self, attach: nodes.Attach) -> nodes.Reply | None:
        """Drops the link that the new one replaces; or returns the refusal."""
        for old in [x for x in self._links.values() if x.incarnation == attach.incarnation]:
            if old.attempt > attach.attempt:
                return nodes.UnknownLink(incarnation=self.me.incarnation)
            same_address = old.dialled and old.dialled == attach.dialled
            if old.id != attach.replaces and not same_address:
                return nodes.Twice(incarnation=self.me.incarnation)
            self.drop(old.id, "attached anew")
        return None

    def _open(
        self, attach: nodes.Attach, feed: tuple[str, str], state: nodes.NodeState
    ) -> nodes.Reply | None:
        """Opens the new link with a feed to that URL and name; or returns the refusal."""
        if len(self._links) >= (most := self._links_max):
            why = f"it has as many links as its [limits] links allows: {most}"
            return nodes.Unsupported(message=why)
        try:
            publisher = self._bus.publisher(*feed)
        except LastcallError as error:
            return nodes.Unsupported(message=f"cannot dial the feed: {error}")
        link = self._links[attach.link] = Link(
            attach,
            publisher,
            self._handlers[attach.tier],
            policy=self._policy,
            now=trio.current_time(),
            excess=self._feeds.excess,
        )
        link.add_state(state)
        self._feeds.mark(link.id)
        link.logged = self._lines.take(trio.current_time())
        if link.logged:
            log.info("link.attached", **link.who, feed=attach.feed)
        else:
            self._not_logged.warning(**link.who)
        if self._watcher is not None:
            self._watcher.attached(link)
        return None

    def detach(self, link_id: LinkId) -> None:
        """A node that leaves has reported each client who may not have received all."""
        if (link := self._links.get(link_id)) is not None:
            link.confirmed_until = inf
            self.drop(link_id, "detached")

    def drop(self, link_id: LinkId, why: str) -> None:
        """The link is over: its players are away, and its feed is closed."""
        if (link := self._feeds.remove(link_id)) is not None:
            if link.logged:
                log.info("link.dropped", **link.who, why=why)
            link.handler.drop_link(link_id, link.confirmed_until)
            if self._watcher is not None:
                self._watcher.dropped(link)

    def drop_dead(self, caller: Incarnation) -> None:
        """The process has ended: drops the link by which it has called."""
        for link in [x for x in self._links.values() if x.incarnation == caller]:
            self.drop(link.id, "the process has ended")
