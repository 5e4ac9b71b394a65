"""Players who are away: tells their rooms, and frees their seats, when it is time."""

from __future__ import annotations

from math import inf
from typing import Protocol

import trio

from lastcall.core.room.disconnects import Disconnects, Step
from lastcall.core.room.roster import Seat
from lastcall.policy import RoomPolicy
from lastcall.runtime.batches import STEPS_PER_BATCH

LOOK_SECONDS = 0.25
"""The longest sleep while a player is away, so that a stall of this process shows."""
STALL_SECONDS = 0.25
"""A wake-up this late is not a room's long step: the process stood still."""
UNREAD_SECONDS = 0.5
"""After a stall, the time for unread items to be handled; as for a link (``LinkPolicy``)."""


class _Room(Protocol):
    """A :class:`lastcall.host.room_state.RoomState`, which imports this module."""

    def disconnect_step(self, seat: Seat, step: Step) -> None:
        """A player has been away for long enough."""


class DisconnectTimer:
    """All disconnects of a node, in trio's time; see :mod:`lastcall.core.room.disconnects`."""

    def __init__(self, policy: RoomPolicy) -> None:
        self._disconnects = Disconnects[tuple[_Room, Seat]](
            away_seconds=policy.away_seconds, drain_grace_seconds=policy.drain_grace_seconds
        )
        self._sleep_scope = trio.CancelScope()

    def __len__(self) -> int:
        return len(self._disconnects)

    def begin(self, room: _Room, seat: Seat, seconds: float) -> None:
        """The player is away from now on; the seat is kept for ``seconds``."""
        self.resume(room, seat, seconds, began_at=trio.current_time(), noticed=False)

    def resume(
        self, room: _Room, seat: Seat, seconds: float, *, began_at: float, noticed: bool
    ) -> None:
        """The player has been away since ``began_at``, where the room ran before; the room was told
        if that was ``noticed``.
        """
        now = trio.current_time()
        self._disconnects.begin((room, seat), now=began_at, seconds=seconds, noticed=noticed)
        self._sleep_scope.deadline = min(self._sleep_scope.deadline, self._next_look(now))

    def find(self, room: _Room, seat: Seat) -> tuple[float, bool] | None:
        """For how many seconds the player has been away, and whether the room was told; None for
        one who is not away.
        """
        return self._disconnects.find((room, seat), trio.current_time())

    def end(self, room: _Room, seat: Seat) -> bool:
        """The player is back, or has left. Returns whether the room was told of the disconnect."""
        return self._disconnects.end((room, seat))

    def shorten(self) -> None:
        """The node drains: seats of players who are away are kept for ``drain_grace_seconds``."""
        now = trio.current_time()
        self._disconnects.shorten(now)
        self._sleep_scope.deadline = min(self._sleep_scope.deadline, self._next_look(now))

    async def watch(self) -> None:
        """Tells each room at its exact time, until cancelled.

        While this process stands still no time counts. After that, unread items are handled first:
        players who asked for their places meanwhile have them again.
        """
        while True:
            late = await self._sleep()
            if late > STALL_SECONDS:
                self._disconnects.postpone(trio.current_time(), late)
                await trio.sleep(UNREAD_SECONDS)
            for (room, seat), step in self._disconnects.due(trio.current_time(), STEPS_PER_BATCH):
                room.disconnect_step(seat, step)

    async def _sleep(self) -> float:
        """Sleeps until the next look; returns how late it woke up."""
        now = trio.current_time()
        with trio.CancelScope(deadline=max(now, self._next_look(now))) as self._sleep_scope:
            await trio.sleep_forever()
        return trio.current_time() - self._sleep_scope.deadline

    def _next_look(self, now: float) -> float:
        """When the next step is due, or sooner to detect a stall; never if no player is away."""
        next_at = self._disconnects.next_at
        return min(next_at, now + LOOK_SECONDS) if next_at < inf else inf
