"""A game node: rooms behind links, as the drain driver sees them."""

from __future__ import annotations

import random
from collections.abc import Mapping

import trio

from lastcall.author import Kind
from lastcall.bus.address import HostPort, parse_url
from lastcall.bus.base import Bus
from lastcall.core.lifecycle import Phase
from lastcall.game.links import ApiLinks, GameIdentity
from lastcall.game.verbs import GameVerbs
from lastcall.host.host import Host
from lastcall.ids import Incarnation, KindName, LinkId, NodeName, new_incarnation
from lastcall.policy import LinkPolicy, RoomPolicy
from lastcall.reasons import EndReason
from lastcall.runtime.admin.metrics import Figures
from lastcall.runtime.drain import Counts, Drain
from lastcall.wire import nodes

__all__ = ["GameNode"]


class GameNode:
    """Rooms are its work; the verb that opens rooms is its door.

    ``born`` is the time of its start in seconds since 1970: placement ranks versions by age.
    """

    tier = "game"

    def __init__(
        self,
        *,
        name: NodeName,
        version: str,
        listen: HostPort,
        advertise: str | None,
        kinds: Mapping[KindName, Kind],
        bus: Bus,
        drain: Drain,
        rng: random.Random,
        born: float,
        link_policy: LinkPolicy | None = None,
        room_policy: RoomPolicy | None = None,
    ) -> None:
        self.incarnation: Incarnation = new_incarnation(rng)
        self._me = GameIdentity(name, self.incarnation, version, born)
        self._where = listen
        self._advertise = advertise
        self._bus = bus
        self._drain = drain
        self._link_policy = link_policy or LinkPolicy()
        self.host = Host(
            kinds=kinds,
            node=name,
            rng=rng,
            outbox=_nowhere,
            policy=room_policy,
            on_change=self._say_state,
        )
        self._links: ApiLinks | None = None
        self._listen = listen.url
        self._before: dict[EndReason, int] = {}
        self._regrouped_before = 0

    @property
    def listen(self) -> str:
        """The URL that api nodes dial, with the real port."""
        return self._listen

    @property
    def ready(self) -> bool:
        """Whether it listens."""
        return self._links is not None

    def _say_state(self) -> None:
        if self._links is not None:
            self._links.state_changed()

    async def start(self, services: trio.Nursery) -> None:
        """Listens for api nodes; raises :class:`lastcall.errors.AddressInUse`."""
        responder = self._bus.respond(self._where.url)
        port = parse_url(responder.address).port
        self._listen = self._where.dialled(self._advertise, port).url
        verbs = GameVerbs(self.host, lambda: self._drain.phase, lambda: self._drain.seconds_left)
        self._links = ApiLinks(self._bus, responder, self._me, verbs, self._link_policy)
        self.host.outbox = self._links.push
        services.start_soon(self._links.run)
        services.start_soon(self.host.watch)
        await trio.lowlevel.checkpoint()

    async def keep_doors_open(self, work: trio.Nursery) -> None:
        """Rooms may be opened, each a task in ``work``, until cancelled."""
        self.host.serve(work)
        try:
            await trio.sleep_forever()
        finally:
            self.host.close_doors()

    def phase_changed(self) -> None:
        """Every api node hears at once of the phase, the load and the seats."""
        match self._drain.phase:
            case Phase.CORDONED:
                self.host.close_doors()
            case Phase.SERVING:
                self.host.open_doors()
        self._say_state()

    def begin_drain(self, seconds_left: float) -> None:
        """Every room hears the seconds left."""
        self._before = dict(self.host.ends)
        self._regrouped_before = self.host.regrouped
        self.host.drain(trio.current_time() + seconds_left)

    @property
    def left(self) -> int:
        """How many rooms run."""
        return self.host.rooms

    async def wait_empty(self) -> None:
        """Until the last room has ended and every api node has confirmed that it did.

        One that is dropped instead leaves players who may not have heard of it: they are waited
        for, as all who were between two sockets.
        """
        await self.host.wait_empty()
        if self._links is not None:
            await self._links.wait_confirmed()
            await self.host.wait_empty()
            await self._links.wait_confirmed()

    def cut(self) -> None:
        """Cancels every room; their ``finally`` blocks run inside the farewell."""
        self.host.cut()

    async def farewell(self) -> None:
        """Every api node confirms that this node has stopped, and leaves."""
        if self._links is not None:
            await self._links.wait_confirmed()

    def counts(self) -> Counts:
        """How rooms have ended since the drain began."""
        since = {
            reason: count - self._before.get(reason, 0) for reason, count in self.host.ends.items()
        }
        return Counts(
            rooms_finished=since[EndReason.FINISHED] + since[EndReason.CRASHED],
            rooms_regrouped=self.host.regrouped - self._regrouped_before,
            rooms_abandoned=since[EndReason.ABANDONED],
            rooms_cut=since[EndReason.CUT] + (self.host.rooms if self._drain.overdue else 0),
        )

    def why(self) -> list[str]:
        """Rooms first, the oldest at the head; then api nodes that have not confirmed."""
        reasons = self.host.why()
        if self._links is not None and (behind := self._links.unconfirmed):
            reasons.append(f"{behind} api node(s) have not confirmed what was said last")
        return reasons

    def figures(self) -> Figures:
        """For ``/metrics`` and ``/status``."""
        links = self._links
        return Figures(
            phase=self._drain.phase,
            rooms=self.host.rooms,
            clients=self.host.players,
            links=0 if links is None else len(links),
            messages_in=0 if links is None else links.items_in,
            messages_out=0 if links is None else links.items_out,
            resumes=self.host.resumes,
            rooms_ended={str(reason): count for reason, count in self.host.ends.items()},
        )


def _nowhere(_link: LinkId, _item: nodes.Down) -> None:
    """Before the node listens there is no link to say anything to."""
