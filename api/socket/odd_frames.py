"""Odd frames: pings, pongs, and parts of messages; all but whole messages.

The protocol library reads them, and the session never sees them: it cannot limit what it does not
see, and each takes as long as a message. So they are counted on their way to the library.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf

TEXT, BINARY = 0x81, 0x82
"""The first byte of a whole message (RFC 6455 §5.2), which the session counts itself."""
FIN, OPCODE, OF_DATA = 0x80, 0x0F, 0x02
"""In the first byte: the last part of a message, and what kind of frame it is."""
SIZE_BYTES = {126: 2, 127: 8}
"""How many bytes hold the length, behind a short one that means this."""


class OddFrames:
    """One client's frames, cut at any byte; ``on_odd`` is called with how many odd ones began.

    It must be given all bytes from the first frame on. Bytes that the library refuses end the
    connection, so it does not matter what they count as.
    """

    __slots__ = ("_begun", "_on_odd", "_parts", "_skipped", "unfinished_since")

    def __init__(self, on_odd: Callable[[int], None]) -> None:
        self._on_odd = on_odd
        self._begun = b""
        """The beginning of a frame's head."""
        self._skipped = 0
        """How many bytes are left of the frame before."""
        self._parts = False
        """Whether the last part of a message has not begun."""
        self.unfinished_since = inf
        """When the message or frame began that has not come whole; infinite if there is none."""

    def count(self, data: bytes | bytearray, now: float) -> int:
        """Counts the odd frames whose heads end in ``data``, which came ``now`` (trio time);
        returns how many there are.
        """
        data = self._begun + data
        at, end, found = self._skipped, len(data), 0
        another = False  # whether another message has begun, or a frame between two
        while end - at >= 2:
            size = data[at + 1] & 0x7F
            head = 2 + SIZE_BYTES.get(size, 0)
            if end - at < head:
                break
            if size in SIZE_BYTES:
                size = int.from_bytes(data[at + 2 : at + head])
            first = data[at]
            found += first not in {TEXT, BINARY}
            another = another or not self._parts
            if first & OPCODE <= OF_DATA:
                self._parts = first < FIN
            at += head + 4 + size  # with the mask
        self._begun, self._skipped = bytes(data[at:]), max(0, at - end)
        if not (self._parts or self._begun or self._skipped):
            self.unfinished_since = inf
        elif another or self.unfinished_since == inf:
            self.unfinished_since = now
        if found:
            self._on_odd(found)
        return found
