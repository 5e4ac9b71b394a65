"""A line that strangers can cause: however often they do, the log gets a few of them a minute."""

from __future__ import annotations

from collections.abc import Callable

import structlog
import trio

from lastcall.core.edge.token_bucket import TokenBucket
from lastcall.limits import Rate

RATE = Rate(burst=5, per_second=1 / 20)


class RatedLog:
    """Logs ``event`` as a warning or an error: 5 times at once, and then 3 times a minute.

    A line that follows others which were left out says how many, in ``left_out``. Its fields are
    made only if it is logged. For one thread; ``clock`` gives seconds.
    """

    def __init__(self, event: str, clock: Callable[[], float] = trio.current_time) -> None:
        self._event = event
        self._clock = clock
        self._bucket: TokenBucket | None = None  # made in the loop: a node is built before it runs
        self.count = 0
        """How often it happened, logged or not."""
        self._left_out = 0

    def warning(self, *, times: int = 1, **fields: object) -> None:
        """It has happened, ``times`` over."""
        self._log("warning", times, fields)

    def error(self, **fields: object) -> None:
        """As :meth:`warning`, for an error of this program."""
        self._log("error", 1, fields)

    def _log(self, level: str, times: int, fields: dict[str, object]) -> None:
        self.count += times
        now = self._clock()
        if self._bucket is None:
            self._bucket = TokenBucket(RATE, now)
        if not self._bucket.take(now):
            self._left_out += times
            return
        if self._left_out:
            fields["left_out"] = self._left_out
            self._left_out = 0
        getattr(structlog.get_logger(), level)(self._event, **fields)
