"""A warning that strangers can cause: however often they do, the log gets a few lines a minute."""

from __future__ import annotations

import structlog
import trio

from lastcall.core.edge.token_bucket import TokenBucket

LINES_AT_ONCE, SECONDS_PER_LINE = 5, 20.0


class RatedLog:
    """Logs ``event`` as a warning: 5 times at once, and then 3 times a minute.

    A line that follows others which were left out says how many, in ``left_out``. Its fields are
    made only if it is logged. For the event loop's thread, in trio's time.
    """

    def __init__(self, event: str) -> None:
        self._event = event
        self._bucket: TokenBucket | None = None  # made in the loop: a node is built before it runs
        self.count = 0
        """How often it happened, logged or not."""
        self._left_out = 0

    def warning(self, *, times: int = 1, **fields: object) -> None:
        """It has happened, ``times`` over."""
        self.count += times
        now = trio.current_time()
        if self._bucket is None:
            self._bucket = TokenBucket(LINES_AT_ONCE, 1 / SECONDS_PER_LINE, now)
        if not self._bucket.take(now):
            self._left_out += times
            return
        if self._left_out:
            fields["left_out"] = self._left_out
            self._left_out = 0
        structlog.get_logger().warning(self._event, **fields)
