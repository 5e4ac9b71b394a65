"""The feeds of a game node: what it says to each node that is attached to it.

Items are numbered in the link's ring. They are published once for each turn of the loop; those that
follow from what another game node says, in the same turn.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

import msgspec
import trio

from lastcall.bus.base import Publisher
from lastcall.core.excess import Excess
from lastcall.core.link.feed import FeedRing
from lastcall.core.link.liveness import Liveness, StallDetector
from lastcall.core.link.uplink import ReplyCache
from lastcall.errors import MessageTooBig
from lastcall.ids import LinkId
from lastcall.policy import LinkPolicy
from lastcall.runtime.turn_end import TurnEnd
from lastcall.wire import nodes

PUBLISH_BYTES = 1 << 20
"""How much of one link is published before others run. 128 MiB at once hold the loop for 50 to
150 ms of CPU, and on a busy machine for a second."""
WITH_ANSWER_BYTES = 16 << 10
"""More of a feed does not go with an answer, which is kept until the next one."""


class RequestHandler(Protocol):
    """Receives the items of links: :class:`lastcall.host.host.Host` those of api nodes, and
    :class:`lastcall.game.peers.Peers` those of other game nodes.
    """

    def handle(self, link: LinkId, item: nodes.Up) -> None:
        """Applies one item.

        Raises :class:`lastcall.errors.MisplacedItem` if such a link does not carry it.
        """

    def flush_acks(self) -> None:
        """All items of a request are applied: sends the acks."""

    def drop_link(self, link: LinkId, confirmed_until: float) -> None:
        """The link is gone, and so are its players.

        They may not have received what was sent at ``confirmed_until`` (trio time) or later.
        """


class LinkWatcher(Protocol):
    """Learns which links other nodes have to this one, whatever they say."""

    def attached(self, link: Link) -> None:
        """A node has attached; its feed takes items from now on."""

    def dropped(self, link: Link) -> None:
        """The link is over."""


def caller_of(attach: nodes.Attach) -> dict[str, Any]:
    """The field that names the caller in log events: ``api`` or ``game``."""
    return {nodes.GAME if attach.tier == nodes.GAME else nodes.API: attach.api[:64]}


class Link:
    """One attached node, and its feed. ``handler`` gets its items."""

    __slots__ = (
        "_batch_bytes",
        "_fresh",
        "_publisher",
        "_revision",
        "attached_at",
        "attempt",
        "bytes_sent",
        "confirmed_until",
        "dialled",
        "feed",
        "handler",
        "id",
        "incarnation",
        "liveness",
        "logged",
        "name",
        "requests",
        "ring",
        "stalls",
        "tier",
        "who",
        "wire",
        "young",
    )

    def __init__(
        self,
        attach: nodes.Attach,
        publisher: Publisher,
        handler: RequestHandler,
        *,
        policy: LinkPolicy,
        now: float,
        excess: Excess,
    ) -> None:
        self.id = attach.link
        self.tier = attach.tier
        self.name = attach.api
        self.wire = attach.wire
        self.who = caller_of(attach)
        self.logged = True
        """Whether the log has the line that it was attached."""
        self.incarnation = attach.incarnation
        self.attempt = attach.attempt
        self.dialled = attach.dialled
        self.feed = attach.feed
        self.attached_at = now
        self.young = True
        """A link that it follows, of a node that was killed, may not have been dropped yet."""
        self.ring = FeedRing(policy, excess)
        self._fresh: list[nodes.Down] = []
        """The items that were never published, as the ring has them encoded."""
        self.requests: ReplyCache[nodes.Answer] = ReplyCache()
        self.liveness = Liveness(policy, now)
        self.stalls = StallDetector()
        self.confirmed_until = now
        """When the node had last confirmed the whole feed."""
        self.handler = handler
        self.bytes_sent = 0
        self._publisher = publisher
        self._batch_bytes = policy.batch_bytes
        self._revision = -1
        """Of the state that was added last to the feed."""

    def add_state(self, state: nodes.NodeState) -> None:
        """Adds the node's state to the feed."""
        self._revision = state.revision
        self.push(state, nodes.encode(state))

    def push(self, item: nodes.Down, encoded: bytes) -> None:
        """Adds an item to the feed."""
        self.ring.push(encoded)
        if not self.ring.overflowed:
            self._fresh.append(item)

    def publish(self, state: nodes.NodeState) -> str | None:
        """Publishes the oldest new items; returns why the link must be dropped.

        ``state`` is one of the new items. More of them may be left: see ``ring.has_fresh``.
        """
        if self._revision != state.revision:
            self.add_state(state)
        if self.ring.overflowed:
            return f"too far behind: {self.ring.overflowed}"
        for first, items in self.ring.fresh(self._batch_bytes, PUBLISH_BYTES):
            fresh, self._fresh = self._fresh[: len(items)], self._fresh[len(items) :]
            if not (self._taken_here(first, fresh, items) or self._published(first, items)):
                return "an item over the transport's limit, which can never arrive"
        return None

    def _taken_here(self, first: int, items: list[nodes.Down], encoded: list[bytes]) -> bool:
        """Hands items to a node of this process, which need not decode them."""
        take = self._publisher.takes_here
        if take is None:
            return False
        size = sum(map(len, encoded))
        taken: bool = take(nodes.FeedBatch(self.id, first, items, size // len(items)))
        if taken:
            self.bytes_sent += size
        return taken

    def take_small(self) -> bytes:
        """Takes what is new as one encoded run, which goes with an answer instead; empty if nothing
        is new, if that is too much, or if the node has not shown yet that the feed arrives.
        """
        limit = min(WITH_ANSWER_BYTES, self._batch_bytes)
        if not 0 < self.ring.fresh_bytes <= limit or not self.ring.confirmed:
            return b""
        ((first, items),) = self.ring.fresh(self._batch_bytes)
        self._fresh = []
        return self._encoded(first, items)

    def publish_again(self, missing: list[tuple[int, int]]) -> int:
        """Repeats items that did not arrive; returns how many."""
        runs = self.ring.again(missing, self._batch_bytes)
        return sum(len(items) for first, items in runs if self._published(first, items))

    def _published(self, first: int, items: list[bytes]) -> bool:
        """Hands items to the transport; False if it can never send them."""
        try:
            self._publisher.publish(self._encoded(first, items))
        except MessageTooBig:
            return False
        return True

    def _encoded(self, first: int, items: list[bytes]) -> bytes:
        run = nodes.encode(nodes.FeedRun(self.id, first, list(map(msgspec.Raw, items))))
        self.bytes_sent += len(run)
        return run

    def close(self) -> None:
        """Frees the transport's publisher, and what waits."""
        self.ring.clear()
        self._fresh = []
        self._publisher.close()


class Feeds:
    """The feeds of all links of a game node."""

    def __init__(self, policy: LinkPolicy, turn_end: TurnEnd) -> None:
        self.turn_end = turn_end
        self.excess = Excess(policy.rings_excess_bytes)
        """The items that wait beyond the shares of their links."""
        self.links: dict[LinkId, Link] = {}
        self._last: nodes.Down | None = None
        self._last_encoded = b""
        self.items_sent = 0
        self.items_repeated = 0
        self._bytes_before = 0
        """Sent on links that are over."""
        self._dirty: dict[LinkId, None] = {}
        """In order, so that runs are repeatable."""
        self.waking = False
        """Whether a request is applied that may wake rooms, which have something to say as well."""
        self._rooms_first = False
        """Whether a feed was marked by such a request."""
        self._wake = trio.Event()
        self.on_mark: Callable[[], None] = _nothing
        """Called when a feed is marked."""
        self._confirmed: trio.Event | None = None
        """While somebody waits for a confirmation: set by the next one."""

    @property
    def bytes_sent(self) -> int:
        """How many bytes were published, with those that were repeated."""
        return self._bytes_before + sum(link.bytes_sent for link in self.links.values())

    def push(self, link_id: LinkId, item: nodes.Down) -> None:
        """Adds an item to a link's feed; nothing happens if the link is gone."""
        if (link := self.links.get(link_id)) is None:
            return
        self.items_sent += 1
        if item is not self._last:  # a broadcast comes once for each link, and is kept once
            self._last, self._last_encoded = item, nodes.encode(item)
        link.push(item, self._last_encoded)
        if link_id not in self._dirty:
            self.mark(link_id)

    def mark(self, link_id: LinkId) -> None:
        """The link's feed has something to publish."""
        self._dirty[link_id] = None
        self._rooms_first |= self.waking
        self._wake.set()
        self.on_mark()

    def add_state(self, state: nodes.NodeState) -> None:
        """Every feed gets ``state`` as its next item: a mark that is taken now counts it."""
        for link in self.links.values():
            link.add_state(state)
            self.mark(link.id)

    def mark_all(self) -> None:
        """Phase, load or seats have changed: every feed gets the state with its next batch."""
        for link_id in self.links:
            self.mark(link_id)

    async def wait_marked(self) -> None:
        """Waits for something to publish; always a checkpoint."""
        await self._wake.wait()
        self._wake = trio.Event()
        await trio.lowlevel.checkpoint()  # mostly, the turn's end publishes

    def wait_for_rooms(self) -> bool:
        """Whether rooms were just woken, which add their messages in the next turn; once."""
        wait, self._rooms_first = self._rooms_first, False
        return wait

    def take_marked(self) -> list[Link]:
        """The links that have something to publish."""
        self._rooms_first = False
        dirty, self._dirty = self._dirty, {}
        return [link for link_id in dirty if (link := self.links.get(link_id)) is not None]

    def confirm(self, link: Link, number: int, now: float) -> None:
        """The feed has arrived up to item ``number``."""
        link.ring.confirm(number)
        if link.ring.confirmed == link.ring.head:
            link.confirmed_until = now
        self._wake_waiters()

    def remove(self, link_id: LinkId) -> Link | None:
        """Closes a link's feed; returns the link, or None if it is gone already."""
        link = self.links.pop(link_id, None)
        if link is not None:
            self._dirty.pop(link_id, None)
            self._bytes_before += link.bytes_sent
            link.close()
            self._wake_waiters()
        return link

    def of_tier(self, tier: str) -> list[Link]:
        """The attached nodes of one tier."""
        return [link for link in self.links.values() if link.tier == tier]

    @property
    def unconfirmed(self) -> int:
        """How many api nodes have not confirmed their whole feeds."""
        return sum(link.ring.confirmed < link.ring.head for link in self.of_tier(nodes.API))

    async def wait_confirmed(self, tiers: Sequence[str] = (nodes.API, nodes.GAME)) -> None:
        """Waits until every node of ``tiers`` has confirmed all that is in its feed by now.

        Later items do not count: a client that sends one request after the other must not keep a
        node up that has nothing left.
        """
        await self.wait_read(self.heads(link.id for tier in tiers for link in self.of_tier(tier)))

    def heads(self, links: Iterable[LinkId]) -> dict[LinkId, int]:
        """The newest item in the feed of each of ``links`` that still stands: see
        :meth:`wait_read`.
        """
        return {one: link.ring.head for one in links if (link := self.links.get(one)) is not None}

    async def wait_read(self, heads: Mapping[LinkId, int]) -> None:
        """Waits until the links of ``heads`` that still stand have confirmed their items up to
        there.
        """
        while any(
            link.ring.confirmed < head
            for one, head in heads.items()
            if (link := self.links.get(one)) is not None
        ):
            if self._confirmed is None:
                self._confirmed = trio.Event()
            await self._confirmed.wait()

    def _wake_waiters(self) -> None:
        if self._confirmed is not None:
            self._confirmed.set()
            self._confirmed = None


def _nothing() -> None:
    """The default of a callback that is not set."""
