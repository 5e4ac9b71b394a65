"""A room comes to rest, and leaves its host in silence.

A room is *at rest* when its function waits for the next event, or is at a ``commit``. Only there is
its image taken, in the same turn of the loop: between two rests its state may be inconsistent. From
then on nobody hears what the function, its ``finally`` blocks and its other tasks still say.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import TypeVar

import trio

from lastcall.core.room.ended_rooms import EndedRoom
from lastcall.core.room.former_places import FormerPlaces
from lastcall.core.room.roster import Seat
from lastcall.host.alarm_timer import AlarmTimer
from lastcall.host.author_states import AuthorStates
from lastcall.host.changes import Steps
from lastcall.host.disconnect_timer import DisconnectTimer
from lastcall.host.limits import RoomLimits
from lastcall.host.live_room import LiveRoom
from lastcall.host.pending_acks import PendingAcks
from lastcall.host.room_state import RoomState
from lastcall.host.seat_binding import SeatBinding
from lastcall.host.takeover_timer import TakeoverTimer
from lastcall.ids import LinkId
from lastcall.policy import RoomPolicy
from lastcall.reasons import EndReason
from lastcall.wire import nodes

REST_SECONDS = 1.0
"""A room that does not come to rest in this time is not frozen."""

T = TypeVar("T")


async def at_rest(room: LiveRoom, do: Callable[[], T]) -> T | None:
    """The result of ``do``, which is called as soon as the room is at rest, in that turn.

    ``do`` must not raise: it may be called in the room's own task. None if the room is not at rest
    within :data:`REST_SECONDS`, or if another call waits for that. When cancelled, ``do`` may have
    been called.
    """
    inbox = room.state.inbox
    if inbox.on_rest is not None:
        return None
    if inbox.reader is not None and inbox.reader is room.task:
        return do()
    done: list[T] = []
    rested = trio.Event()

    def rests() -> None:
        """The task is about to wait; or it is cancelled as soon as it does."""
        cancelled = trio.current_effective_deadline() == -inf
        if trio.lowlevel.current_task() is room.task and not cancelled:
            inbox.on_rest = None
            done.append(do())
            rested.set()

    inbox.on_rest = rests
    try:
        with trio.move_on_after(REST_SECONDS):
            await rested.wait()
    finally:
        inbox.on_rest = None
    return done[0] if done else None


class MutedHost:
    """The :class:`lastcall.host.room_state.RoomHost` of rooms that have left: it hears only their
    crashes.
    """

    def __init__(
        self, policy: RoomPolicy, on_crash: Callable[[RoomState, BaseException], None]
    ) -> None:
        self.outbox: Callable[[LinkId, nodes.Down], None] = lambda *_: None
        self.policy = policy
        self.on_crash = on_crash
        self.cut_at: float | None = None
        self.disconnects = DisconnectTimer(policy)
        self.takeovers = TakeoverTimer(0, self.outbox)
        self.alarms = AlarmTimer()
        self.author_states = AuthorStates()
        self.acks = PendingAcks()
        self.limits = RoomLimits(policy.limits)
        self.former_places = FormerPlaces()
        self.binding = SeatBinding()

    def protect(self, room: RoomState) -> Steps | None:  # noqa: ARG002
        """The room makes no steps here."""
        return None

    def changed(self, room: RoomState) -> None:
        """Nobody can join it here."""

    def released(self, room: RoomState, seat: Seat) -> None:
        """The player has the seat where the room is now."""

    def forget_key(self, room: RoomState, seat: Seat) -> None:
        """The key finds the room where it is now."""

    def places_ended(self, room: RoomState, ended: EndedRoom) -> None:
        """The places go on where the room is now."""

    def ended(self, room: RoomState, reason: EndReason, result: bytes) -> None:
        """The room goes on."""
