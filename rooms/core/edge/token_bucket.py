"""A token bucket: ``burst`` at once, and ``per_second`` in the long run."""

from __future__ import annotations


class TokenBucket:
    """Holds up to ``burst`` tokens, starts full, and gains ``per_second``."""

    __slots__ = ("_at", "_left", "burst", "per_second")

    def __init__(self, burst: float, per_second: float, now: float) -> None:
        self.burst = burst
        self.per_second = per_second
        self._left = burst
        self._at = now

    def take(self, now: float) -> bool:
        """Takes one token if there is one; ``now`` (seconds) must not run backwards."""
        left = self._left + (now - self._at) * self.per_second
        if left > self.burst:  # noqa: PLR1730 - min() is a call, of every frame
            left = self.burst
        self._at = now
        if left < 1:
            self._left = left
            return False
        self._left = left - 1
        return True
