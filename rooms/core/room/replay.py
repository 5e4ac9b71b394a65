"""What a player who comes back has missed.

* All of it, if the room remembers all: then it follows the number that he has seen.
* Else what is left, and it follows the number before the first of that.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from lastcall.core.room.history import History
from lastcall.ids import PlayerId

__all__ = ["Missed", "missed"]


class Missed(NamedTuple):
    """``messages`` follow from number ``seq``; not ``complete`` if some before are forgotten."""

    seq: int
    messages: Sequence[tuple[int, bytes]]
    complete: bool


def missed(history: History, player: PlayerId, *, seen: int, seq: int) -> Missed:
    """What ``player`` is owed after ``seen``, in a room that has come to ``seq``."""
    messages, complete = history.since(player, seen)
    if complete:
        return Missed(seen, messages, complete=True)
    return Missed(messages[0][0] - 1 if messages else seq, messages, complete=False)
