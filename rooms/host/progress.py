"""Which inputs a surviving room has accepted, and which of them it has done.

In such a room an input counts when it is done: the room's image has that number, and so have acks
and the answers to resumes. Inputs that wait are said again, if the room goes on elsewhere.
"""

from __future__ import annotations

from collections import deque

from lastcall.core.room.roster import Seat
from lastcall.ids import PlayerId

ACKED = 0
"""In place of the number of an input that nobody will say again."""


class Progress:
    """The numbers of the inputs of one room that are accepted and not done; by player, in order."""

    __slots__ = ("_waiting",)

    def __init__(self) -> None:
        self._waiting: dict[PlayerId, deque[int]] = {}

    def accept(self, player: PlayerId, n: int) -> None:
        """The player's input ``n`` is in the inbox; :data:`ACKED` for one from an image."""
        waiting = self._waiting.get(player)
        if waiting is None:
            waiting = self._waiting[player] = deque()
        waiting.append(n)

    def finish(self, player: PlayerId) -> None:
        """The room has done the player's first input."""
        waiting = self._waiting[player]
        waiting.popleft()
        if not waiting:
            del self._waiting[player]

    def done(self, seat: Seat) -> int:
        """The last input of the player before the first one that is not done."""
        for n in self._waiting.get(seat.player, ()):
            if n != ACKED:
                return n - 1
        return seat.last_n

    def newest(self, player: PlayerId) -> int | None:
        """The number of the player's last input that is not done; None if all are."""
        waiting = self._waiting.get(player)
        return waiting[-1] if waiting else None

    def number(self, player: PlayerId, index: int) -> int:
        """The number of one of the player's inputs that are not done."""
        return self._waiting[player][index]

    def renumber(self, player: PlayerId) -> None:
        """The player's inputs count from 1 again; nobody says again those that wait."""
        if (waiting := self._waiting.get(player)) is not None:
            self._waiting[player] = deque([ACKED] * len(waiting))
