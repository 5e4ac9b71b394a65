"""How long work waits so that more is done at once: not at all at rest, some ms under load.

A request between nodes costs both together some 300 µs of processor, whatever it carries; an item
in it costs 10. A turn of the loop that reads clients' sockets, with the turns that follow from it,
costs more than some inputs do. So where many items come, a short wait carries several at once (as
Nagle's algorithm does for TCP). But a wait pays only if items come *independently*: a client that
waits for its answer before it sends again would only get slower. How many items gather while a
request is under way is a hint, and only a trial tells for certain.

The gap is a compromise: with 4, 6 and 8 ms a resume in a crowd took 104, 88 and 49 to 70 µs of the
game node (``bench resume``), and at half load the slowest of a hundred messages arrived 8, 12 and
16 ms after it was sent (``bench latency``).

* With fewer than ``busy_per_second`` requests, none waits.
* With more, if some carry several items by chance, the next few requests wait until ``gap_seconds``
  after the one before. If those carry several items, all wait for as long as that holds; if not,
  none waits for ``rest_seconds``.
"""

from __future__ import annotations

import enum

WINDOW_SECONDS = 0.1
TRIALS = 3
PAYS = 1.5
"""Mean items of a request from which on waiting pays."""
WORTH_A_TRIAL = 1.1
"""Mean items of a request without waiting from which on a trial is worth it."""
SMOOTHING = 0.75
"""The weight of the earlier requests in the moving mean."""


class _Mode(enum.Enum):
    IMMEDIATE = "immediate"
    TRYING = "trying"
    BATCHING = "batching"


class AdaptiveBatcher:
    """The pace of one link's requests; times in seconds, of any clock."""

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
        self._mode = _Mode.IMMEDIATE
        self._count = 0
        self._since = 0.0
        self._items = 0.0
        self._trials = 0
        self._rest_until = 0.0
        self._sent_at = -1.0

    @property
    def waits(self) -> bool:
        """Whether what comes now has to wait."""
        return self._mode is not _Mode.IMMEDIATE

    def due(self) -> float:
        """When a request that has items may go; in the past if it may go now."""
        return self._sent_at + (self._gap if self.waits else 0.0)

    def sent(self, now: float, items: int) -> None:
        """A request with ``items`` items was sent."""
        self._sent_at = now
        match self._mode:
            case _Mode.IMMEDIATE:
                self._count_busy(now, items)
            case _Mode.TRYING:
                self._items += items
                self._trials += 1
                if self._trials == TRIALS:
                    self._judge(self._items / TRIALS, now)
            case _Mode.BATCHING:
                self._judge(SMOOTHING * self._items + (1 - SMOOTHING) * items, now)

    def _count_busy(self, now: float, items: int) -> None:
        if now - self._since > WINDOW_SECONDS:
            self._since, self._count, self._items = now, 0, 0.0
        self._count += 1
        self._items += items
        busy = self._count >= self._busy and self._items >= WORTH_A_TRIAL * self._count
        if busy and now >= self._rest_until:
            self._mode = _Mode.TRYING
            self._items, self._trials = 0.0, 0

    def _judge(self, mean: float, now: float) -> None:
        if mean >= PAYS:
            self._mode = _Mode.BATCHING
            self._items = mean
        else:
            self._mode = _Mode.IMMEDIATE
            self._rest_until = now + self._rest
            self._count, self._items = 0, 0.0
