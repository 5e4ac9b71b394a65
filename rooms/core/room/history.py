"""What a room has said, for those who were away: numbered, addressed, and bounded.

* Each message keeps its number and its audience: a private one is replayed to its player alone.
* The oldest is forgotten when there are more than ``messages_max`` or ``bytes_max``.
* A player is owed what came after the number that he has seen, and not before he sat down.
"""

from __future__ import annotations

from collections import deque

from lastcall.ids import PlayerId

__all__ = ["History"]

MESSAGE_BYTES = 140
"""What a message takes beside its text: a tuple, a number, the head of a bytes object."""


class History:
    """The last messages of one room."""

    __slots__ = ("_bytes", "_bytes_max", "_forgotten", "_kept", "_messages_max")

    def __init__(self, *, messages_max: int, bytes_max: int) -> None:
        self._kept: deque[tuple[int, bytes, PlayerId | None]] | None = None
        self._messages_max = messages_max
        self._bytes_max = bytes_max
        self._bytes = 0
        self._forgotten = 0
        """The highest number that was forgotten."""

    def add(self, seq: int, body: bytes, to: PlayerId | None) -> None:
        """Keeps a message; ``to`` is its only reader, or None for all."""
        kept = self._kept
        if kept is None:  # most rooms of a lobby never say a word, and a deque takes 600 B
            kept = self._kept = deque()
        kept.append((seq, body, to))
        self._bytes += len(body)
        while len(kept) > self._messages_max or self._bytes > self._bytes_max:
            self._forgotten, forgotten, _ = kept.popleft()
            self._bytes -= len(forgotten)

    @property
    def memory(self) -> int:
        """About how many bytes the messages take, their numbers and frames included."""
        return self._bytes + MESSAGE_BYTES * len(self._kept or ())

    def since(self, player: PlayerId, seen: int) -> tuple[list[tuple[int, bytes]], bool]:
        """What ``player`` is owed after number ``seen``, in order; and whether that is all."""
        owed = []
        for seq, body, to in reversed(self._kept or ()):  # most have missed little of it
            if seq <= seen:
                break
            if to is None or to == player:
                owed.append((seq, body))
        owed.reverse()
        return owed, seen >= self._forgotten
