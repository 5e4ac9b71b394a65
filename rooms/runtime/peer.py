"""The game nodes' addresses, as an api node attaches to them; and the feed that they all send to.

A :class:`Peer` stands for one address and lives as long as it is wanted; each of its attaches is
an :class:`rooms.runtime.link_api.ApiLink`.
"""

from __future__ import annotations

import random
from collections.abc import Callable

import msgspec
import structlog
import trio

from rooms.bus.base import Bus, Caller, Subscriber
from rooms.errors import RemoteProtocolError
from rooms.ids import Incarnation, LinkId, NodeName, new_link
from rooms.policy import LinkPolicy
from rooms.runtime.link_api import ASK_AGAIN_SECONDS, ApiLink, Sink, read_reply
from rooms.wire import nodes

__all__ = ["ApiIdentity", "Feeds", "Peer"]

log = structlog.get_logger()

ATTACH_EVERY_SECONDS = 0.1
"""Between two tries to attach, so that a node that has just come up is met at once."""


class ApiIdentity(msgspec.Struct, frozen=True):
    """Who we are, for a game node."""

    name: NodeName
    incarnation: Incarnation
    version: str
    feed: str
    """The URL of our subscriber, as a game node can dial it."""


class Feeds:
    """The one subscriber of this node: gives each batch to its link, and drops strangers."""

    def __init__(self, subscriber: Subscriber) -> None:
        self._subscriber = subscriber
        self.links: dict[LinkId, ApiLink] = {}

    async def run(self) -> None:
        """Passes batches on until cancelled."""
        while True:
            for message in await self._subscriber.receive():
                try:
                    batch = nodes.decode_feed(message)
                except RemoteProtocolError as error:
                    log.warning("feed.unreadable", error=str(error))
                    continue
                if (link := self.links.get(batch.link)) is not None:
                    link.on_feed(batch)


class Peer:
    """One game node's address: attaches to whoever is there, again and again."""

    def __init__(
        self,
        address: str,
        *,
        bus: Bus,
        me: ApiIdentity,
        feeds: Feeds,
        sink: Sink,
        policy: LinkPolicy,
        rng: random.Random,
        attempts: Callable[[], int],
    ) -> None:
        self._bus = bus
        self.address = address
        self._me = me
        self._feeds = feeds
        self._sink = sink
        self._policy = policy
        self._rng = rng
        self._attempts = attempts
        self.answered = False
        """Whether a game node was ever met here."""
        self.wanted = True
        """Set to False when the address is no longer named: the link that stands is the last."""

    async def run(self) -> None:
        """Holds a link to the address while it is wanted; when cancelled, says goodbye."""
        while self.wanted:
            caller = self._bus.caller(self.address)
            try:
                await self._one_link(caller)
            finally:
                caller.close()
            await trio.sleep(ATTACH_EVERY_SECONDS)

    async def _one_link(self, caller: Caller) -> None:
        link_id = new_link(self._rng)
        link = ApiLink(
            link_id,
            self.address,
            bus=self._bus,
            caller=caller,
            sink=self._sink,
            policy=self._policy,
        )
        self._feeds.links[link_id] = link
        try:
            if (welcome := await self._attach(caller, link_id)) is None:
                return
            self.answered = True
            await link.run(welcome)
        finally:
            del self._feeds.links[link_id]

    async def _attach(self, caller: Caller, link_id: LinkId) -> nodes.Welcome | None:
        request = nodes.encode(
            nodes.Attach(
                wire=nodes.WIRE,
                link=link_id,
                attempt=self._attempts(),
                api=self._me.name,
                incarnation=self._me.incarnation,
                feed=self._me.feed,
                version=self._me.version,
            )
        )
        with trio.move_on_after(ASK_AGAIN_SECONDS):
            reply = read_reply(await caller.call(request))
            if isinstance(reply, nodes.Welcome) and reply.link == link_id:
                return reply
            log.warning("link.refused", address=self.address, reply=repr(reply))
        return None
