"""A game node: rooms behind links, as the drain drives them."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping

import msgspec
import trio

from lastcall.bus.address import HostPort, parse_url
from lastcall.bus.base import Bus
from lastcall.core.lifecycle import Phase
from lastcall.core.link.feed_address import AllowedApis
from lastcall.core.link.secret import Secrets
from lastcall.game.admission import Admission
from lastcall.game.feeds import Feeds
from lastcall.game.links import GameIdentity, Links
from lastcall.game.pair_links import PairEvents, PairLinks
from lastcall.game.peers import PeerCalls, PeerHandler, PeerRequests, Peers
from lastcall.game.room_moves import RoomMoves
from lastcall.game.survival import Survival
from lastcall.game.survival_views import Views
from lastcall.host.host import Host
from lastcall.host.kind_views import kind_views
from lastcall.ids import Incarnation, KindName, NodeName, new_incarnation
from lastcall.kind import Kind
from lastcall.limits import Limit
from lastcall.links.connector import CallerIdentity
from lastcall.links.connectors import GameConnectors
from lastcall.links.feed_reader import FeedReader, NoCork
from lastcall.links.sources import GameSource
from lastcall.policy import HandOffPolicy, LinkPolicy, RoomPolicy, SurvivalPolicy
from lastcall.reasons import EndReason
from lastcall.runtime.admin.metrics import Figures
from lastcall.runtime.cluster_secret import no_secrets
from lastcall.runtime.drain import Drain
from lastcall.wire import nodes
from lastcall.wire.reports import Counts
from lastcall.wire.views import KindView


class GameSettings(msgspec.Struct, frozen=True):
    """The settings of a game node at its start."""

    name: NodeName
    version: str
    listen: HostPort
    born: float
    """The time of its start in seconds since 1970: placement ranks versions by age."""
    advertise: str | None = None
    link_policy: LinkPolicy = LinkPolicy()
    room_policy: RoomPolicy = RoomPolicy()
    handoff_policy: HandOffPolicy = HandOffPolicy()
    survival_policy: SurvivalPolicy = SurvivalPolicy()
    apis: AllowedApis = AllowedApis()
    """Where feeds may be, besides where the requests of their nodes come from."""
    secrets: Callable[[], Secrets] = no_secrets
    games: tuple[GameSource, ...] = ()
    """Where the other game nodes are; without any, this node calls none."""
    feed: HostPort = HostPort("127.0.0.1", 0)
    """Where the other game nodes send to."""


class GameNode:
    """A node whose work is its rooms, and whose doors are the joins that open rooms."""

    tier = "game"

    def __init__(
        self,
        settings: GameSettings,
        *,
        kinds: Mapping[KindName, Kind],
        bus: Bus,
        drain: Drain,
        rng: random.Random,
    ) -> None:
        self.incarnation = new_incarnation(rng)
        self._settings = settings
        self._kinds = kinds
        self._bus = bus
        self._drain = drain
        self._feeds = Feeds(settings.link_policy)
        self.peer_handlers: list[PeerHandler] = []
        """They get what other game nodes say; to be filled before the start."""
        self.peers = Peers(self.incarnation, self.peer_handlers)
        self._peer_calls = (
            _open_peer_calls(settings, bus, self.incarnation, self.peers, rng)
            if settings.games
            else None
        )
        self.survival = None if self._peer_calls is None else self._open_survival(self._peer_calls)
        self.host = Host(
            kinds=kinds,
            node=settings.name,
            rng=rng,
            outbox=self._feeds.push,
            policy=settings.room_policy,
            on_change=self._feeds.mark_all,
            protector=self.survival,
        )
        self.peer_requests = PeerRequests(self._feeds, self.peer_handlers)
        self.moves = RoomMoves(
            self.host,
            drain,
            peers=self.peers,
            requests=self.peer_requests,
            policy=settings.handoff_policy,
            survival=self.survival,
        )
        self.peer_handlers.append(self.moves)
        self._links = self._make_links(
            Admission(self.incarnation, rng=rng, secrets=settings.secrets, apis=settings.apis)
        )
        seats, sizes = self.host.running.open_rooms.seats(), self.host.matchmaker.sizes
        self._last_state = nodes.NodeState(0, drain.phase, 0, seats, sizes=sizes)
        self._ends_before: dict[EndReason, int] | None = None
        """How many rooms had ended, by reason, when the drain began; None before that."""
        self._regrouped_before = 0
        self.listen = settings.listen.url
        """The URL that other nodes dial; once started, with the real port."""
        self.client_urls: list[str] = []
        """None: clients connect to api nodes."""
        self.ready = False
        """Whether it listens."""
        self.unready = "not listening"

    def _make_links(self, admission: Admission) -> Links:
        settings = self._settings
        return Links(
            self._bus,
            GameIdentity(settings.name, self.incarnation, settings.version, settings.born),
            settings.link_policy,
            feeds=self._feeds,
            api=self.host,
            peers=self.peer_requests,
            watcher=None if self.survival is None else self.survival.links,
            state=self._state,
            admission=admission,
        )

    def _open_survival(self, calls: PeerCalls) -> Survival:
        """The rooms that survive this node, on one that knows others."""
        settings, peers = self._settings, self.peers

        def links(events: PairEvents) -> PairLinks:
            return PairLinks(
                self.incarnation, bus=self._bus, peers=peers, feeds=self._feeds, events=events
            )

        def views(links: PairLinks) -> Views:
            where = settings.listen.dialled(settings.advertise)
            return Views(links, host=where.host, all_met=lambda: calls.none_unmet)

        survival = Survival(
            self.incarnation,
            settings.name,
            host=lambda: self.host,
            links=links,
            views=views,
            policy=settings.survival_policy,
            refusal=self._keeps_none,
        )
        self.peer_handlers.append(survival.links)
        return survival

    def _keeps_none(self) -> str:
        """Why this node keeps no more images of others' rooms; empty while it does."""
        phase = self._drain.phase
        return "" if phase in {Phase.SERVING, Phase.CORDONED} else f"this node is {phase}"

    def _state(self) -> nodes.NodeState:
        """The node as placement should see it; a new revision whenever placement would care."""
        last, phase, rooms = self._last_state, self._drain.phase, self.host.rooms
        seats = self.host.running.open_rooms.seats()
        if (last.phase, last.rooms, last.seats) != (phase, rooms, seats):
            self._last_state = nodes.NodeState(
                revision=last.revision + 1,
                phase=phase,
                rooms=rooms,
                seats=seats,
                seconds_left=self._drain.seconds_left,
                sizes=last.sizes,
            )
        return self._last_state

    async def start(self, services: trio.Nursery) -> None:
        """Listens for other nodes, and begins to call the game nodes among them.

        Raises :class:`lastcall.errors.AddressInUse`.
        """
        listen = self._settings.listen
        responder = self._bus.respond(listen.url, nodes.REQUEST_BYTES_MAX)
        port = parse_url(responder.address).port
        self.listen = listen.dialled(self._settings.advertise, port).url
        services.start_soon(self._links.run, responder)
        services.start_soon(self.host.watch)
        services.start_soon(self.moves.run)
        if self._peer_calls is not None:
            services.start_soon(self._peer_calls.run)
        if self.survival is not None:
            services.start_soon(self.survival.run)
        self.ready = True
        await trio.lowlevel.checkpoint()

    async def keep_doors_open(self, work: trio.Nursery) -> None:
        """Rooms may be opened, each a task in ``work``, until cancelled."""
        self.host.serve(work)
        try:
            await trio.sleep_forever()
        finally:
            self.host.matchmaker.doors_open = False

    def phase_changed(self) -> None:
        """Every api node gets the phase, the load and the seats at once."""
        match self._drain.phase:
            case Phase.CORDONED:
                self.host.matchmaker.doors_open = False
            case Phase.SERVING:
                self.host.matchmaker.doors_open = True
        self._feeds.mark_all()

    def begin_drain(self, seconds_left: float) -> None:
        """Every room gets the seconds left, and those leave that move at once."""
        self._ends_before = dict(self.host.running.ends)
        self._regrouped_before = self.host.running.regrouped
        self.host.drain(trio.current_time() + seconds_left)
        self.moves.begin_drain()

    @property
    def left(self) -> int:
        """How many rooms run, or are on the way to other nodes."""
        return self.host.rooms

    async def wait_empty(self) -> None:
        """Waits until the last room has ended or moved, and every api node has confirmed its feed.

        The players of an api node that is dropped instead may not have received their room's end:
        the node waits for them, as for all players between two sockets.
        """
        for _ in range(2):
            await self.host.wait_empty()
            await self.moves.wait_done()
            await self._feeds.wait_confirmed([nodes.API])

    def cut(self) -> None:
        """Cancels every room that does not move; ``finally`` blocks run inside the farewell."""
        self.moves.cut()

    async def farewell(self) -> None:
        """Every attached node confirms that this one has stopped, which leaves its peers."""
        async with trio.open_nursery() as nursery:
            if self._peer_calls is not None:
                nursery.start_soon(self._peer_calls.leave)
            await self._feeds.wait_confirmed()

    def counts(self) -> Counts:
        """How rooms have ended since the drain began."""
        rooms = self.host.running
        before = rooms.ends if self._ends_before is None else self._ends_before
        since = {reason: count - before[reason] for reason, count in rooms.ends.items()}
        return Counts(
            rooms_finished=since[EndReason.FINISHED] + since[EndReason.CRASHED],
            rooms_regrouped=rooms.regrouped - self._regrouped_before,
            rooms_abandoned=since[EndReason.ABANDONED],
            rooms_handed_off=self._rooms_handed_off,
            rooms_cut=since[EndReason.CUT]
            + self.moves.handoffs.lost
            + (self.host.rooms if self._drain.overdue else 0),
        )

    def why(self) -> list[str]:
        """Why the node is still up: the oldest rooms first, then api nodes that are behind."""
        reasons = self.host.why() + self.moves.why()
        if self.survival is not None:
            reasons += self.survival.standings.why()
            if self._drain.seconds_left is not None and (count := self.survival.replaceable):
                reasons.append(f"{count} image(s) of other nodes' rooms, which get another standby")
        if behind := self._feeds.unconfirmed:
            reasons.append(f"{behind} api node(s) have not confirmed what was said last")
        return reasons

    @property
    def _rooms_handed_off(self) -> int:
        handed_over = 0 if self.survival is None else self.survival.handed_over
        return self.moves.handoffs.moved + handed_over

    @property
    def _refused_connections(self) -> int:
        calls = self._peer_calls
        return self._links.refused_connections + (0 if calls is None else calls.refused_connections)

    def kinds(self) -> list[KindView]:
        """The kinds of rooms, in the order of their definition."""
        return kind_views(self._kinds.values())

    def figures(self) -> Figures:
        """For ``/metrics`` and ``/status``."""
        ends = self.host.running.ends
        figures = Figures(
            phase=self._drain.phase,
            rooms=self.host.rooms,
            clients=self.host.players,
            links=len(self._feeds.of_tier(nodes.API)),
            peers=len(self.peers),
            messages_in=self._links.items_received,
            messages_out=self._feeds.items_sent,
            resumes=self.host.places.resumes,
            unsent_excess_bytes=self._feeds.excess.bytes,
            limited=dict(self.host.running.limits.refused)
            | {Limit.LINKS: self._refused_connections},
            rooms_ended={str(reason): count for reason, count in ends.items()},
            rooms_handed_off=self._rooms_handed_off,
            rooms_adopted=self.moves.adoptions.adopted,
        )
        if self.survival is not None:
            self.survival.add_figures(figures)
        return figures


def _open_peer_calls(
    settings: GameSettings, bus: Bus, incarnation: Incarnation, peers: Peers, rng: random.Random
) -> PeerCalls:
    """Opens the feed of the other game nodes; raises ``AddressInUse``."""
    subscriber = bus.subscribe(settings.feed.url)
    port = parse_url(subscriber.address).port
    feed = settings.feed.dialled(settings.advertise, port).url
    me = settings.name, incarnation, settings.version, feed, nodes.GAME
    feeds = FeedReader(subscriber, NoCork())
    connectors = GameConnectors(
        settings.games,
        bus=bus,
        me=CallerIdentity(*me),
        feeds=feeds,
        policy=settings.link_policy,
        rng=rng,
        wall=settings.born,
        secrets=settings.secrets,
    )
    return PeerCalls(connectors, feeds, peers)
