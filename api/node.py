"""An api node: clients in front of links, as the drain driver sees them."""

from __future__ import annotations

import random
import resource
from collections.abc import Mapping, Sequence
from pathlib import Path

import trio
import trio.abc

from lastcall.api.games.connector import ApiIdentity, FeedReader
from lastcall.api.games.games import Games
from lastcall.api.gateway.door import Door
from lastcall.api.gateway.gateway import Gateway
from lastcall.api.options import ApiOptions
from lastcall.api.sessions.relay import Relays
from lastcall.api.sessions.session import Session
from lastcall.api.socket.cork import Cork
from lastcall.api.socket.pump import Pump, pump_wanted
from lastcall.bus.address import parse_url
from lastcall.bus.base import Bus
from lastcall.core.edge.placement import Candidate
from lastcall.core.lifecycle import Phase
from lastcall.ids import Incarnation, NodeName, new_incarnation
from lastcall.policy import LinkPolicy, SocketPolicy
from lastcall.runtime.address import InheritedSocket
from lastcall.runtime.admin.metrics import Figures
from lastcall.runtime.drain import Counts, Drain
from lastcall.runtime.listeners import bound_address, open_listeners

__all__ = ["STATIC_FILES", "ApiNode"]

CLOSE_MARGIN_SECONDS = 0.25
"""The last to be moved must be gone before the cut, or it would look as if something was cut."""
SILENCE_SPREAD_SECONDS = 1.0
"""Clients whose game node has fallen silent are moved over so many seconds."""
STATIC_FOLDER = Path(__file__).with_name("static")
STATIC_FILES: Mapping[str, Path] = {
    "/lastcall.js": STATIC_FOLDER / "lastcall.js",
    "/lastcall.d.ts": STATIC_FOLDER / "lastcall.d.ts",
    "/demo": STATIC_FOLDER / "demo.html",
}
"""The files of the JavaScript client, by the path where the admin port serves them."""

Listeners = Sequence[trio.abc.Listener[trio.abc.Stream]]


class ApiNode:
    """Clients are its work; the accept loop is its door."""

    tier = "api"

    def __init__(
        self,
        *,
        name: NodeName,
        version: str,
        advertise: str | None,
        options: ApiOptions,
        bus: Bus,
        drain: Drain,
        rng: random.Random,
        link_policy: LinkPolicy | None = None,
        socket_policy: SocketPolicy | None = None,
        listeners: Listeners | None = None,
    ) -> None:
        self._name = name
        self._version = version
        self._incarnation: Incarnation = new_incarnation(rng)
        self._advertise = advertise
        self._options = options
        self._bus = bus
        self._drain = drain
        self._rng = rng
        self._link_policy = link_policy or LinkPolicy()
        self._socket_policy = socket_policy or SocketPolicy(max_clients=_clients_that_fit())
        self._listeners = listeners
        self._shared = isinstance(options.listen, InheritedSocket)
        self._doors: list[Door] = []
        self._relays = Relays(self._socket_policy)
        self._listen = str(options.listen)
        self._services: trio.Nursery | None = None
        self._games: Games
        self.gateway: Gateway

    @property
    def listen(self) -> str:
        """Where clients connect, with the real port."""
        return self._listen

    @property
    def ready(self) -> bool:
        """Whether a client that comes now would find a game node."""
        return self._services is not None and self._games.ready

    @property
    def known(self) -> list[Candidate]:
        """The game nodes that are attached, as placement sees them."""
        return self._games.known

    async def start(self, services: trio.Nursery) -> None:
        """Opens the feed and the client port, and begins to follow the game nodes."""
        if self._listeners is None:
            opened = await open_listeners(self._options.listen)
            self._listen = str(bound_address(opened[0]))
            self._listeners = opened
        self._doors = [Door(listener) for listener in self._listeners]
        subscriber = self._bus.subscribe(self._options.feed.url)
        port = parse_url(subscriber.address).port
        feed = self._options.feed.dialled(self._advertise, port).url
        cork = Cork()
        pump = Pump(cork) if pump_wanted() else None
        feeds = FeedReader(subscriber, turn=cork)
        self._games = Games(
            self._options.games,
            bus=self._bus,
            me=ApiIdentity(self._name, self._incarnation, self._version, feed),
            feeds=feeds,
            relays=self._relays,
            link_policy=self._link_policy,
            socket_policy=self._socket_policy,
            rng=self._rng,
            move=self._move_some,
        )
        self.gateway = Gateway(
            self._games,
            self._socket_policy,
            node=self._name,
            version=self._version,
            counts=self._relays.counts,
            cork=cork,
            pump=pump,
        )
        self._services = services
        services.start_soon(cork.run)
        services.start_soon(feeds.run)
        services.start_soon(self._games.run)
        services.start_soon(self.gateway.sweep)
        if pump is not None:
            services.start_soon(pump.run)

    async def keep_doors_open(self, work: trio.Nursery) -> None:
        """Accepts clients into ``work`` until cancelled."""
        self._relays.start = work.start_soon
        try:
            await self.gateway.serve(self._doors, handler_nursery=work)
        finally:
            self.gateway.close_doors()

    def phase_changed(self) -> None:
        """A cordon keeps new clients out: by a 503, or by leaving a shared socket to others."""
        cordoned = self._drain.phase is Phase.CORDONED
        if cordoned or self._drain.phase is Phase.SERVING:
            refuse = "cordoned" if cordoned and not self._shared else None
            self.gateway.handshakes.refuse = refuse
            for door in self._doors:
                if cordoned and self._shared:
                    door.shut()
                else:
                    door.open()

    def begin_drain(self, seconds_left: float) -> None:
        """Clients hear the seconds left; those outside rooms, or all, are moved over time."""
        if self._services is not None:
            self._services.start_soon(self._let_go, seconds_left)

    async def _let_go(self, seconds_left: float) -> None:
        gateway = self.gateway
        closing = self._socket_policy.close_seconds + CLOSE_MARGIN_SECONDS
        spread = max(0.0, min(self._drain.policy.spread_seconds, seconds_left - closing))
        move = gateway.move_all if self._options.clients == "move" else gateway.move_idle
        await gateway.notify("api", seconds_left)
        await move(spread, self._rng)

    def _move_some(self, sessions: Sequence[Session]) -> None:
        """Moves clients whose game node we cannot reach: another api node may."""
        if self._services is not None and sessions:
            move = self.gateway.move_some
            self._services.start_soon(move, sessions, SILENCE_SPREAD_SECONDS, self._rng)

    @property
    def left(self) -> int:
        """How many clients are connected."""
        return self.gateway.clients

    async def wait_empty(self) -> None:
        """Until the last client is gone."""
        await self.gateway.wait_empty()

    def cut(self) -> None:
        """Whoever is left gets ``move`` and 1012, paced inside the farewell."""
        if self._services is not None:
            within = self._drain.policy.farewell_seconds / 2
            self._services.start_soon(self.gateway.move_all, within)

    async def farewell(self) -> None:
        """Game nodes hear of it as the services end: each link detaches."""

    def counts(self) -> Counts:
        """How clients have gone since the drain began."""
        if self._services is None:
            return Counts()
        gateway = self.gateway
        overdue = gateway.clients if self._drain.overdue else 0
        return Counts(
            clients_finished=gateway.clients_finished,
            clients_moved=gateway.clients_moved,
            clients_cut=gateway.clients_cut + overdue,
        )

    def why(self) -> list[str]:
        """Clients in rooms, with joins under way, and outside rooms."""
        return [] if self._services is None else self.gateway.why()

    def figures(self) -> Figures:
        """For ``/metrics`` and ``/status``."""
        if self._services is None:
            return Figures(phase=self._drain.phase)
        return Figures(
            phase=self._drain.phase,
            rooms=self._relays.rooms,
            clients=self.gateway.clients,
            links=self._games.links,
            messages_in=self.gateway.counts.frames_in,
            messages_out=self.gateway.counts.frames_out,
            resumes=self.gateway.counts.resumed,
        )


def _clients_that_fit() -> int:
    """As many as there are descriptors, less what links, feeds and the admin port need.

    A node that runs out of descriptors can reach no game node: better to say 503 before.
    """
    descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    usual = SocketPolicy().max_clients
    if descriptors == resource.RLIM_INFINITY:
        return usual
    reserve = min(256, descriptors // 2)
    return max(1, min(usual, int((descriptors - reserve) / (1 + SocketPolicy().half_open_share))))
