"""What the bots have seen, all of them together."""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Callable

import msgspec

from lastcall.local.bots.referee import Outcome

__all__ = ["Ledger", "Mark", "at_quantile"]

ERRORS_KEPT = 20


class Mark(msgspec.Struct, frozen=True):
    """The ledger's counts at one moment; the difference of two tells what was in between.

    ``waits`` counts joins by how long they took, in whole milliseconds, rounded up. ``hops`` counts
    by bot.
    """

    refused: int
    cut: int
    lost: int
    repeated: int
    matches: int
    errors: int
    waits: Counter[int]
    hops: Counter[str]

    def since(self, before: Mark) -> Mark:
        """What was counted after ``before``."""
        return Mark(
            *(getattr(self, field) - getattr(before, field) for field in Mark.__struct_fields__)
        )


def at_quantile(waits: Counter[int], quantile: float) -> float:
    """Seconds that so many of the waits did not exceed (0.99: 99 of 100); 0 if there are none."""
    left = quantile * waits.total()
    for milliseconds in sorted(waits):
        left -= waits[milliseconds]
        if left <= 0:
            return milliseconds / 1000
    return max(waits, default=0) / 1000


class Ledger:
    """Counts matches and troubles, and compares both players' results of each match.

    ``clock`` gives seconds; times count from the ledger's birth. After :meth:`close` nothing is
    recorded any more: what bots meet while a cluster is being cut is no news.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._born = clock()
        self._closed = False
        self._half: dict[str, Outcome] = {}
        self.matches = 0
        """Finished, with a result that both players agree on."""
        self.first_match_seconds: float | None = None
        self.walkovers = 0
        """Ended because the other player left."""
        self.cut = 0
        """Ended by a deadline or a second signal."""
        self.disagreements = 0
        """Ended with a result for one player and with another for the other."""
        self.gaps = 0
        """Message numbers jumped over; the examples only broadcast, so there should be none."""
        self.repeats = 0
        self.refused_joins = 0
        """Joins that were told to try again later."""
        self.turned_away = 0
        """Joins refused for good, and sockets that would not open; they are errors, too."""
        self.hops: Counter[str] = Counter()
        """Sockets after the first, by bot: a node has left, and its client went on elsewhere."""
        self.join_waits: Counter[int] = Counter()
        """Joins by their milliseconds from the first asking to ``joined``: second tries, and a move
        that answers instead, are in it."""
        self.errors = 0
        self.error_texts: deque[str] = deque(maxlen=ERRORS_KEPT)
        """The last 20 errors."""

    def finished(self, room: str, outcome: Outcome) -> None:
        """One of two players reports the result of the match in ``room``."""
        if self._closed:
            return
        if room not in self._half:
            self._half[room] = outcome
            return
        other = self._half.pop(room)
        if other != outcome:
            self.disagreements += 1
            self.error_texts.append(f"{room}: one player got {other}, the other {outcome}")
            return
        self.matches += 1
        if self.first_match_seconds is None:
            self.first_match_seconds = self._clock() - self._born

    def numbered(self, *, gaps: int, repeats: int) -> None:
        """How the message numbers of one place were."""
        if not self._closed:
            self.gaps += gaps
            self.repeats += repeats

    def walked_over(self) -> None:
        """The other player left."""
        self.walkovers += not self._closed

    def was_cut(self) -> None:
        """A match was cut."""
        self.cut += not self._closed

    def refused(self) -> None:
        """A join was told to try again later."""
        self.refused_joins += not self._closed

    def hopped(self, name: str) -> None:
        """A node left and its client goes on elsewhere."""
        if not self._closed:
            self.hops[name] += 1

    def joined(self, waited_seconds: float) -> None:
        """A seat was granted, so long after it was first asked for."""
        if not self._closed:
            self.join_waits[math.ceil(1000 * waited_seconds)] += 1

    def turn_away(self, text: str) -> None:
        """A join refused for good, or a socket that would not open."""
        self.turned_away += not self._closed
        self.error(text)

    def error(self, text: str) -> None:
        """Anything that should not happen."""
        if not self._closed:
            self.errors += 1
            self.error_texts.append(text)

    def close(self) -> None:
        """From here on nothing counts."""
        self._closed = True

    def mark(self) -> Mark:
        """The counts now."""
        strays = self.gaps + self.disagreements + self.walkovers
        return Mark(
            refused=self.refused_joins + self.turned_away,
            cut=self.cut,
            lost=self.errors - self.turned_away + strays,
            repeated=self.repeats,
            matches=self.matches,
            errors=self.errors,
            waits=self.join_waits.copy(),
            hops=self.hops.copy(),
        )

    @property
    def join_wait_max(self) -> float:
        """The longest wait of any bot from asking to join to ``joined``, in seconds."""
        return at_quantile(self.join_waits, 1)

    @property
    def join_wait_p99(self) -> float:
        """What 99 of 100 such waits did not exceed, in seconds."""
        return at_quantile(self.join_waits, 0.99)

    @property
    def reconnects(self) -> int:
        """All hops of all bots."""
        return self.hops.total()

    @property
    def unpaired(self) -> int:
        """Matches of which only one player has reported the result."""
        return len(self._half)

    @property
    def clean(self) -> bool:
        """Whether nothing went wrong."""
        return not (self.errors or self.disagreements or self.gaps or self.repeats)
