"""Players who are away: wakes when a room is to hear of it, and when a seat is free again."""

from __future__ import annotations

from typing import Protocol

import trio

from rooms.core.absences import Absences, Step
from rooms.core.roster import Seat
from rooms.policy import RoomPolicy

__all__ = ["Absentees"]

AT_ONCE = 64
"""Steps between two turns of the loop: ten thousand at once hold nobody up."""


class _Room(Protocol):
    def step_of(self, seat: Seat, step: Step) -> None:
        """Something has come of an absence."""


class Absentees:
    """All of a node's, in trio's time."""

    def __init__(self, policy: RoomPolicy) -> None:
        self._absences = Absences[tuple[_Room, Seat]](
            away_seconds=policy.away_seconds, brief_seconds=policy.brief_seconds
        )
        self._nap = trio.CancelScope()

    def __len__(self) -> int:
        return len(self._absences)

    def begin(self, room: _Room, seat: Seat, seconds: float) -> None:
        """The player is away from now on; his seat is kept for ``seconds``."""
        self._absences.begin((room, seat), now=trio.current_time(), seconds=seconds)
        self._nap.deadline = self._absences.next_at

    def end(self, room: _Room, seat: Seat) -> bool:
        """He is back, or gone; whether the room has heard that he was away."""
        return self._absences.end((room, seat))

    def hurry(self) -> None:
        """The node drains: seats of the away are kept for ``brief_seconds`` at the most."""
        self._absences.hurry(trio.current_time())
        self._nap.deadline = self._absences.next_at

    async def watch(self) -> None:
        """Tells the rooms, each at its exact time, until cancelled."""
        while True:
            with trio.CancelScope(deadline=self._absences.next_at) as self._nap:
                await trio.sleep_forever()
            for (room, seat), step in self._absences.due(trio.current_time(), AT_ONCE):
                room.step_of(seat, step)
