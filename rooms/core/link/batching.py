"""How long a request waits for company: not at all at rest, some milliseconds under load.

A request between nodes costs some 300 µs of both nodes' processors, whatever it carries; an item in
it costs 10. So where many items come, a short wait carries several at once. But a wait is worth it
only where items come *independently*: one client that waits for its answer before it speaks again
would only be slower. Which it is shows a little in what gathers while a request is under way, and
for certain only when it is tried out.

The gap is a bargain: with 4, 6 and 8 ms a resume in a crowd took 104, 88 and 49 to 70 µs of the
game node (``bench resume``), and the slowest of a hundred messages at half load came 8, 12 and
16 ms after it was said (``bench latency``).

* Fewer than ``busy_per_second`` requests: none waits.
* More, and some of them carry company by chance: the next few wait until ``gap_seconds`` after the
  one before. If they carried company, that goes on for as long as they do; if not, none waits for
  ``rest_seconds``.
"""

from __future__ import annotations

import enum

__all__ = ["AdaptiveBatcher"]

WINDOW_SECONDS = 0.1
TRIALS = 3
COMPANY = 1.5
"""Items to a request, over the last few, from which on waiting pays."""
CHANCE = 1.1
"""Items to a request without waiting, from which on it is worth a trial."""
MEMORY = 0.75
"""Of the mean, what each request keeps of those before."""


class _Mode(enum.Enum):
    STEPS_PER_BATCH = "at once"
    TRYING = "trying"
    GATHERING = "gathering"


class AdaptiveBatcher:
    """The pace of one link's requests; times in seconds, of any clock."""

    __slots__ = (
        "_busy",
        "_count",
        "_gap",
        "_items",
        "_mode",
        "_rest",
        "_rest_until",
        "_sent_at",
        "_since",
        "_trials",
    )

    def __init__(
        self,
        *,
        busy_per_second: float = 300.0,
        gap_seconds: float = 0.006,
        rest_seconds: float = 0.25,
    ) -> None:
        self._busy = busy_per_second * WINDOW_SECONDS
        self._gap = gap_seconds
        self._rest = rest_seconds
        self._mode = _Mode.STEPS_PER_BATCH
        self._count = 0
        self._since = 0.0
        self._items = 0.0
        self._trials = 0
        self._rest_until = 0.0
        self._sent_at = -1.0

    def due(self) -> float:
        """When a request that has something to carry may go; in the past if now."""
        return (
            self._sent_at + self._gap if self._mode is not _Mode.STEPS_PER_BATCH else self._sent_at
        )

    def sent(self, now: float, items: int) -> None:
        """A request has gone, with so many items."""
        self._sent_at = now
        match self._mode:
            case _Mode.STEPS_PER_BATCH:
                self._count_busy(now, items)
            case _Mode.TRYING:
                self._items += items
                self._trials += 1
                if self._trials == TRIALS:
                    self._judge(self._items / TRIALS, now)
            case _Mode.GATHERING:
                self._judge(MEMORY * self._items + (1 - MEMORY) * items, now)

    def _count_busy(self, now: float, items: int) -> None:
        if now - self._since > WINDOW_SECONDS:
            self._since, self._count, self._items = now, 0, 0.0
        self._count += 1
        self._items += items
        busy = self._count >= self._busy and self._items >= CHANCE * self._count
        if busy and now >= self._rest_until:
            self._mode = _Mode.TRYING
            self._items, self._trials = 0.0, 0

    def _judge(self, mean: float, now: float) -> None:
        if mean >= COMPANY:
            self._mode = _Mode.GATHERING
            self._items = mean
        else:
            self._mode = _Mode.STEPS_PER_BATCH
            self._rest_until = now + self._rest
            self._count, self._items = 0, 0.0
