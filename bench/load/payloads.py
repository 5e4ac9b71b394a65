"""The texts that a load says, and the check that each is delivered once and in order.

Each text holds its speaker, the speaker's number for it, and the time:
``~00042.0000007.0000001234567890~zzz…``. The reader finds the mark ``~`` in
the frames of any service. Each speaker's numbers rise by one, so a listener sees a loss as a gap
and a repetition as a step back.
"""

from __future__ import annotations

MARK = b"~"
HEAD_BYTES = 32
_SPEAKER = slice(1, 6)
_N = slice(7, 14)
_AT = slice(15, 31)


def make_payload(speaker: int, n: int, at_micros: int, pad: bytes) -> bytes:
    """The text; ``at_micros`` is its time, in whole µs of ``time.monotonic``."""
    return b"~%05d.%07d.%016d~%b" % (speaker, n, at_micros, pad)


class DeliveryCheck:
    """Checks the texts that one client hears. ``speaker`` is its own number; the numbers of a
    room's ``seats`` clients are consecutive.
    """

    __slots__ = ("_first", "_last", "heard", "lost", "own_slot", "repeated", "speaker", "stray")

    def __init__(self, speaker: int, seats: int) -> None:
        self._first = speaker - speaker % seats
        self._last = [0] * seats
        self.own_slot = speaker % seats
        """The client's seat in its room, from 0."""
        self.speaker = speaker
        self.heard = 0
        self.lost = 0
        self.repeated = 0
        self.stray = 0

    def hear(self, text: bytes) -> int | None:
        """Records a text that begins with the mark; returns its time if it is the client's own.
        Repetitions and other rooms' texts are counted as wrong and not as heard.
        """
        speaker, n = int(text[_SPEAKER]), int(text[_N])
        slot = speaker - self._first
        if not 0 <= slot < len(self._last):
            self.stray += 1
            return None
        missing = n - self._last[slot] - 1
        if missing < 0:
            self.repeated += 1
            return None
        self.lost += missing
        self._last[slot] = n
        self.heard += 1
        return int(text[_AT]) if speaker == self.speaker else None

    def missing(self, slot: int, said: int) -> int:
        """The number of the ``said`` texts of the room's ``slot`` that it has not heard yet."""
        return said - self._last[slot]
