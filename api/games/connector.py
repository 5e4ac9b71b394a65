"""The game nodes' addresses, as an api node attaches to them; and the feed that they all send to.

A :class:`GameConnector` stands for one address and lives as long as it is wanted; each of its
attaches is an :class:`lastcall.api.games.link.GameLink`.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from math import inf
from time import perf_counter

import msgspec
import structlog
import trio

from lastcall.api.games.link import ASK_AGAIN_SECONDS, GameLink, LinkListener, Loss, read_reply
from lastcall.api.socket.cork import Cork
from lastcall.bus.base import Bus, Caller, Probe, Subscriber
from lastcall.errors import RemoteProtocolError
from lastcall.ids import Incarnation, LinkId, NodeName, new_link
from lastcall.policy import LinkPolicy
from lastcall.wire import nodes

__all__ = ["ApiIdentity", "FeedReader", "GameConnector"]

log = structlog.get_logger()

ATTACH_EVERY_SECONDS = 0.1
"""Between two tries to attach, so that a node that has just come up is met at once."""
ATTACH_AT_MOST_SECONDS = 1.0
"""The pause doubles up to this while nobody answers."""
TURN_SECONDS = 0.004
"""How long batches are passed on before others run."""


class ApiIdentity(msgspec.Struct, frozen=True):
    """Who we are, for a game node."""

    name: NodeName
    incarnation: Incarnation
    version: str
    feed: str
    """The URL of our subscriber, as a game node can dial it."""


class FeedReader:
    """The one subscriber of this node: gives each batch to its link, and drops strangers.

    What has come together is passed on inside ``with cork:``, so that what it makes the node say
    to one client can leave together too. But however much it is, others run after 4 ms: a receive
    may bring 256 messages, and each of them thousands of items.
    """

    def __init__(self, subscriber: Subscriber, cork: Cork) -> None:
        self._subscriber = subscriber
        self._cork = cork
        self._links: dict[LinkId, GameLink] = {}

    @contextmanager
    def bringing(self, link: GameLink) -> Iterator[None]:
        """In the block, what bears the link's id goes to ``link``."""
        self._links[link.id] = link
        try:
            yield
        finally:
            del self._links[link.id]

    async def run(self) -> None:
        """Passes batches on until cancelled."""
        while True:
            batches = self._batches(await self._subscriber.receive())
            more = True
            while more:
                more = self._pass_some(batches)
                if more or self._cork.full:
                    await self._cork.settled()

    def _pass_some(self, batches: Iterator[nodes.FeedBatch]) -> bool:
        """One turn's worth; returns whether there may be more."""
        until = perf_counter() + TURN_SECONDS

        def enough() -> bool:
            return perf_counter() > until

        with self._cork:
            for batch in batches:
                link = self._links.get(batch.link)  # it may be over since the turn before
                if link is not None:
                    _pass_on(link, batch, enough)
                if enough():
                    return True
        return False

    def _batches(self, messages: list[bytes]) -> Iterator[nodes.FeedBatch]:
        """What has come, and after each batch, as empty ones, what its link has still waiting."""
        for message in messages:
            try:
                batch = nodes.decode_feed(message)
            except RemoteProtocolError as error:
                log.warning("feed.unreadable", error=str(error))
                continue
            yield batch
            while (link := self._links.get(batch.link)) is not None and link.more:
                yield nodes.FeedBatch(batch.link, 0, [], batch.item_bytes)


def _pass_on(link: GameLink, batch: nodes.FeedBatch, enough: Callable[[], bool]) -> None:
    """A fault of ours with one link's batch costs that link and no other."""
    try:
        link.on_feed(batch, enough)
    except Exception:
        log.exception("feed.failed", address=link.address)
        link.reset()


class GameConnector:
    """One game node's address: attaches to whoever is there, again and again."""

    def __init__(
        self,
        address: str,
        *,
        bus: Bus,
        me: ApiIdentity,
        feeds: FeedReader,
        listener: LinkListener,
        policy: LinkPolicy,
        rng: random.Random,
        attempts: Iterator[int],
    ) -> None:
        self._bus = bus
        self.address = address
        self._me = me
        self._feeds = feeds
        self._listener = listener
        self._policy = policy
        self._rng = rng
        self._attempts = attempts
        self.answered = False
        """Whether a game node was ever met here; set by the listener, when a link is up."""
        self.wanted = True
        """Set to False when the address is no longer named: the link that stands is the last, but
        for one that heals it."""
        self.empty = False
        """Whether the last look found nobody there, or a node that is attached elsewhere: it is
        certain that no other node is missed here."""
        self._last = LinkId(0)
        self._heals_until = -inf

    async def run(self) -> None:
        """Holds a link to the address while it is wanted; when cancelled, says goodbye.

        Whatever goes wrong at this address is logged, once for each trouble, and costs no other
        address its link.
        """
        pause, trouble = ATTACH_EVERY_SECONDS, ""
        while self.wanted or trio.current_time() < self._heals_until:
            try:
                pause = await self._try(pause)
                trouble = ""
            except Exception as error:  # the border of one game node
                if str(error) != trouble:
                    trouble = str(error)
                    log.warning("link.failed", address=self.address, exc_info=error)
            await trio.sleep(pause)

    async def _try(self, pause: float) -> float:
        """One look, and if somebody listens one link to its end; how long to wait then.

        A bare look costs a fraction of an nng socket that dials a dead address all the time
        (4.5 ms of CPU a second each, and in a rollout there is always a dead one).
        """
        longer = min(2 * pause, ATTACH_AT_MOST_SECONDS)
        look = await self._bus.probe(self.address, self._policy.probe_seconds)
        self.empty = look is Probe.REFUSED
        if look is not Probe.REACHED:
            return longer
        with closing(self._bus.caller(self.address)) as caller:
            link_id, replaces = new_link(self._rng), self._last
            self._last = link_id
            link = GameLink(
                link_id,
                self.address,
                bus=self._bus,
                caller=caller,
                listener=self._listener,
                policy=self._policy,
            )
            with self._feeds.bringing(link):  # what comes before the welcome is kept
                match await self._attach(caller, link_id, replaces):
                    case nodes.Welcome() as welcome if welcome.link == link_id:
                        await self._hold(link, welcome)
                        return ATTACH_EVERY_SECONDS
                    case nodes.Twice():
                        self.answered = self.empty = True
                        raise RemoteProtocolError(f"{self.address} is a node that we know already")
                    case nodes.Unsupported(message):
                        raise RemoteProtocolError(f"{self.address} refuses us: {message}")
        return longer

    async def _hold(self, link: GameLink, welcome: nodes.Welcome) -> None:
        """Holds the link to its end. Its rooms survive a reset, so it is worth another."""
        try:
            await link.run(welcome)
        finally:
            heals = link.loss is Loss.RESET
            patience = self._policy.lost_seconds if heals else -inf
            self._heals_until = trio.current_time() + patience

    async def _attach(
        self, caller: Caller, link_id: LinkId, replaces: LinkId
    ) -> nodes.Reply | None:
        request = nodes.encode(
            nodes.Attach(
                wire=nodes.WIRE,
                link=link_id,
                attempt=next(self._attempts),
                api=self._me.name,
                incarnation=self._me.incarnation,
                feed=self._me.feed,
                version=self._me.version,
                replaces=replaces,
            )
        )
        with trio.move_on_after(ASK_AGAIN_SECONDS):
            return read_reply(await caller.call(request))
        return None
