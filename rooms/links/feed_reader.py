"""The feed of all links of this node: each batch goes to its link, in short turns."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import perf_counter

import structlog
import trio

from lastcall.bus.base import Subscriber
from lastcall.errors import RemoteProtocolError
from lastcall.ids import LinkId
from lastcall.links.link_feed import LinkFeed
from lastcall.links.turn_cork import TurnCork
from lastcall.runtime.rated_log import RatedLog
from lastcall.runtime.refused_connections import RefusedConnections
from lastcall.wire import nodes

log = structlog.get_logger()

TURN_SECONDS = 0.004
"""How long batches are passed on before others run."""


class FeedReader:
    """The one subscriber of this node: gives each batch to its link, and drops unknown ones.

    Batches that were received together are passed on inside ``with cork:``, so that what they make
    an api node send to one client leaves in one write. Other tasks run after 4 ms at the latest:
    one receive may bring 256 messages, each with thousands of items. A batch of this process is
    passed on at once, within the step that publishes it.
    """

    def __init__(self, subscriber: Subscriber, cork: TurnCork) -> None:
        self._subscriber = subscriber
        self.cork = cork
        self._feeds: dict[LinkId, LinkFeed] = {}
        self._unreadable = RatedLog("feed.unreadable")
        self._refusals = RefusedConnections("--feed")

    @property
    def refused_connections(self) -> int:
        """How many connections to ``--feed`` a limit has refused."""
        return self._refusals.over

    @contextmanager
    def reading_for(self, feed: LinkFeed) -> Iterator[None]:
        """Inside the block, batches with the id of the feed's link go to ``feed``."""
        self._feeds[feed.link.id] = feed
        try:
            yield
        finally:
            del self._feeds[feed.link.id]

    def hear(self, message: bytes) -> None:
        """Passes on a message that has come with an answer: it is small."""
        batches = self._batches([message])
        while self._pass_some(batches):
            pass

    async def run(self) -> None:
        """Passes batches on until cancelled."""
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._refusals.watch, self._subscriber)
                await self._read()
        finally:
            self._subscriber.take = None

    async def _read(self) -> None:
        while True:
            self._subscriber.take = self._take
            messages = await self._subscriber.receive()
            self._subscriber.take = None
            batches = self._batches(messages)
            more = True
            while more:
                more = self._pass_some(batches)
                if more or self.cork.full:
                    await self.cork.settled()

    def _take(self, batch: nodes.FeedBatch) -> bool:
        """Passes a batch on; the part that it had no time for comes again by :meth:`_read`."""
        return not (self.cork.full or self._pass_some(self._and_what_waited(batch)))

    def _pass_some(self, batches: Iterator[nodes.FeedBatch]) -> bool:
        """Passes on for one turn; returns whether there may be more."""
        until = perf_counter() + TURN_SECONDS

        def enough() -> bool:
            return perf_counter() > until

        with self.cork:
            for batch in batches:
                feed = self._feeds.get(batch.link)  # the link may have ended since the last turn
                if feed is not None:
                    _pass_on(feed, batch, enough)
                if enough():
                    return True
        return False

    def _batches(self, messages: list[bytes]) -> Iterator[nodes.FeedBatch]:
        """The received batches; after each, empty ones while its link has items waiting."""
        for message in messages:
            try:
                batch = nodes.decode_feed(message)
            except RemoteProtocolError as error:
                self._unreadable.warning(error=str(error)[:200])
                continue
            yield from self._and_what_waited(batch)

    def _and_what_waited(self, batch: nodes.FeedBatch) -> Iterator[nodes.FeedBatch]:
        yield batch
        while (feed := self._feeds.get(batch.link)) is not None and feed.more:
            yield nodes.FeedBatch(batch.link, 0, [], batch.item_bytes)


def _pass_on(feed: LinkFeed, batch: nodes.FeedBatch, enough: Callable[[], bool]) -> None:
    """Our fault in one link's batch costs that link and no other."""
    try:
        feed.receive(batch, enough)
    except Exception:
        log.exception("feed.failed", address=feed.link.address)
        feed.link.reset()
