"""The rooms that run on a node, what they report to their host, and how they end."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import takewhile

import trio

from lastcall.core.room.ended_places import EndedPlaces
from lastcall.core.room.ended_rooms import EndedRoom
from lastcall.core.room.former_places import FormerPlaces
from lastcall.core.room.open_rooms import OpenRooms
from lastcall.core.room.roster import Seat
from lastcall.core.room.takeovers import PendingTakeover
from lastcall.host.alarm_timer import AlarmTimer
from lastcall.host.author_states import AuthorStates
from lastcall.host.changes import Steps
from lastcall.host.disconnect_timer import DisconnectTimer
from lastcall.host.ended_rooms import EndedRooms
from lastcall.host.held_rooms import HeldRooms
from lastcall.host.limits import RoomLimits
from lastcall.host.live_room import LiveRoom
from lastcall.host.pending_acks import PendingAcks
from lastcall.host.protected_rooms import ProtectedRooms
from lastcall.host.protector import Protector
from lastcall.host.room_state import RoomState
from lastcall.host.seat_binding import SeatBinding
from lastcall.host.takeover_timer import TakeoverTimer
from lastcall.ids import KindName, LinkId, RoomId
from lastcall.policy import RoomPolicy
from lastcall.reasons import EndReason
from lastcall.wire import nodes


class RunningRooms:
    """All running rooms of a host; the :class:`lastcall.host.room_state.RoomHost` of each."""

    def __init__(
        self,
        *,
        kinds: Iterable[KindName],
        outbox: Callable[[LinkId, nodes.Down], None],
        policy: RoomPolicy,
        on_change: Callable[[], None],
        on_end: Callable[[RoomState, EndReason, bytes], None],
        on_crash: Callable[[RoomState, BaseException], None],
        protector: Protector | None = None,
    ) -> None:
        self.outbox = outbox
        self.policy = policy
        self.on_crash = on_crash
        self.on_change = on_change
        self._on_end = on_end
        self.disconnects = DisconnectTimer(policy)
        self.takeovers = TakeoverTimer(policy.takeover_seconds, outbox)
        self.alarms = AlarmTimer()
        self.author_states = AuthorStates()
        self.acks = PendingAcks()
        self.limits = RoomLimits(policy.limits)
        self.binding = SeatBinding()
        self.ended_rooms = EndedRooms(policy, outbox, self.binding)
        self.ended_places = EndedPlaces()
        self.former_places = FormerPlaces()
        self.open_rooms = OpenRooms(kinds)
        self.by_id: dict[RoomId, LiveRoom] = {}
        self.by_key: dict[tuple[KindName, str], RoomId] = {}
        """The room in which a client's key has a seat; it may be held, or have moved."""
        self.held = HeldRooms(outbox)
        self.protected = ProtectedRooms(protector)
        self.cut_at: float | None = None
        """When the rooms will be cut, as :func:`trio.current_time`; None before a drain."""
        self.cutting = False
        """Whether that time has come."""
        self._empty_since: dict[RoomId, float] = {}
        """Rooms without a player; the one that is empty for longest first."""
        self._all_ended = trio.Event()
        self.ends: dict[EndReason, int] = dict.fromkeys(
            (EndReason.FINISHED, EndReason.CUT, EndReason.CRASHED, EndReason.ABANDONED), 0
        )
        """How many rooms have ended, by reason."""
        self.regrouped = 0
        """How many rooms were given up before they had started; their players join other rooms."""

    @property
    def count(self) -> int:
        """How many rooms run, or were frozen here and may run again."""
        return len(self.by_id) + (len(self.held.frozen) if self.held.by_id else 0)

    async def wait_all_ended(self) -> None:
        """Waits until no room runs, nor may run again."""
        while self.count:
            await self._all_ended.wait()

    def check_all_ended(self) -> None:
        """A room has ended, or moved."""
        if not self.count:
            self._all_ended.set()
            self._all_ended = trio.Event()
        self.on_change()

    def put_in(self, room: LiveRoom) -> None:
        """A room that was held runs from now on. Its players are away."""
        self.by_id[room.state.id] = room
        for seat in room.state.roster:
            self.limits.seat_taken(seat)
        self.alarms.update(room.state)
        self.changed(room.state)

    def take_out(self, room: LiveRoom) -> list[PendingTakeover]:
        """A room is frozen: it runs no more, and nobody is told. Its places still find it, and who
        waits for one of its seats is returned.
        """
        state = room.state
        del self.by_id[state.id]
        self.open_rooms.remove(state.id)
        self._empty_since.pop(state.id, None)
        for seat in state.roster:
            self.disconnects.end(state, seat)
            self.acks.remove(seat)
            self.limits.seat_freed(seat)
        self.alarms.forget(state)
        self.on_change()
        return self.takeovers.ended(state.id)

    def abandon_empty(self, since: float) -> None:
        """Gives up the rooms that have had no player from ``since`` on."""
        empty = takewhile(lambda item: item[1] <= since, self._empty_since.items())
        for room_id, _ in list(empty):
            self.by_id[room_id].cancel(EndReason.ABANDONED)

    def protect(self, room: RoomState) -> Steps | None:
        """Makes the steps of ``room`` from now on, if it survives its node."""
        return self.protected.protect(room)

    def changed(self, room: RoomState) -> None:
        """The room's players or its free seats have changed."""
        self.open_rooms.put(room.id, room.kind, age=room.age, free=room.free, started=room.started)
        if room.roster or room.closed:
            self._empty_since.pop(room.id, None)
        else:
            self._empty_since.setdefault(room.id, trio.current_time())
        self.on_change()

    def released(self, room: RoomState, seat: Seat) -> None:
        """A seat of a running room is free again. During a drain, an empty room is given up."""
        self._place_ended(room, seat)
        self.changed(room)
        if self.cut_at is not None and not room.roster:
            self.by_id[room.id].cancel(EndReason.ABANDONED)

    def places_ended(self, room: RoomState, ended: EndedRoom) -> None:
        """The room's places are over: keeps ``ended`` for players who resume later."""
        for seat in ended.roster:
            self._place_ended(room, seat)
        if ended.roster or ended.gone:
            self.ended_rooms.add(ended, room.resume_seconds)

    def ended(self, room: RoomState, reason: EndReason, result: bytes) -> None:
        """The room is over, and its players are told."""
        if room.regrouped:
            self.regrouped += 1
        else:
            self.ends[reason] += 1
        del self.by_id[room.id]
        self.protected.remove(room.id)
        self._on_end(room, reason, result)
        self.check_all_ended()

    def _place_ended(self, room: RoomState, seat: Seat) -> None:
        self.ended_places.add(seat.player)
        self.limits.seat_freed(seat)
        self.forget_key(room, seat)

    def forget_key(self, room: RoomState, seat: Seat) -> None:
        """A join with the seat's key may get another seat from now on."""
        name = (room.kind, seat.key)
        if seat.key and self.by_key.get(name) == room.id:
            del self.by_key[name]
