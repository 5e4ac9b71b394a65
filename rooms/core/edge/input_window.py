"""A client's inputs on the api node, from the socket to the room's inbox.

The api node keeps each input until the game node acks it, so that what a full inbox refused can
be said again, in order. What is held is bounded by count and bytes: at either bound the socket is
not read (the session waits), so nothing is lost and nothing grows.
"""

from __future__ import annotations

from lastcall.core.sequence import SequenceCheck

__all__ = ["InputWindow"]


class InputWindow:
    """The inputs of one place that the room may not have yet: all in ``acked < n <= last``."""

    # A list, not a deque: an empty deque takes 600 bytes, and there is one for each client.
    __slots__ = ("_held", "acked", "bytes_held", "bytes_max", "full", "inputs_max")

    def __init__(self, inputs_max: int, bytes_max: int, acked: int = 0) -> None:
        self._held: list[bytes] = []
        self.inputs_max = inputs_max
        self.bytes_max = bytes_max
        self.bytes_held = 0
        self.acked = acked
        """The room has every input up to this one."""
        self.full = False
        """Whether the socket must not be read for now."""

    @property
    def last(self) -> int:
        """The highest ``n`` that the client has said here."""
        return self.acked + len(self._held)

    @property
    def empty(self) -> bool:
        """Whether the room has all that was said."""
        return not self._held

    def shut(self) -> None:
        """The client has said its last: full from here on, whatever is acked."""
        self.inputs_max = 0
        self.full = True

    def take(self, n: int, body: bytes) -> SequenceCheck:
        """Keeps input ``n`` if it is the next; a repeat or a gap changes nothing.

        A full window takes one more all the same: the bounds ask the caller to stop reading, and
        what it has read already must not be lost.
        """
        held = self._held
        expected = self.acked + len(held) + 1
        if n != expected:
            return SequenceCheck.REPEAT if n < expected else SequenceCheck.GAP
        held.append(body)
        self.bytes_held += len(body)
        self.full = len(held) >= self.inputs_max or self.bytes_held >= self.bytes_max
        return SequenceCheck.NEXT

    def ack(self, n: int) -> bool:
        """Forgets all up to ``n``; True if that was news.

        An ack of what was never said is one up to :attr:`last`: the other side cannot make
        inputs vanish that are still to come.
        """
        held = self._held
        had = min(n - self.acked, len(held))
        if had <= 0:
            return False
        self.bytes_held -= sum(map(len, held[:had]))
        del held[:had]
        self.acked += had
        self.full = len(held) >= self.inputs_max or self.bytes_held >= self.bytes_max
        return True

    def again(self, n: int) -> list[tuple[int, bytes]]:
        """What to say once more, in order, when the room wants all from ``n`` on."""
        first = max(n, self.acked + 1)
        return list(enumerate(self._held[first - self.acked - 1 :], first))
