"""The rooms of one game node: what its links and its operator ask of them.

Every method but :meth:`Host.wait_empty` and :meth:`Host.watch` is synchronous, so that a request is
applied as a whole before any room runs; and nothing that comes from the wire makes one raise.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Iterator, Mapping
from math import inf
from typing import NamedTuple

import structlog
import trio

from lastcall.host.live_room import LiveRoom
from lastcall.host.matchmaker import Matchmaker
from lastcall.host.moves import Moves
from lastcall.host.places import Places
from lastcall.host.protector import Protector
from lastcall.host.room_state import RoomState
from lastcall.host.room_tasks import ROOM_TASKS
from lastcall.host.running_rooms import RunningRooms
from lastcall.ids import KindName, LinkId, NodeName, RoomId
from lastcall.kind import Kind
from lastcall.policy import RoomPolicy
from lastcall.reasons import EndReason
from lastcall.runtime.batches import Steps
from lastcall.runtime.ticks import next_tick
from lastcall.wire import nodes

SWEEP_SECONDS = 1.0


def log_crash(room: RoomState, error: BaseException) -> None:
    """The default of ``HostEvents.on_crash``: the event ``room.crashed``, with the traceback."""
    structlog.get_logger().error("room.crashed", room=room.id, kind=room.kind, exc_info=error)


class HostEvents(NamedTuple):
    """The owner of a host hears these of its rooms."""

    on_change: Callable[[], None] = lambda: None
    """Rooms or free seats have changed; called often several times in a row."""
    on_end: Callable[[RoomState, EndReason, bytes], None] = lambda *_: None
    """A room is over: why, and the JSON of its result (empty unless it finished)."""
    on_crash: Callable[[RoomState, BaseException], None] = log_crash
    """Called before that with what the author's code raised."""


NOBODY_HEARS = HostEvents()


class Host:
    """All rooms of a node.

    ``outbox`` sends an item to an api node; it must not raise, and ignores links that are gone.
    With a ``protector``, the rooms of kinds that survive have images elsewhere; else they are like
    others.
    """

    def __init__(
        self,
        *,
        kinds: Mapping[KindName, Kind],
        node: NodeName,
        rng: random.Random,
        outbox: Callable[[LinkId, nodes.Down], None],
        policy: RoomPolicy | None = None,
        events: HostEvents = NOBODY_HEARS,
        protector: Protector | None = None,
    ) -> None:
        self._outbox = outbox
        self._on_end = events.on_end
        self.running = RunningRooms(
            kinds=kinds,
            outbox=outbox,
            policy=policy or RoomPolicy(),
            on_change=events.on_change,
            on_end=self._room_ended,
            on_crash=events.on_crash,
            protector=protector,
        )
        self.protected = self.running.protected
        self._rooms = self.running.by_id
        self._acks = self.running.acks
        self.matchmaker = Matchmaker(self.running, kinds=kinds, node=node, rng=rng)
        self.places = Places(self.running, self.matchmaker, rng)
        self.moves = Moves(self.running, self.matchmaker, self.places)
        self._works = Steps()

    def handle(self, link: LinkId, item: nodes.Up) -> None:
        """Applies one item that came by ``link``. Answers go to ``outbox``; acks wait for
        :meth:`flush_acks`. An item about a room or a player that is gone is ignored.
        Raises :class:`lastcall.errors.MisplacedItem` for an item of another game node.
        """
        if isinstance(item, nodes.Say):
            if (room := self._rooms.get(item.room)) is not None:
                room.inputs.receive(link, item)
            else:
                self.running.held.miss(link, item)
        else:
            self.places.handle(link, item)

    def flush_acks(self) -> None:
        """Sends the pending acks, one item to each link, and makes the steps of the surviving rooms
        that have changed: call it once after each request.
        """
        self.protected.flush()
        pending, self._acks.by_link = self._acks.by_link, {}
        for link, acks in pending.items():
            self._outbox(link, nodes.Acks(list(acks.values())))

    def drop_link(self, link: LinkId, confirmed_until: float = inf) -> None:
        """The link is gone: all players who were present by it are away.

        The first few at once, the others by :meth:`watch` (20 000 at once would block the loop for
        200 ms); a player who resumes before that was never away. Players who were told of their
        room's end at ``confirmed_until`` (trio time) or later may not have received that.
        """
        self._acks.by_link.pop(link, None)
        self.running.takeovers.drop_link(link)
        self.running.held.drop_link(link)
        self._works.begin(self.places.drop_link(link, confirmed_until))

    def serve(self, work: trio.Nursery) -> None:
        """From now on rooms may be opened, inside ``work``."""
        ROOM_TASKS.install()
        self.matchmaker.work = work

    @property
    def rooms(self) -> int:
        """How many rooms are running, or were frozen here and have not moved yet."""
        return self.running.count

    def find(self, room: RoomId) -> LiveRoom | None:
        """The running room of that id, or None."""
        return self._rooms.get(room)

    def drain(self, cut_at: float) -> None:
        """Tells every room, also those still to come, that :meth:`cut` comes at ``cut_at``
        (:func:`trio.current_time`). Rooms without players are given up, now and later; rooms that
        have not started are regrouped; seats of players who are away are kept for a shorter time.

        The first few rooms are told at once, if no other such work waits, and the others by
        :meth:`watch`: each wakes, and 2 000 at once would block the loop for 100 ms.
        """
        self.running.cut_at = cut_at
        rooms = [room for room in list(self._rooms.values()) if not room.give_up()]
        self._works.begin(self._warn(rooms, cut_at))
        self.running.disconnects.shorten()

    def _warn(self, rooms: list[LiveRoom], cut_at: float) -> Iterator[None]:
        """Warns those that still run here, one a step."""
        for room in rooms:
            if self._rooms.get(room.state.id) is room:
                room.warn(max(0.0, cut_at - trio.current_time()))
            yield

    def cut(self, spared: Collection[RoomId] = ()) -> None:
        """Cancels the running rooms but those ``spared``, and from now on every room that thaws.

        Their players are told after each room's ``finally`` blocks.

        Players between two sockets are not awaited any more.
        """
        self.running.cutting = True
        for room in list(self._rooms.values()):
            if room.state.id not in spared:
                room.cancel(EndReason.CUT)

    async def wait_empty(self) -> None:
        """Waits until no room runs; returns at once if none does. Always a checkpoint.

        A host that drains also waits for players who were lost less than ``drain_grace_seconds``
        ago and are yet to learn how their rooms have ended.
        """
        await trio.lowlevel.checkpoint()
        await self.running.wait_all_ended()
        if self.running.cut_at is not None and not self.running.cutting:
            await self.running.ended_rooms.wait_collected()

    async def watch(self) -> None:
        """Until cancelled: rings the rooms' alarms, tells them which players are away, frees the
        seats of those who stay away, gives up rooms without a player for ``empty_seconds``, and
        forgets ended ones.
        """
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.running.disconnects.watch)
            nursery.start_soon(self.running.alarms.watch)
            nursery.start_soon(self.running.takeovers.watch, self.places.carry_out)
            nursery.start_soon(self._works.run)
            nursery.start_soon(self.protected.watch)
            nursery.start_soon(self._sweep)

    async def _sweep(self) -> None:
        while True:
            await next_tick(SWEEP_SECONDS)
            self.running.abandon_empty(trio.current_time() - self.running.policy.empty_seconds)
            while self.running.ended_rooms.expire():
                await trio.lowlevel.checkpoint()

    def _room_ended(self, room: RoomState, reason: EndReason, result: bytes) -> None:
        for takeover in self.running.takeovers.ended(room.id):
            self.places.carry_out(takeover)
        self._on_end(room, reason, result)
