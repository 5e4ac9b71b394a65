"""The game node's half of its links: answers requests, and publishes each link's feed.

An answer is synchronous: items go into inboxes, the reply goes out. What rooms say is numbered in
the link's ring and published once per turn of the loop.
"""

from __future__ import annotations

from math import inf
from typing import Protocol

import msgspec
import structlog
import trio

from lastcall.bus.base import Bus, Publisher, Responder
from lastcall.core.lifecycle import Phase
from lastcall.core.link.feed import FeedRing
from lastcall.core.link.liveness import Liveness, StallDetector, Verdict
from lastcall.core.link.uplink import ReplyCache
from lastcall.core.sequence import SequenceCheck
from lastcall.errors import LastcallError, MessageTooBig, RemoteProtocolError
from lastcall.ids import Incarnation, LinkId, NodeName
from lastcall.policy import LinkPolicy
from lastcall.wire import nodes

__all__ = ["ApiLinks", "GameIdentity", "Verbs"]

log = structlog.get_logger()

LINKS_MAX = 1_024
"""More api nodes than this are told to go away: each costs a publisher and a ring."""


class GameIdentity(msgspec.Struct, frozen=True):
    """Who we are, for an api node. ``born`` is in seconds since 1970."""

    name: NodeName
    incarnation: Incarnation
    version: str
    born: float


class Verbs(Protocol):
    """What is behind the links: the rooms."""

    def handle(self, link: LinkId, item: nodes.Up) -> None:
        """Applies one item."""

    def flush_acks(self) -> None:
        """All items of a request are applied: say which inputs the rooms have."""

    def drop_link(self, link: LinkId, heard_until: float) -> None:
        """The link is gone, and so are its players.

        What was said to it at ``heard_until`` (trio time) or later they may not have heard.
        """

    def state(self) -> nodes.NodeState:
        """The node as placement should see it now; a new revision whenever it differs."""


class _Link:
    """One attached api node."""

    __slots__ = (
        "api",
        "attempt",
        "heard_until",
        "id",
        "incarnation",
        "liveness",
        "publisher",
        "requests",
        "revision",
        "ring",
        "standstill",
    )

    def __init__(
        self, attach: nodes.Attach, publisher: Publisher, policy: LinkPolicy, now: float
    ) -> None:
        self.id = attach.link
        self.api = attach.api
        self.incarnation = attach.incarnation
        self.attempt = attach.attempt
        self.publisher = publisher
        self.ring = FeedRing(items_max=policy.ring_items, bytes_max=policy.ring_bytes)
        self.requests = ReplyCache()
        self.heard_until = now
        """When it had last confirmed everything that was said to it."""
        self.liveness = Liveness(policy, now)
        self.revision = -1
        """Of the state that was said last on this feed."""
        self.standstill = StallDetector()


class ApiLinks:
    """All links of a game node."""

    def __init__(
        self, bus: Bus, responder: Responder, me: GameIdentity, verbs: Verbs, policy: LinkPolicy
    ) -> None:
        self._bus = bus
        self._responder = responder
        self._me = me
        self._verbs = verbs
        self._policy = policy
        self._links: dict[LinkId, _Link] = {}
        self._dirty: set[LinkId] = set()
        self._wake = trio.Event()
        self._confirmed = trio.Event()
        self.items_in = 0
        self.items_out = 0

    def __len__(self) -> int:
        return len(self._links)

    async def run(self) -> None:
        """Answers, publishes and watches until cancelled."""
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._responder.serve, self._answer)
                nursery.start_soon(self._publish)
                nursery.start_soon(self._watch)
        finally:
            for link in list(self._links.values()):
                link.publisher.close()

    def push(self, link_id: LinkId, item: nodes.Down) -> None:
        """Adds an item to a link's feed; to a link that is gone, nothing."""
        if (link := self._links.get(link_id)) is None:
            return
        self.items_out += 1
        link.ring.push(nodes.encode(item))
        if link_id not in self._dirty:
            self._mark(link_id)

    def state_changed(self) -> None:
        """Phase, load or seats have changed: every feed says so with the next batch."""
        for link_id in self._links:
            self._mark(link_id)

    @property
    def unconfirmed(self) -> int:
        """How many api nodes have not confirmed everything that was said to them."""
        return sum(link.ring.confirmed < link.ring.head for link in self._links.values())

    async def wait_confirmed(self) -> None:
        """Until every api node has confirmed everything that has been said to it by now.

        What is said meanwhile does not count: a client that asks again and again must not hold
        a node that has nothing left.
        """
        marks = {link.id: link.ring.head for link in self._links.values()}
        while any(link.ring.confirmed < marks.get(link.id, 0) for link in self._links.values()):
            await self._confirmed.wait()

    def _mark(self, link_id: LinkId) -> None:
        self._dirty.add(link_id)
        self._wake.set()

    # requests

    def _answer(self, request: bytes) -> bytes:
        try:
            reply = self._reply(nodes.decode_request(request))
        except RemoteProtocolError as error:
            return nodes.encode(nodes.Unsupported(message=str(error)))
        return reply if isinstance(reply, bytes) else nodes.encode(reply)

    def _reply(self, request: nodes.Request) -> nodes.Reply | bytes:
        match request:
            case nodes.Batch():
                return self._batch(request)
            case nodes.Attach():
                return self._attach(request)
            case nodes.Detach():
                self._detach(request.link)
                return nodes.UnknownLink(incarnation=self._me.incarnation)

    def _batch(self, batch: nodes.Batch) -> bytes | nodes.UnknownLink:
        if (link := self._links.get(batch.link)) is None:
            return nodes.UnknownLink(incarnation=self._me.incarnation)
        link.liveness.heard(trio.current_time())
        match link.requests.judge(batch.number):
            case SequenceCheck.REPEAT:
                return link.requests.reply
            case SequenceCheck.GAP:
                self._drop(link.id, "requests out of step")
                return nodes.UnknownLink(incarnation=self._me.incarnation)
        self._confirm(link, batch.confirmed)
        self.items_in += len(batch.items)
        self._apply(link.id, batch.items)
        self._verbs.flush_acks()
        self._publish_again(link, batch.missing)
        answer = nodes.Answer(
            link=link.id, number=batch.number, head=link.ring.head, state=self._verbs.state()
        )
        reply = nodes.encode(answer)
        link.requests.applied(batch.number, reply)
        return reply

    def _apply(self, link_id: LinkId, items: list[nodes.Up]) -> None:
        """One item that fails (a fault of ours) must not cost the others their turn."""
        handle = self._verbs.handle
        for item in items:
            try:
                handle(link_id, item)
            except Exception:
                log.exception("verbs.failed", item=type(item).__name__)

    def _confirm(self, link: _Link, number: int) -> None:
        link.ring.confirm(number)
        if link.ring.confirmed == link.ring.head:
            link.heard_until = trio.current_time()
        self._say_confirmed()

    def _say_confirmed(self) -> None:
        self._confirmed.set()
        self._confirmed = trio.Event()

    def _attach(self, attach: nodes.Attach) -> nodes.Reply:
        now = trio.current_time()
        state = self._verbs.state()
        if attach.link not in self._links:
            for old in [x for x in self._links.values() if x.incarnation == attach.incarnation]:
                if old.attempt > attach.attempt:
                    return nodes.UnknownLink(incarnation=self._me.incarnation)
                if old.id != attach.replaces:
                    return nodes.Twice(incarnation=self._me.incarnation)
                self._drop(old.id, "attached anew")
            if len(self._links) >= LINKS_MAX:
                return nodes.Unsupported(message=f"{LINKS_MAX} api nodes are attached already")
            try:
                publisher = self._bus.publisher(attach.feed)
            except LastcallError as error:
                return nodes.Unsupported(message=f"cannot dial the feed: {error}")
            link = self._links[attach.link] = _Link(attach, publisher, self._policy, now)
            self._say_state(link, state)
            self._mark(link.id)
            log.info("link.attached", api=attach.api, feed=attach.feed)
        return nodes.Welcome(
            wire=nodes.WIRE,
            link=attach.link,
            name=self._me.name,
            incarnation=self._me.incarnation,
            version=self._me.version,
            born=self._me.born,
            state=state,
        )

    def _detach(self, link_id: LinkId) -> None:
        """An api node that goes has told us before of each client who may not have heard all."""
        if (link := self._links.get(link_id)) is not None:
            link.heard_until = inf
            self._drop(link_id, "detached")

    def _drop(self, link_id: LinkId, why: str) -> None:
        if (link := self._links.pop(link_id, None)) is None:
            return
        log.info("link.dropped", api=link.api, why=why)
        self._dirty.discard(link_id)
        link.publisher.close()
        self._verbs.drop_link(link_id, link.heard_until)
        self._say_confirmed()

    # feeds

    async def _publish(self) -> None:
        while True:
            await self._wake.wait()
            self._wake = trio.Event()
            await trio.lowlevel.checkpoint()  # rooms that were just woken speak first
            state = self._verbs.state()
            dirty, self._dirty = self._dirty, set()
            for link_id in dirty:
                if (link := self._links.get(link_id)) is not None:
                    self._publish_link(link, state)

    def _publish_link(self, link: _Link, state: nodes.NodeState) -> None:
        if link.revision != state.revision:
            self._say_state(link, state)
        if link.ring.overflowed:
            self._drop(link.id, "too far behind")
            return
        runs = link.ring.fresh(self._policy.batch_bytes)
        if not all(_published(link, first, items) for first, items in runs):
            self._drop(link.id, "an item over the transport's limit, which can never arrive")

    def _say_state(self, link: _Link, state: nodes.NodeState) -> None:
        link.revision = state.revision
        link.ring.push(nodes.encode(state))

    def _publish_again(self, link: _Link, missing: list[tuple[int, int]]) -> None:
        for first, items in link.ring.again(missing, self._policy.batch_bytes):
            _published(link, first, items)

    # the rules of gone

    async def _watch(self) -> None:
        while True:
            await trio.sleep(self._policy.probe_seconds)
            now = trio.current_time()
            serving = self._verbs.state().phase == Phase.SERVING
            patience = self._policy.lost_seconds if serving else self._policy.silence_seconds
            for link in list(self._links.values()):
                link.liveness.turned(now)
                if link.liveness.verdict(now) is not Verdict.ALIVE:
                    self._drop(link.id, "silent")
                    continue
                ring = link.ring
                behind = ring.confirmed < ring.head
                link.standstill.look(
                    ring.confirmed, behind=behind, seconds=self._policy.probe_seconds
                )
                if link.standstill.seconds >= patience:
                    self._drop(link.id, "its feed does not arrive; is --advertise right there?")


def _published(link: _Link, first: int, items: list[bytes]) -> bool:
    """Hands items to the transport; False if it would never take them."""
    batch = nodes.FeedRun(link.id, first, list(map(msgspec.Raw, items)))
    try:
        link.publisher.publish(nodes.encode(batch))
    except MessageTooBig:
        return False
    return True
