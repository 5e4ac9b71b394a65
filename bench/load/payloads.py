"""What a load says, and the check of what it hears.

Each input is a text that bears its speaker, the speaker's number for it, and when it was said:
``~00042.0000007.0000001234567890~zzz…``. It is found in whatever a service wraps around it, so that
one reader does for all of them. Numbers rise by one for each speaker, so a listener sees a loss as
a hole and a repetition as a step back.
"""

from __future__ import annotations

__all__ = ["HEAD_BYTES", "MARK", "Ear", "stamped"]

MARK = b"~"
HEAD_BYTES = 32
_SPEAKER = slice(1, 6)
_N = slice(7, 14)
_AT = slice(15, 31)


def stamped(speaker: int, n: int, at_micros: int, pad: bytes) -> bytes:
    """The text; ``at_micros`` is when, in whole microseconds of ``time.monotonic``."""
    return b"~%05d.%07d.%016d~%b" % (speaker, n, at_micros, pad)


class Ear:
    """What one client has heard. ``speaker`` is its own number; its room has ``seats`` in a row."""

    __slots__ = ("_first", "_last", "doubled", "heard", "lost", "own_slot", "speaker", "stray")

    def __init__(self, speaker: int, seats: int) -> None:
        self._first = speaker - speaker % seats
        self._last = [0] * seats
        self.own_slot = speaker % seats
        """Which of the room's seats is its own, from 0."""
        self.speaker = speaker
        self.heard = 0
        self.lost = 0
        self.doubled = 0
        self.stray = 0

    def hear(self, text: bytes) -> int | None:
        """Takes a text that begins with the mark; returns when it was said if it is our own.

        What was heard before, or is another room's, is counted as wrong and not as heard.
        """
        speaker, n = int(text[_SPEAKER]), int(text[_N])
        slot = speaker - self._first
        if not 0 <= slot < len(self._last):
            self.stray += 1
            return None
        missing = n - self._last[slot] - 1
        if missing < 0:
            self.doubled += 1
            return None
        self.lost += missing
        self._last[slot] = n
        self.heard += 1
        return int(text[_AT]) if speaker == self.speaker else None

    def missing(self, slot: int, said: int) -> int:
        """How many of the ``said`` of the room's ``slot`` are yet to be heard."""
        return said - self._last[slot]
