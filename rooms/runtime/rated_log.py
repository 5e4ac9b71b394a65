"""Logs what strangers cause: a bounded number of lines a minute, and a count of the others."""

from __future__ import annotations

from collections.abc import Callable

import structlog
import trio

from lastcall.core.log_rate import LogRate

log = structlog.get_logger()


class RatedLog:
    """Warnings of one kind. ``clock`` gives seconds."""

    def __init__(self, lines: int = 3, clock: Callable[[], float] = trio.current_time) -> None:
        self._rate = LogRate(lines)
        self._clock = clock

    def warning(self, event: str, **fields: object) -> None:
        """Logs ``event``, unless too many came within 60 s; the next line has them as
        ``left_out``.
        """
        left_out = self._rate.take(self._clock())
        if left_out is not None:
            more = {"left_out": left_out} if left_out else {}
            log.warning(event, **fields, **more)
