"""An api node: clients in front of links, as the drain driver sees them."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from math import inf

import structlog
import trio
import trio.abc

from lastcall.api.auth.entry import Auth
from lastcall.api.games.games import Games
from lastcall.api.gateway.door import Door
from lastcall.api.gateway.gateway import Gateway
from lastcall.api.gateway.handshake import EntryRules
from lastcall.api.gateway.tls import ServerTls
from lastcall.api.limits import ClientLimits
from lastcall.api.options import ApiOptions
from lastcall.api.sessions.relays import Relays
from lastcall.api.settings import ApiSettings
from lastcall.api.socket.cork import Cork
from lastcall.api.socket.pump import Pump, pump_wanted
from lastcall.bus.address import parse_url
from lastcall.bus.base import Bus
from lastcall.core.lifecycle import Phase
from lastcall.ids import new_incarnation
from lastcall.limits import Limit
from lastcall.links.connector import CallerIdentity
from lastcall.links.connectors import GameConnectors
from lastcall.links.feed_reader import FeedReader
from lastcall.runtime.address import InheritedSocket, ListenAddress
from lastcall.runtime.drain import Drain
from lastcall.runtime.figures import Figures
from lastcall.runtime.listeners import bound_address, open_listeners
from lastcall.wire import frames
from lastcall.wire.reports import Counts
from lastcall.wire.views import KindView

log = structlog.get_logger()

CLOSE_MARGIN_SECONDS = 0.25
"""The last client to be moved must be gone before the cut, or it would count as cut."""
SILENCE_SPREAD_SECONDS = 1.0
"""Clients whose game node has fallen silent are moved over this time."""

Listeners = Sequence[trio.abc.Listener[trio.abc.Stream]]


class TaskStarter:
    """Starts tasks for code that has no nursery; they run as soon as :meth:`run` does."""

    def __init__(self) -> None:
        self._send, self._receive = trio.open_memory_channel[Callable[[], Awaitable[None]]](inf)

    def start_soon(self, task: Callable[..., Awaitable[None]], *args: object) -> None:
        """Like ``nursery.start_soon``."""
        self._send.send_nowait(partial(task, *args))

    async def run(self) -> None:
        """Runs the tasks, until cancelled."""
        async with trio.open_nursery() as nursery:
            async for task in self._receive:
                nursery.start_soon(task)


def _feeds_and_connectors(
    settings: ApiSettings, bus: Bus, rng: random.Random, cork: Cork
) -> tuple[FeedReader, GameConnectors]:
    """Opens the feed that all game nodes send to; raises :class:`lastcall.errors.AddressInUse`."""
    options = settings.options
    subscriber = bus.subscribe(options.feed.url)
    port = parse_url(subscriber.address).port
    feed = options.feed.dialled(settings.advertise, port).url
    feeds = FeedReader(subscriber, cork)
    connectors = GameConnectors(
        options.games,
        bus=bus,
        me=CallerIdentity(settings.name, new_incarnation(rng), settings.version, feed),
        feeds=feeds,
        policy=settings.link_policy,
        rng=rng,
        wall=settings.born,
        secrets=settings.secrets,
    )
    return feeds, connectors


async def _open_doors(places: Sequence[ListenAddress]) -> tuple[list[Door], list[str]]:
    """The doors at ``places``, and the addresses with the real ports."""
    doors, addresses = [], []
    for place in places:
        listeners = await open_listeners(place, beside=places)
        addresses.append(str(bound_address(listeners[0])))
        shared = isinstance(place, InheritedSocket)
        doors += [Door(listener, shared=shared) for listener in listeners]
    return doors, addresses


def _entry_rules(options: ApiOptions, auth: Auth | None) -> EntryRules:
    """Reads the certificate, if there is one; raises :class:`lastcall.errors.UsageError`."""
    tls = None
    if options.tls_cert is not None and options.tls_key is not None:
        tls = ServerTls(options.tls_cert, options.tls_key)
    return EntryRules(origins=options.origins, proxies=options.trusted_proxies, tls=tls, auth=auth)


class ApiNode:
    """Clients are its work, and the accept loop is its door."""

    tier = "api"
    is_whole_service = False

    def __init__(
        self,
        settings: ApiSettings,
        *,
        bus: Bus,
        drain: Drain,
        rng: random.Random,
        listeners: Listeners = (),
        auth: Auth | None = None,
    ) -> None:
        """Opens the feed; ``listeners`` take the place of those that ``--listen`` asks for.

        ``auth`` says who clients are; without it, everybody is anonymous.
        """
        self._settings = settings
        self._drain = drain
        self._rng = rng
        self._doors = [Door(listener) for listener in listeners]
        self._rules = _entry_rules(settings.options, auth)
        self.listen = ",".join(map(str, settings.options.listen))
        """Where clients connect, comma separated; once started, with the real ports."""
        self.client_urls: list[str] = []
        """The same as URLs. The host ``0.0.0.0`` or ``[::]`` is any of this machine."""
        self._tasks = tasks = TaskStarter()
        self._relays = Relays(settings.socket_policy, tasks.start_soon)
        self._cork = Cork()
        self._pump = Pump(self._cork) if pump_wanted() else None
        self._feeds, connectors = _feeds_and_connectors(settings, bus, rng, self._cork)
        limits = ClientLimits(settings.socket_policy.limits, self._relays.counts.limited)
        self.games = Games(
            connectors,
            relays=self._relays,
            link_policy=settings.link_policy,
            socket_policy=settings.socket_policy,
            limits=limits,
            move=lambda sessions: tasks.start_soon(
                self.gateway.moves.move_some, sessions, SILENCE_SPREAD_SECONDS, rng
            ),
        )
        self.gateway = Gateway(
            self.games,
            settings.socket_policy,
            hello=frames.Hello(1, settings.name, settings.version),
            limits=limits,
            counts=self._relays.counts,
            cork=self._cork,
            pump=self._pump,
            rules=self._rules,
        )

    def kinds(self) -> list[KindView]:
        """None: game nodes know them."""
        return []

    @property
    def unready(self) -> str:
        """Why a client that comes now would find no game node, nor its room; empty if it would."""
        return "" if self.games.ready else f"no game node{self.games.connectors.trouble}"

    async def start(self, services: trio.Nursery) -> None:
        """Opens the client ports, and begins to follow the game nodes."""
        if not self._doors:
            self._doors, addresses = await _open_doors(self._settings.options.listen)
            scheme = "ws" if self._rules.tls is None else "wss"
            self.client_urls = [f"{scheme}://{address}/" for address in addresses]
            self.listen = ",".join(addresses)
        services.start_soon(self._cork.run)
        services.start_soon(self._feeds.run)
        services.start_soon(self.games.run)
        services.start_soon(self._tasks.run)
        services.start_soon(self.gateway.sweep)
        if self._pump is not None:
            services.start_soon(self._pump.run)
        if self._rules.tls is not None:
            services.start_soon(self._rules.tls.reload_on_hangup)
        if self._rules.auth is not None:
            services.start_soon(self._rules.auth.run)

    async def keep_doors_open(self, work: trio.Nursery) -> None:
        """Accepts clients into ``work`` until cancelled."""
        try:
            await self.gateway.serve(self._doors, handler_nursery=work)
        finally:
            self.gateway.close_doors()

    def phase_changed(self) -> None:
        """A cordon keeps new clients out: by a 503, or by leaving a shared socket to others.

        A handshake that began at a shared socket gets the 503 only if the node has other sockets.
        """
        cordoned = self._drain.phase is Phase.CORDONED
        if cordoned or self._drain.phase is Phase.SERVING:
            all_shared = all(door.shared for door in self._doors)
            self.gateway.handshakes.refuse = "cordoned" if cordoned and not all_shared else None
            for door in self._doors:
                if cordoned and door.shared:
                    door.shut()
                else:
                    door.open()

    def begin_drain(self, seconds_left: float) -> None:
        """Tells clients the seconds left, and moves those outside rooms, or all, over time."""
        close_seconds = self._settings.socket_policy.close_seconds + CLOSE_MARGIN_SECONDS
        spread = max(0.0, min(self._drain.policy.spread_seconds, seconds_left - close_seconds))
        moves = self.gateway.moves
        move = moves.move_all if self._settings.options.clients == "move" else moves.move_idle

        async def let_go() -> None:
            await moves.notify("api", seconds_left)
            await move(spread, self._rng)

        self._tasks.start_soon(let_go)

    @property
    def left(self) -> int:
        """How many clients are connected."""
        return self.gateway.clients

    async def wait_empty(self) -> None:
        """Waits until the last client is gone."""
        await self.gateway.wait_empty()

    def cut(self) -> None:
        """Moves all clients that are left, over half of the farewell."""
        within_seconds = self._drain.policy.farewell_seconds / 2
        self._tasks.start_soon(self.gateway.moves.move_all, within_seconds)

    async def farewell(self) -> None:
        """Waits until the game nodes have heard who has left: nobody else would tell them, and they
        would keep the seats. Then each link detaches, as the services end.
        """
        with trio.move_on_after(self._settings.link_policy.lost_seconds) as patience:
            await self.games.wait_leaves_heard()
        if patience.cancelled_caught:
            log.warning("drain.leaves_unheard")

    def counts(self) -> Counts:
        """How clients have gone since the drain began."""
        gateway = self.gateway
        overdue = gateway.clients if self._drain.overdue else 0
        return Counts(
            clients_finished=gateway.clients_finished,
            clients_moved=gateway.clients_moved,
            clients_cut=gateway.clients_cut + overdue,
        )

    def why(self) -> list[str]:
        """Clients in rooms, with joins under way, and outside rooms."""
        return self.gateway.why()

    def figures(self) -> Figures:
        """For ``/metrics`` and ``/status``."""
        counts, links = self.gateway.counts, self.games.connectors.counts
        return Figures(
            phase=self._drain.phase,
            rooms=self._relays.rooms,
            clients=self.gateway.clients,
            links=len(self.games.known),
            link_ends=links.ends,
            round_trips=links.round_trips,
            feed_repairs=links.repairs,
            messages_in=counts.frames_in,
            messages_out=counts.frames_out,
            bytes_in=counts.bytes_in,
            bytes_out=counts.bytes_out,
            joins=counts.joined,
            refusals=counts.refusals,
            resumes=counts.resumed,
            unsent_excess_bytes=self.gateway.backlog.excess.bytes,
            votes=len(self.games.witness),
            client_ends=counts.ends,
            places_ended=counts.places_ended,
            room_moves=counts.rooms_moved,
            limited=dict(counts.limited) | {Limit.LINKS: self._feeds.refused_connections},
        )
