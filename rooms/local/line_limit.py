"""Limits how many lines of a node are shown, and counts the others."""

from __future__ import annotations

from collections import Counter
from math import inf

PERIOD_SECONDS = 10.0
SAME_SHOWN = 3
OTHERS = "others"


class LineLimit:
    """Admits ``lines_max`` lines in a period of 10 s, and of those that say the same only three."""

    def __init__(self, lines_max: int) -> None:
        self._lines_max = lines_max
        self.ends_at = inf
        """When the period is over; it begins with its first line."""
        self._shown: Counter[str] = Counter()
        self._hidden: Counter[str] = Counter()

    def admits(self, what: str, now: float) -> bool:
        """True for a line to show. Otherwise it is counted as one that says ``what``."""
        if self.ends_at == inf:
            self.ends_at = now + PERIOD_SECONDS
        if self._shown[what] < SAME_SHOWN and self._shown.total() < self._lines_max:
            self._shown[what] += 1
            return True
        # Only what was shown is counted by name: a flood of different lines must not fill memory.
        self._hidden[what if what in self._shown else OTHERS] += 1
        return False

    def end_period(self) -> Counter[str]:
        """Ends the period; returns how many lines it did not show, by what they say."""
        hidden, self._hidden = self._hidden, Counter()
        self._shown.clear()
        self.ends_at = inf
        return hidden
