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
from typing import NamedTuple

from lastcall.ids import PlayerId
from lastcall.wire.images import HistoryImage

MESSAGE_BYTES = 48
"""The memory of a message besides its text: the header of a bytes object, and its place."""
READER_BYTES = 100
"""The memory of the name of a message's only reader: a number, and its place in a dict."""


class Unseen(NamedTuple):
    """``messages`` follow number ``seq``; not ``complete`` if some before them are forgotten."""

    seq: int
    messages: Sequence[tuple[int, bytes]]
    complete: bool


class History:
    """The number of a room's last message, and the last messages, which are kept."""

    __slots__ = ("_bytes", "_bytes_max", "_kept", "_messages_max", "_readers", "forgotten", "seq")

    def __init__(self, *, messages_max: int, bytes_max: int) -> None:
        self._kept: deque[bytes] | None = None
        """The messages up to number :attr:`seq`, one after the other: so no number is kept."""
        self._readers: dict[int, PlayerId] | None = None
        """The only readers of some of them, by number; None if there was never one."""
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
        kept.append(body)
        if to is not None:
            if self._readers is None:
                self._readers = {}
            self._readers[seq] = to
        self._bytes += len(body)
        while len(kept) > self._messages_max or self._bytes > self._bytes_max:
            self.forgotten = seq - len(kept) + 1
            self._bytes -= len(kept.popleft())
            if self._readers:
                self._readers.pop(self.forgotten, None)
        return seq

    @property
    def memory(self) -> int:
        """About how many bytes the messages take, with their headers."""
        messages = self._bytes + MESSAGE_BYTES * len(self._kept or ())
        return messages + READER_BYTES * len(self._readers or ())

    def since(self, seq: int) -> tuple[tuple[int, bytes, PlayerId | None], ...]:
        """The messages after number ``seq`` that are kept, in order."""
        kept, readers = self._kept or (), self._readers or {}
        count = max(0, min(self.seq - seq, len(kept)))
        numbers = range(self.seq - count + 1, self.seq + 1)  # few of a thousand, mostly
        return tuple([(each, kept[each - self.seq - 1], readers.get(each)) for each in numbers])

    def unseen(self, player: PlayerId, seen: int) -> Unseen:
        """The messages for ``player`` after number ``seen``, in order."""
        after = self.since(seen)
        messages = [(seq, body) for seq, body, to in after if to is None or to == player]
        if seen >= self.forgotten:
            return Unseen(seen, messages, complete=True)
        return Unseen(messages[0][0] - 1 if messages else self.seq, messages, complete=False)

    def capture(self) -> HistoryImage:
        """The messages that are kept, and the numbers."""
        return HistoryImage(self.seq, self.forgotten, self.since(self.forgotten))

    def restore(self, captured: HistoryImage) -> None:
        """Has the captured messages, in a new history: or as many as this one may keep.

        They are numbered one after the other, as each history's are: see
        :func:`lastcall.wire.images.flaw`.
        """
        self.seq, self.forgotten = captured.seq, captured.forgotten
        if captured.kept:
            *older, (seq, body, to) = captured.kept
            self._kept = deque(message[1] for message in older)
            self._readers = {one: reader for one, _, reader in older if reader is not None}
            self._bytes = sum(map(len, self._kept))
            self.seq = seq - 1
            self.add(body, to)  # which forgets what is too much here

    def move_out(self) -> History:
        """Returns a history with all messages of this one, which keeps only its number."""
        moved = copy.copy(self)
        self._kept, self._readers, self._bytes = None, None, 0
        return moved
