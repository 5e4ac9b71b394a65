"""A token bucket: ``burst`` at once, and ``per_second`` in the long run."""

from __future__ import annotations

from lastcall.limits import Rate


class TokenBucket:
    """Holds up to ``rate.burst`` tokens, starts full, and gains ``rate.per_second``."""

    __slots__ = ("_at", "_left", "burst", "per_second")

    def __init__(self, rate: Rate, now: float) -> None:
        self.burst = rate.burst
        self.per_second = rate.per_second
        self._left = rate.burst
        self._at = now

    def take(self, now: float, tokens: float = 1) -> bool:
        """Takes ``tokens`` if it holds as many; ``now`` (seconds) must not run backwards."""
        left = self._left + (now - self._at) * self.per_second
        if left > self.burst:  # noqa: PLR1730 - min() is a call, of every frame
            left = self.burst
        self._at = now
        if left < tokens:
            self._left = left
            return False
        self._left = left - tokens
        return True
