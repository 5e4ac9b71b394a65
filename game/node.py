"""A game node: rooms behind links, as the drain drives them."""

from __future__ import annotations

import random
from collections.abc import Mapping

import trio

from lastcall.bus.address import parse_url
from lastcall.bus.base import Bus
from lastcall.core.lifecycle import Phase
from lastcall.game.admission import Admission
from lastcall.game.attachments import Attachments, GameIdentity, LinkListeners
from lastcall.game.departures import Departures
from lastcall.game.feeds import Feeds
from lastcall.game.links import Links
from lastcall.game.node_state import NodeStates
from lastcall.game.other_games import OtherGames
from lastcall.game.room_moves import RoomMoves
from lastcall.game.room_tally import RoomTally
from lastcall.game.settings import GameSettings
from lastcall.host.host import Host, HostEvents
from lastcall.host.kind_counts import kind_counts
from lastcall.host.kind_views import kind_views
from lastcall.host.occupancy import why_not_empty
from lastcall.ids import KindName, new_incarnation
from lastcall.kind import Kind
from lastcall.limits import Limit
from lastcall.runtime.drain import Drain
from lastcall.runtime.figures import Figures
from lastcall.runtime.turn_end import TurnEnd
from lastcall.wire import nodes
from lastcall.wire.reports import Counts
from lastcall.wire.views import KindView


class GameNode:
    """A node whose work is its rooms, and whose doors are the joins that open rooms."""

    tier = "game"
    is_whole_service = False

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
        self._turn_end = TurnEnd()
        self._feeds = Feeds(settings.link_policy, self._turn_end)
        self.others = self._open_others(rng)
        self.survival = self.others.survival
        self.host = Host(
            kinds=kinds,
            node=settings.name,
            rng=rng,
            outbox=self._feeds.push,
            policy=settings.room_policy,
            events=HostEvents(on_change=self._feeds.mark_all),
            protector=self.survival,
        )
        self.moves = RoomMoves(
            self.host, drain, self.others, feeds=self._feeds, policy=settings.handoff_policy
        )
        self.departures = Departures(
            self.host, drain, self.others, moves=self.moves, feeds=self._feeds
        )
        self.others.handlers.append(self.moves)
        self._states = NodeStates(self.host, drain)
        self._links = self._make_links(rng)
        self._tally = RoomTally(self.host.running)
        self.listen = settings.listen.url
        """The URL that other nodes dial; once started, with the real port."""
        self.client_urls: list[str] = []
        """None: clients connect to api nodes."""
        self.unready = "not listening"
        """Why it could not serve; empty once it listens."""

    def _open_others(self, rng: random.Random) -> OtherGames:
        return OtherGames(
            self._settings,
            self.incarnation,
            bus=self._bus,
            feeds=self._feeds,
            drain=self._drain,
            rng=rng,
            host=lambda: self.host,
            links=lambda: self._links,
        )

    def _make_links(self, rng: random.Random) -> Links:
        settings = self._settings
        secrets, apis = settings.secrets, settings.apis
        watcher = None if self.survival is None else self.survival.links
        attachments = Attachments(
            self._bus,
            GameIdentity(settings.name, self.incarnation, settings.version, settings.born),
            settings.link_policy,
            feeds=self._feeds,
            listeners=LinkListeners(self.host, self.others.requests, watcher),
            state=self._states.now,
            admission=Admission(self.incarnation, rng=rng, secrets=secrets, apis=apis),
            links_max=settings.room_policy.limits.links,
        )
        return Links(attachments, settings.link_policy, feeds=self._feeds, state=self._states.now)

    async def start(self, services: trio.Nursery) -> None:
        """Listens for other nodes, and begins to call the game nodes among them.

        Raises :class:`lastcall.errors.AddressInUse`.
        """
        listen = self._settings.listen
        responder = self._bus.respond(listen.url, nodes.REQUEST_BYTES_MAX)
        port = parse_url(responder.address).port
        self.listen = listen.dialled(self._settings.advertise, port).url
        services.start_soon(self._turn_end.run)
        services.start_soon(self._links.run, responder)
        services.start_soon(self.host.watch)
        services.start_soon(self.moves.run)
        services.start_soon(self.departures.run)
        self.others.run(services)
        self.unready = ""
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
        self._tally.begin()
        self.host.drain(trio.current_time() + seconds_left)
        self.departures.begin_drain()

    @property
    def left(self) -> int:
        """How many rooms run, or are on the way to other nodes."""
        return self.host.rooms

    async def wait_empty(self) -> None:
        """Waits until the last room has ended or moved, and the api nodes have confirmed that."""
        await self.departures.wait_empty()

    def cut(self) -> None:
        """Cancels every room that does not move; ``finally`` blocks run inside the farewell."""
        self.departures.cut()

    async def farewell(self) -> None:
        """Every attached node confirms that this one has stopped, which leaves its peers."""
        self._feeds.add_state(self._states.now())
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.others.leave)
            await self._feeds.wait_confirmed()

    def counts(self) -> Counts:
        """How rooms have ended since the drain began."""
        lost = self.departures.unconfirmed + (self.host.rooms if self._drain.overdue else 0)
        return self._tally.counts(handed_off=self.departures.count, lost=lost)

    def why(self) -> list[str]:
        """Why the node is still up: the oldest rooms first, then api nodes that are behind."""
        reasons = why_not_empty(self.host.running) + self.departures.why() + self.others.why()
        if behind := self._feeds.unconfirmed:
            reasons.append(f"{behind} api node(s) have not confirmed what was said last")
        return reasons

    def kinds(self) -> list[KindView]:
        """The kinds of rooms, in the order of their definition."""
        return kind_views(self._kinds.values())

    def figures(self) -> Figures:
        """For ``/metrics`` and ``/status``."""
        ends, handoffs = self.host.running.ends, self.moves.handoffs
        links, matchmaker = self.others.counts, self.host.matchmaker
        kinds = kind_counts(self.host.running, self._kinds)
        refused = self._links.refused_connections + self.others.refused_connections
        figures = Figures(
            phase=self._drain.phase,
            rooms=self.host.rooms,
            clients=sum(kind.players for kind in kinds.values()),
            kinds=kinds,
            links=len(self._feeds.of_tier(nodes.API)),
            peers=len(self.others.peers),
            link_ends=links.ends,
            round_trips=links.round_trips,
            feed_repairs=links.repairs,
            feed_repeats=self._feeds.items_repeated,
            messages_in=self._links.items_received,
            messages_out=self._feeds.items_sent,
            bytes_in=self._links.bytes_received,
            bytes_out=self._feeds.bytes_sent,
            joins=matchmaker.seated,
            refusals=matchmaker.refusals,
            resumes=self.host.places.resumes,
            unsent_excess_bytes=self._feeds.excess.bytes,
            limited=dict(self.host.running.limits.refused) | {Limit.LINKS: refused},
            rooms_ended={str(reason): count for reason, count in ends.items()},
            rooms_handed_off=self.departures.count,
            rooms_adopted=self.moves.adoptions.adopted,
            handoffs_refused=handoffs.refusals.count,
            handoffs_lost=handoffs.lost,
        )
        if self.survival is not None:
            self.survival.add_figures(figures)
        return figures
