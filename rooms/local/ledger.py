"""What the bots have seen, all of them together."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from rooms.local.referee import Outcome

__all__ = ["Ledger"]

ERRORS_KEPT = 20


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
        self.reconnects = 0
        """After a ``move`` or a close with 1012."""
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

    def reconnected(self) -> None:
        """A node left and its client goes on elsewhere."""
        self.reconnects += not self._closed

    def error(self, text: str) -> None:
        """Anything that should not happen."""
        if not self._closed:
            self.errors += 1
            self.error_texts.append(text)

    def close(self) -> None:
        """From here on nothing counts."""
        self._closed = True

    @property
    def unpaired(self) -> int:
        """Matches of which only one player has reported the result."""
        return len(self._half)

    @property
    def clean(self) -> bool:
        """Whether nothing went wrong."""
        return not (self.errors or self.disagreements or self.gaps or self.repeats)
