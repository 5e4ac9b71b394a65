"""One game node's address, which is attached to again and again.

A :class:`GameConnector` lives as long as its address is wanted; each of its attaches is a
:class:`lastcall.links.link.GameLink`.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from math import inf

import msgspec
import structlog
import trio

from lastcall.bus.base import Bus, Caller, Probe
from lastcall.core.edge.node_clocks import NodeClocks
from lastcall.core.link.secret import NONCE_BYTES, Secrets, calling_side, proof, proven_by
from lastcall.errors import RemoteProtocolError
from lastcall.ids import Incarnation, LinkId, NodeName, new_link
from lastcall.links.feed_reader import FeedReader
from lastcall.links.link import GameLink, LinkListener
from lastcall.links.link_counts import LinkCounts, Loss
from lastcall.links.link_feed import LinkFeed
from lastcall.links.uplink import ASK_AGAIN_SECONDS, read_reply
from lastcall.policy import LinkPolicy
from lastcall.runtime.cluster_secret import no_secrets
from lastcall.wire import nodes

log = structlog.get_logger()

ATTACH_EVERY_SECONDS = 0.1
"""Between two attempts, so that a node that has just started is met at once."""
ATTACH_AT_MOST_SECONDS = 1.0
"""The pause doubles up to this while nothing answers, or refuses."""
OURSELVES_SECONDS = 30.0
"""Between two attempts at an address that leads to this very process: it will do so for long."""


class CallerIdentity(msgspec.Struct, frozen=True):
    """This node, as it introduces itself to a game node."""

    name: NodeName
    incarnation: Incarnation
    version: str
    feed: str
    """The URL of our subscriber that a game node can dial."""
    tier: str = nodes.API


@dataclass(frozen=True)
class ConnectorContext:
    """The parts of a node that all its connectors share."""

    bus: Bus
    me: CallerIdentity
    feeds: FeedReader
    listener: LinkListener
    policy: LinkPolicy
    rng: random.Random
    clocks: NodeClocks
    attempts: Iterator[int]
    """Numbers the attempts to attach, at all addresses."""
    met_twice: Callable[[Incarnation], bool]
    """Called when an address leads to a game process that says that it is attached already;
    returns whether a link to it stands, by whatever address."""
    counts: LinkCounts = field(default_factory=LinkCounts)
    secrets: Callable[[], Secrets] = no_secrets
    gone: Callable[[Incarnation], None] = lambda _incarnation: None
    """Called when it is certain that a process that was met has ended; perhaps again and again."""


class GameConnector:
    """One game node's address: attaches to each process that answers there, one after another."""

    def __init__(self, address: str, context: ConnectorContext) -> None:
        self.address = address
        self._context = context
        self._bus = context.bus
        self._policy = context.policy
        self.met = Incarnation(0)
        """The process that was last met here, by a link or by its word that it has one; 0 before
        the first."""
        self.wanted = True
        """False once the address is not named any more: then the present link is the last, except
        for one that heals it after a reset."""
        self.empty = False
        """Whether it is certain that no unattached node is here: the last probe was refused, or met
        a node that is attached by another address."""
        self.certain_at = trio.current_time()
        """When it was last certain whether a node is here, or when the address was named."""
        self.met_name = ""
        """The node that was last met here."""
        self.trouble = ""
        """Why the last attempt failed, or empty."""
        self._clock_checked = Incarnation(0)
        """The process of which a wrong clock was logged."""
        self._last = LinkId(0)
        self._heals_until = -inf

    async def run(self) -> None:
        """Keeps a link to the address while it is wanted; when cancelled, detaches.

        An error at this address is logged, once until it changes, and costs no other address its
        link.
        """
        pause = ATTACH_EVERY_SECONDS
        while self.wanted or trio.current_time() < self._heals_until:
            try:
                pause = await self._try(pause)
                self.trouble = ""
            except RemoteProtocolError as error:
                pause = min(2 * pause, ATTACH_AT_MOST_SECONDS)
                if self._is_new(error):
                    log.warning("link.refused", address=self.address, why=self.trouble)
            except Exception as error:  # the border of one game node
                if self._is_new(error):
                    log.warning("link.failed", address=self.address, exc_info=error)
            await trio.sleep(pause)

    def _is_new(self, error: Exception) -> bool:
        before, self.trouble = self.trouble, str(error)
        return self.trouble != before

    async def _try(self, pause: float) -> float:
        """Probes once; if a node listens, holds one link to its end. Returns the next pause.

        A probe costs a fraction of an nng socket that keeps dialling a dead address (4.5 ms of CPU
        a second each, and a rollout always has dead addresses).
        """
        longer = min(2 * pause, ATTACH_AT_MOST_SECONDS)
        probed = await self._bus.probe(self.address, self._policy.probe_seconds)
        self.empty = probed is Probe.REFUSED
        if self.empty:
            self.certain_at = trio.current_time()
            if self.met:
                self._context.gone(self.met)
        if probed is not Probe.REACHED:
            return longer
        with closing(self._bus.caller(self.address)) as caller:
            link_id, replaces = new_link(self._context.rng), self._last
            self._last = link_id
            link = GameLink(
                link_id,
                self.address,
                bus=self._bus,
                caller=caller,
                listener=self._context.listener,
                policy=self._policy,
                counts=self._context.counts,
                cork=self._context.feeds.cork,
            )
            feed = LinkFeed(link)  # what comes before the welcome waits there
            with self._context.feeds.reading_for(feed):
                reply = await self._attach(caller, link_id, replaces)
                if isinstance(reply, nodes.Welcome) and reply.link == link_id:
                    await self._hold(link, feed, reply)
                    return ATTACH_EVERY_SECONDS
            if caller.refused_by_tls:
                raise RemoteProtocolError(
                    f"{self.address}: TLS fails; only one side has --cluster-tls, or a certificate "
                    "has expired, is of another CA, or does not have the name of the host"
                )
        return self._refused(reply, longer)

    def _refused(self, reply: nodes.Reply | None, longer: float) -> float:
        """No link came of an attach: returns the next pause, or raises what is wrong there."""
        match reply:
            case nodes.Twice(incarnation) if incarnation == self._context.me.incarnation:
                self.met, self.empty = incarnation, True
                return OURSELVES_SECONDS
            case nodes.Twice(incarnation):
                self.met = incarnation
                # if no link stands, it still holds an earlier one
                self.empty = self._context.met_twice(incarnation)
                raise RemoteProtocolError(f"{self.address} is a node that is attached already")
            case nodes.Unsupported(retry=True):
                return ATTACH_EVERY_SECONDS
            case nodes.Unsupported(message):
                raise RemoteProtocolError(f"{self.address} refuses us: {message}")
        return longer

    async def _hold(self, link: GameLink, feed: LinkFeed, welcome: nodes.Welcome) -> None:
        """Runs the link to its end. Rooms survive a reset, so a reset is worth another link."""
        if self.met not in {0, welcome.incarnation}:
            self._context.gone(self.met)
        try:
            await link.run(self._by_our_clock(welcome), feed, self._context.feeds.hear)
        finally:
            if link.loss in {Loss.GONE, Loss.FAREWELL}:
                self._context.gone(welcome.incarnation)
            heals = link.loss is Loss.RESET
            patience = self._policy.lost_seconds if heals else -inf
            self._heals_until = trio.current_time() + patience

    def _by_our_clock(self, welcome: nodes.Welcome) -> nodes.Welcome:
        """The welcome with the node's start by our clock, where the clocks disagree."""
        now = trio.current_time()
        ahead = self._context.clocks.seconds_ahead(welcome.born, welcome.age_seconds, now)
        if ahead and welcome.incarnation != self._clock_checked:
            self._clock_checked = welcome.incarnation
            hint = "its clock or ours is wrong; versions are ranked by how long their nodes run"
            log.warning(
                "link.clocks_disagree", game=welcome.name, seconds_ahead=round(ahead, 1), hint=hint
            )
        return msgspec.structs.replace(welcome, born=welcome.born - ahead)

    async def _attach(
        self, caller: Caller, link_id: LinkId, replaces: LinkId
    ) -> nodes.Reply | None:
        secrets = self._context.secrets()
        me = self._context.me
        attach = nodes.Attach(
            wire=nodes.WIRE,
            link=link_id,
            attempt=next(self._context.attempts),
            api=me.name,
            incarnation=me.incarnation,
            feed=me.feed,
            version=me.version,
            replaces=replaces,
            dialled=self.address,
            nonce=self._context.rng.randbytes(NONCE_BYTES) if secrets else b"",
            tier=me.tier,
        )
        reply = await _ask(caller, attach)
        if not secrets:
            return reply
        if isinstance(reply, nodes.Challenge):
            game = reply.incarnation
            attach = msgspec.structs.replace(attach, challenge=reply.nonce)
            proven = proof(secrets[0], calling_side(attach), attach, game)
            reply = await _ask(caller, msgspec.structs.replace(attach, proof=proven))
        if isinstance(reply, nodes.Welcome) and not _has_proven(reply, attach, secrets):
            await _ask(caller, nodes.Detach(link=link_id))
            raise RemoteProtocolError(
                f"{self.address} does not know our secret: give it --cluster-secret-file, too"
            )
        return reply


def _has_proven(welcome: nodes.Welcome, attach: nodes.Attach, secrets: Secrets) -> bool:
    """Whether the game node knows the secret by which we have proven ourselves."""
    used = secrets[:1] if attach.challenge else ()
    return proven_by(used, "game", welcome.proof, attach, welcome.incarnation) is not None


async def _ask(caller: Caller, request: nodes.Attach | nodes.Detach) -> nodes.Reply | None:
    """The reply; None if there is none in time."""
    with trio.move_on_after(ASK_AGAIN_SECONDS):
        return read_reply(await caller.call(nodes.encode(request)))
    return None
