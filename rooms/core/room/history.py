"""A room's messages, numbered; the last ones are kept for players who were away.

* A message for one player is replayed to that player alone.
* The oldest are forgotten when there are more than ``messages_max`` or ``bytes_max``.
* If all that a player has not seen is kept, the replay follows the number they have seen. Otherwise
  it is what is left, and it follows the number before the first of that.
"""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Sequence
from itertools import takewhile
from typing import NamedTuple

from lastcall.ids import PlayerId
from lastcall.wire.images import HistoryImage

MESSAGE_BYTES = 140
"""The memory of a message besides its text: a tuple, a number, the header of a bytes object."""


class Unseen(NamedTuple):
    """``messages`` follow number ``seq``; not ``complete`` if some before them are forgotten."""

    seq: int
    messages: Sequence[tuple[int, bytes]]
    complete: bool


class History:
    """The number of a room's last message, and the messages that are kept."""

    __slots__ = ("_bytes", "_bytes_max", "_kept", "_messages_max", "forgotten", "seq")

    def __init__(self, *, messages_max: int, bytes_max: int) -> None:
        self._kept: deque[tuple[int, bytes, PlayerId | None]] | None = None
        self._messages_max = messages_max
        self._bytes_max = bytes_max
        self._bytes = 0
        self.forgotten = 0
        """The highest number that was forgotten."""
        self.seq = 0

    def add(self, body: bytes, to: PlayerId | None) -> int:
        """Numbers and keeps a message; ``to`` is its only reader, or None for all."""
        seq = self.seq = self.seq + 1
        kept = self._kept
        if kept is None:  # many rooms never send a message, and an empty deque takes 600 B
            kept = self._kept = deque()
        kept.append((seq, body, to))
        self._bytes += len(body)
        while len(kept) > self._messages_max or self._bytes > self._bytes_max:
            self.forgotten, forgotten, _ = kept.popleft()
            self._bytes -= len(forgotten)
        return seq

    @property
    def memory(self) -> int:
        """About how many bytes the messages take, with their numbers and headers."""
        return self._bytes + MESSAGE_BYTES * len(self._kept or ())

    def since(self, seq: int) -> tuple[tuple[int, bytes, PlayerId | None], ...]:
        """The messages after number ``seq`` that are kept, in order."""
        kept = self._kept
        if not kept:
            return ()
        if kept[-1][0] == seq + 1:  # a room says one message at a time, mostly
            return (kept[-1],)
        new = list(takewhile(lambda message: message[0] > seq, reversed(kept)))
        return tuple(reversed(new))

    def unseen(self, player: PlayerId, seen: int) -> Unseen:
        """The messages for ``player`` after number ``seen``, in order."""
        messages = []
        for seq, body, to in reversed(self._kept or ()):  # most players miss only a few
            if seq <= seen:
                break
            if to is None or to == player:
                messages.append((seq, body))
        messages.reverse()
        if seen >= self.forgotten:
            return Unseen(seen, messages, complete=True)
        return Unseen(messages[0][0] - 1 if messages else self.seq, messages, complete=False)

    def capture(self) -> HistoryImage:
        """The messages that are kept, and the numbers."""
        return HistoryImage(self.seq, self.forgotten, tuple(self._kept or ()))

    def restore(self, captured: HistoryImage) -> None:
        """Has the captured messages, in a new history: or as many as this one may keep."""
        self.forgotten = captured.forgotten
        if captured.kept:
            *older, (seq, body, to) = captured.kept
            self._kept = deque(older)
            self._bytes = sum(len(message[1]) for message in older)
            self.seq = seq - 1
            self.add(body, to)  # which forgets what is too much here
        self.seq = captured.seq

    def move_out(self) -> History:
        """Returns a history with all messages of this one, which keeps only its number."""
        moved = copy.copy(self)
        self._kept, self._bytes = None, 0
        return moved
