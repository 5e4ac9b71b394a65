"""The game node's half of its links: answers requests, publishes the feeds, drops silent links.

Links are opened and dropped by :mod:`lastcall.game.attachments`. An answer is synchronous: items go
into inboxes, the reply goes out.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from time import perf_counter

import structlog
import trio

from lastcall.bus.base import Responder
from lastcall.core.edge.token_bucket import TokenBucket
from lastcall.core.lifecycle import Phase
from lastcall.core.link.liveness import Verdict
from lastcall.core.sequence import SequenceCheck
from lastcall.errors import MisplacedItem, RemoteProtocolError
from lastcall.game.attachments import Attachments
from lastcall.game.feeds import Feeds, Link
from lastcall.limits import Rate
from lastcall.policy import LinkPolicy
from lastcall.runtime.rated_log import RatedLog
from lastcall.runtime.refused_connections import RefusedConnections
from lastcall.runtime.ticks import next_tick
from lastcall.wire import nodes

log = structlog.get_logger()

NAME_WARNINGS, NAME_WARNING_SECONDS = 5, 60.0
"""Nodes of the same name are logged this many times at once, and then once in these seconds."""
PUBLISH_SECONDS = 0.005
"""After this time the remaining feeds are published in the next turn."""


class Links:
    """All links that other nodes have to this one.

    ``state`` returns the node as placement should see it; a new revision
    whenever it differs.
    """

    def __init__(
        self,
        attachments: Attachments,
        policy: LinkPolicy,
        *,
        feeds: Feeds,
        state: Callable[[], nodes.NodeState],
    ) -> None:
        feeds.on_mark = partial(feeds.turn_end.at_end, self._publish_early)
        self.attachments = attachments
        self._unknown = nodes.UnknownLink(incarnation=attachments.me.incarnation)
        self._policy = policy
        self._feeds = feeds
        self._links = feeds.links
        self._state = state
        self._name_warnings = TokenBucket(
            Rate(NAME_WARNINGS, 1 / NAME_WARNING_SECONDS), trio.current_time()
        )
        self.items_received = 0
        self.bytes_received = 0
        self._unreadable = RatedLog("link.unreadable_request")
        self._misplaced = RatedLog("link.misplaced_item")
        self._refusals = RefusedConnections("--listen")

    @property
    def refused_connections(self) -> int:
        """How many connections to ``--listen`` a limit has refused."""
        return self._refusals.over

    async def run(self, responder: Responder) -> None:
        """Answers, publishes and watches until cancelled."""
        try:
            async with trio.open_nursery() as nursery:
                answer = partial(self._answer, responder)
                nursery.start_soon(responder.serve, answer, self._apply_batch)
                nursery.start_soon(self.attachments.admission.feeds.run)
                nursery.start_soon(self._refusals.watch, responder)
                nursery.start_soon(self._publish)
                nursery.start_soon(self._watch)
        finally:
            for link in list(self._links.values()):
                link.close()

    def _answer(self, responder: Responder, request: bytes) -> bytes:
        self.bytes_received += len(request)
        try:
            reply = self._reply(nodes.decode_request(request), responder)
        except RemoteProtocolError as error:
            peer = responder.peer
            host = "" if peer is None else peer.host
            self._unreadable.warning(peer=host, error=str(error)[:200])
            return nodes.encode(nodes.Unsupported(message=str(error)))
        return nodes.encode(reply)

    def _reply(self, request: nodes.Request, responder: Responder) -> nodes.Reply:
        match request:
            case nodes.Batch():
                return self._apply_batch(request)
            case nodes.Attach():
                return self.attachments.attach(request, responder.peer)
            case nodes.Detach():
                self.attachments.detach(request.link)
                return self._unknown

    def _apply_batch(self, batch: nodes.Batch) -> nodes.Reply:
        if (link := self._links.get(batch.link)) is None:
            return self._unknown
        now = trio.current_time()
        link.liveness.heard(now)
        match link.requests.judge(batch.number):
            case SequenceCheck.REPEAT if link.requests.reply is not None:
                return link.requests.reply
            case SequenceCheck.GAP:
                self.attachments.drop(link.id, "requests out of step")
                return self._unknown
        self._feeds.confirm(link, batch.confirmed, now)
        self.items_received += len(batch.items)
        self._feeds.waking = wakes = link.tier == nodes.API
        self._apply(link, batch.items)
        link.handler.flush_acks()
        self._feeds.waking = False
        feed = b""
        if not wakes:  # words of rooms, there or here, may wait for what is said
            feed = link.take_small()
            self.publish_now()
        if batch.missing:
            self._feeds.items_repeated += link.publish_again(batch.missing)
        answer = nodes.Answer(
            link=link.id, number=batch.number, head=link.ring.head, state=self._state(), feed=feed
        )
        link.requests.applied(batch.number, answer)
        return answer

    def _apply(self, link: Link, items: list[nodes.Up]) -> None:
        """Applies each item, even if one before it fails by an error in this program."""
        link_id, handle = link.id, link.handler.handle
        for item in items:
            try:
                handle(link_id, item)
            except MisplacedItem as error:
                name = type(item).__name__.lower()
                self._misplaced.warning(**link.who, item=name, why=str(error))
            except Exception:
                log.exception("verbs.failed", item=type(item).__name__)

    def _warn_of_namesakes(self, link: Link) -> None:
        """Two nodes of one name work: their incarnations differ. But nobody can tell them apart.
        One that was killed is dropped before the one that takes its name is not young.
        """
        for other in self._links.values():
            one_process = other.incarnation == link.incarnation
            if one_process or other.young or other.who != link.who:
                continue
            if self._name_warnings.take(trio.current_time()):
                addresses, hint = [other.feed, link.feed], "give each node a --name of its own"
                log.warning("link.same_name", **link.who, addresses=addresses, hint=hint)

    async def _publish(self) -> None:
        while True:
            await self._feeds.wait_marked()
            self.publish_now()

    def _publish_early(self) -> None:
        """A turn of the loop ends in which a feed was marked."""
        if self._feeds.wait_for_rooms():
            self._feeds.on_mark()
        else:
            self.publish_now()

    def publish_now(self) -> None:
        """Publishes what the feeds have, for some milliseconds: the rest has to wait for a turn."""
        links, rest = self._feeds.take_marked(), list[Link]()
        until = perf_counter() + PUBLISH_SECONDS
        for count, link in enumerate(links):
            if perf_counter() > until:
                rest = links[count:] + rest
                break
            if link.id not in self._links:
                continue
            if (why := link.publish(self._state())) is not None:
                log.warning("link.behind", **link.who, why=why)
                self.attachments.drop(link.id, why)
            elif link.ring.has_fresh:
                rest.append(link)
        for link in rest:
            self._feeds.mark(link.id)

    async def _watch(self) -> None:
        """Drops each link that is silent, or whose feed does not arrive.

        A link over its share must confirm something sooner: what waits for it takes memory that
        all links have together.
        """
        policy = self._policy
        while True:
            await next_tick(policy.probe_seconds)
            now = trio.current_time()
            serving = self._state().phase == Phase.SERVING
            for link in list(self._links.values()):
                link.liveness.turned(now)
                if link.liveness.verdict(now) is not Verdict.ALIVE:
                    self.attachments.drop(link.id, "silent")
                    continue
                if link.young and now - link.attached_at > self._policy.silence_seconds:
                    link.young = False
                    self._warn_of_namesakes(link)
                ring = link.ring
                behind = ring.confirmed < ring.head
                link.stalls.look(ring.confirmed, behind=behind, seconds=policy.probe_seconds)
                patient = serving and not ring.over_share
                if link.stalls.seconds >= (
                    policy.lost_seconds if patient else policy.silence_seconds
                ):
                    self.attachments.drop(
                        link.id, "its feed does not arrive; is --advertise right there?"
                    )
