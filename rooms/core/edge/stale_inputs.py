"""What is still on its way when a client's place changes: inputs for a room that it has left.

* An input or a ``leave`` that crosses ``ended`` is dropped in silence, until the next join.
* A match that had not started may be regrouped: the client gets a second ``joined`` and counts from
  1 again. What it said to the room of before is dropped, until it has answered with a ``got`` about
  the new room, or for :data:`STALE_SECONDS` if it never does.
"""

from __future__ import annotations

from math import inf

from lastcall.ids import RoomId

__all__ = ["STALE_SECONDS", "StaleInputGuard"]

STALE_SECONDS = 2.0


class StaleInputGuard:
    """One client's inputs, as far as they may be about a room of before."""

    __slots__ = ("_joined_seq", "_room", "_stale_until", "forgiven", "watched")

    def __init__(self) -> None:
        self.forgiven = False
        """Whether an input or a leave without a room may have crossed the end of one."""
        self._room = RoomId("")
        self._joined_seq = 0
        self._stale_until = -inf
        self.watched = False
        """Whether :meth:`stale` may be true: most clients are never regrouped."""

    def join_asked(self) -> None:
        """The client knows that it is in no room: from here on such an input is a mistake."""
        self.forgiven = False

    def left(self) -> None:
        """Its place is over, or another one is being sought for it."""
        self.forgiven = True

    def joined(self, room: RoomId, seq: int, now: float, *, again: bool) -> None:
        """It is told of a place; ``again``: in exchange for one that it did not leave."""
        self._room = room
        self._joined_seq = seq
        self._stale_until = now + STALE_SECONDS if again else -inf
        self.watched = again

    def got(self, room: RoomId, seq: int) -> None:
        """Its answer; one that names no room is about the new one if ``seq`` fits."""
        if room == self._room or (not room and seq == self._joined_seq):
            self._stale_until = -inf
            self.watched = False

    def stale(self, now: float) -> bool:
        """Whether an input that comes now may be one for the room of before."""
        return now < self._stale_until
