"""What a player who comes back has missed, and in which portions he gets it.

* All of it, if the room remembers all: then it follows the number that he has seen.
* Else what is left, and it follows the number before the first of that.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from rooms.core.history import History
from rooms.ids import PlayerId

__all__ = ["Missed", "missed", "portions"]

FRAME_BYTES = 16
"""What a message's number and length take at the most."""


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


def portions(
    messages: Sequence[tuple[int, bytes]], bytes_max: int
) -> Iterator[list[tuple[int, bytes]]]:
    """``messages`` in order, in lists of at most ``bytes_max``; a bigger one is alone in its."""
    portion: list[tuple[int, bytes]] = []
    left = bytes_max
    for message in messages:
        size = FRAME_BYTES + len(message[1])
        if portion and size > left:
            yield portion
            portion, left = [], bytes_max
        portion.append(message)
        left -= size
    if portion:
        yield portion
