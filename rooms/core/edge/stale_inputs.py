"""Inputs that are still on their way when a client's place changes: they were for another room.

* An input or a ``leave`` that crosses ``ended`` is dropped in silence, until the next join.
* A match that had not started may be regrouped: the client gets a second ``joined`` and counts from
  1 again. Its inputs for the previous room are dropped, until it has answered with a ``got`` about
  the new room, or for :data:`STALE_SECONDS` if it never does.
"""

from __future__ import annotations

from math import inf

from lastcall.ids import RoomId

STALE_SECONDS = 2.0


class StaleInputGuard:
    """Tells one client's inputs for its present room from those for a previous one."""

    __slots__ = ("_joined_seq", "_stale_until", "forgiven", "room")

    def __init__(self) -> None:
        self.forgiven = False
        """Whether an input or a leave without a room may have crossed the end of one."""
        self.room = RoomId("")
        """The last room that the client was told of."""
        self._joined_seq = 0
        self._stale_until = -inf

    def join_requested(self) -> None:
        """The client knows that it is in no room: from here on such an input is a mistake."""
        self.forgiven = False

    def place_over(self) -> None:
        """The client's place is over, or another one is being sought for it."""
        self.forgiven = True

    def joined(self, room: RoomId, seq: int, now: float, *, again: bool) -> None:
        """The client is told of a place; ``again``: in exchange for one that it did not leave."""
        self.room = room
        self._joined_seq = seq
        self._stale_until = now + STALE_SECONDS if again else -inf

    def got(self, room: RoomId, seq: int) -> None:
        """The client's answer; one that names no room is about the new one if ``seq`` fits."""
        if room == self.room or (not room and seq == self._joined_seq):
            self._stale_until = -inf

    def stale(self, now: float) -> bool:
        """Whether an input that comes now may be one for the previous room."""
        return now < self._stale_until
