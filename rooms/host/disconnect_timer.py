"""Players who are away: wakes when a room is to hear of it, and when a seat is free again."""

from __future__ import annotations

from math import inf
from typing import Protocol

import trio

from lastcall.core.room.disconnects import Disconnects, Step
from lastcall.core.room.roster import Seat
from lastcall.policy import RoomPolicy

__all__ = ["DisconnectTimer"]

LOOK_SECONDS = 0.25
"""While somebody is away: so a stall of ours shows, however far the next step is."""
STALL_SECONDS = 0.25
"""So late, it was no long step of a room: the process stood still."""
UNREAD_SECONDS = 0.5
"""After a stall of ours what lies unread comes first; as for a link (``LinkPolicy``)."""
STEPS_PER_BATCH = 64
"""Steps between two turns of the loop: ten thousand at once hold nobody up."""


class _Room(Protocol):
    def step_of(self, seat: Seat, step: Step) -> None:
        """Something has come of an absence."""


class DisconnectTimer:
    """All of a node's, in trio's time."""

    def __init__(self, policy: RoomPolicy) -> None:
        self._disconnects = Disconnects[tuple[_Room, Seat]](
            away_seconds=policy.away_seconds, drain_grace_seconds=policy.drain_grace_seconds
        )
        self._nap = trio.CancelScope()

    def __len__(self) -> int:
        return len(self._disconnects)

    def begin(self, room: _Room, seat: Seat, seconds: float) -> None:
        """The player is away from now on; his seat is kept for ``seconds``."""
        now = trio.current_time()
        self._disconnects.begin((room, seat), now=now, seconds=seconds)
        self._nap.deadline = min(self._nap.deadline, self._next_look(now))

    def end(self, room: _Room, seat: Seat) -> bool:
        """He is back, or gone; whether the room has heard that he was away."""
        return self._disconnects.end((room, seat))

    def hurry(self) -> None:
        """The node drains: seats of the away are kept for ``drain_grace_seconds`` at the most."""
        now = trio.current_time()
        self._disconnects.hurry(now)
        self._nap.deadline = min(self._nap.deadline, self._next_look(now))

    async def watch(self) -> None:
        """Tells the rooms, each at its exact time, until cancelled.

        While our own process stood still nobody's time has run, and then what lies unread is
        heard first: whoever asked for his place meanwhile has it.
        """
        while True:
            late = await self._sleep()
            if late > STALL_SECONDS:
                self._disconnects.put_off(trio.current_time(), late)
                await trio.sleep(UNREAD_SECONDS)
            for (room, seat), step in self._disconnects.due(trio.current_time(), STEPS_PER_BATCH):
                room.step_of(seat, step)

    async def _sleep(self) -> float:
        """Until the next look; returns how much later it is than that."""
        now = trio.current_time()
        with trio.CancelScope(deadline=max(now, self._next_look(now))) as self._nap:
            await trio.sleep_forever()
        return trio.current_time() - self._nap.deadline

    def _next_look(self, now: float) -> float:
        """With the next step, or to see whether our own loop turns; never if nobody is away."""
        next_at = self._disconnects.next_at
        return min(next_at, now + LOOK_SECONDS) if next_at < inf else inf
