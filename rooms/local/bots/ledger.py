"""Counts what all the bots have seen."""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Callable

import msgspec

from lastcall.local.bots.referee import Outcome

ERRORS_KEPT = 20
ROUND_TRIPS_KEPT = 1_000


class Mark(msgspec.Struct, frozen=True):
    """The ledger's counts at one moment; the difference of two is what happened in between.

    ``waits`` counts joins by their duration in whole milliseconds, rounded up; ``hops`` counts
    reconnects by bot.
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
        """The counts since ``before``."""
        return Mark(
            *(getattr(self, field) - getattr(before, field) for field in Mark.__struct_fields__)
        )


def at_quantile(waits: Counter[int], quantile: float) -> float:
    """Seconds that this part of the waits did not exceed (0.99: 99 of 100); 0 without waits."""
    left = quantile * waits.total()
    for milliseconds in sorted(waits):
        left -= waits[milliseconds]
        if left <= 0:
            return milliseconds / 1000
    return max(waits, default=0) / 1000


class Ledger:
    """Counts matches and errors, and compares both players' results of each match.

    ``clock`` gives seconds. After :meth:`close` nothing is counted: errors that bots see while a
    cluster is being cut are expected.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._started_at = clock()
        self._closed = False
        self._first_results: dict[str, Outcome] = {}
        self.matches = 0
        """Finished matches, with a result that both players agree on."""
        self.first_match_seconds: float | None = None
        self.walkovers = 0
        """Matches that ended because the other player left."""
        self.cut = 0
        """Matches that a deadline or a second signal ended."""
        self.disagreements = 0
        """Matches whose players got different results."""
        self.gaps = 0
        """Message numbers that were skipped. The examples only broadcast, so none should be."""
        self.repeats = 0
        self.refused_joins = 0
        """Joins that may be tried again later."""
        self.turned_away = 0
        """Joins refused for good, and connections that failed; they count as errors, too."""
        self.hops: Counter[str] = Counter()
        """Reconnects by bot: its node left, and the client went on through another."""
        self.join_waits: Counter[int] = Counter()
        """Joins by their milliseconds from the first request to ``joined``, further tries and moves
        included."""
        self.round_trips: deque[float] = deque(maxlen=ROUND_TRIPS_KEPT)
        """The seconds from an input to its answer, of the last ones."""
        self.errors = 0
        self.error_texts: deque[str] = deque(maxlen=ERRORS_KEPT)
        """The last 20 errors."""

    def finished(self, room: str, outcome: Outcome) -> None:
        """One of the two players reports the result of the match in ``room``."""
        if self._closed:
            return
        if room not in self._first_results:
            self._first_results[room] = outcome
            return
        other = self._first_results.pop(room)
        if other != outcome:
            self.disagreements += 1
            self.error_texts.append(f"{room}: one player got {other}, the other {outcome}")
            return
        self.matches += 1
        if self.first_match_seconds is None:
            self.first_match_seconds = self._clock() - self._started_at

    def add_numbering_errors(self, *, gaps: int, repeats: int) -> None:
        """Adds the gaps and repeats in the message numbers of one place."""
        if not self._closed:
            self.gaps += gaps
            self.repeats += repeats

    def walkover(self) -> None:
        """A match ended because the other player left."""
        self.walkovers += not self._closed

    def was_cut(self) -> None:
        """A match was cut."""
        self.cut += not self._closed

    def refused(self) -> None:
        """A join was refused, or its node died; it may be tried again later."""
        self.refused_joins += not self._closed

    def reconnected(self, name: str) -> None:
        """A node left, and the bot's client reconnected."""
        if not self._closed:
            self.hops[name] += 1

    def joined(self, waited_seconds: float) -> None:
        """A join was answered, this many seconds after its first request."""
        if not self._closed:
            self.join_waits[math.ceil(1000 * waited_seconds)] += 1

    def answered(self, waited_seconds: float) -> None:
        """An input was answered, this many seconds after it was said."""
        self.round_trips.append(waited_seconds)

    def rejected(self, text: str) -> None:
        """A join was refused for good, or a connection failed."""
        self.turned_away += not self._closed
        self.error(text)

    def error(self, text: str) -> None:
        """Something happened that should not."""
        if not self._closed:
            self.errors += 1
            self.error_texts.append(text)

    def close(self) -> None:
        """Stops counting."""
        self._closed = True

    def mark(self) -> Mark:
        """The counts now."""
        lost = self.gaps + self.disagreements + self.walkovers
        return Mark(
            refused=self.refused_joins + self.turned_away,
            cut=self.cut,
            lost=self.errors - self.turned_away + lost,
            repeated=self.repeats,
            matches=self.matches,
            errors=self.errors,
            waits=self.join_waits.copy(),
            hops=self.hops.copy(),
        )

    @property
    def unpaired(self) -> int:
        """Matches whose result only one player has reported."""
        return len(self._first_results)

    @property
    def clean(self) -> bool:
        """Whether the bots saw no error."""
        return not (self.errors or self.disagreements or self.gaps or self.repeats)
