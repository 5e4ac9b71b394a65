"""When a client whose socket was lost tries again, and when it gives up (design: close codes).

* The loss was announced (``move``, or 1012): at once. The node has spread its clients already.
* The computer slept: at once. No other client was lost with this one.
* The loss was not announced: after a random time up to :data:`SOON_SECONDS`. A node that dies
  loses all of its clients in one instant, and they must not all come back in one.
* The server turned the client away (1013, 4100, 4101), one side could not read a frame, or an
  attempt failed: full jitter, doubling.
* The socket was lost twice within :data:`STEADY_SECONDS` of the last arrival or loss: the same,
  whatever the reason, so that a cluster that closes all its sockets is not stormed.
* All servers are busy (503 with Retry-After): not before the first of them may be asked again.
* 4001 to 4005: never (but a token function is asked once more after a 4001 on the way back).
"""

from __future__ import annotations

from collections.abc import Iterable
from math import inf

from lastcall.core.pacing import RandomSource, full_jitter
from lastcall.reasons import Close

FINAL = frozenset(
    {
        Close.NOT_ALLOWED,
        Close.BROKE_PROTOCOL,
        Close.KICKED,
        Close.NO_SUCH_PLACE,
        Close.TAKEN_OVER,
    }
)
SOON_SECONDS = 0.8
BUSY_SECONDS_MAX = 10.0
"""A server that asks for more time (Retry-After) gets no more: a seat is kept for 30 s."""
STEADY_SECONDS = 2.0
_TURNED_AWAY = frozenset(
    {
        Close.TRY_AGAIN_LATER,
        Close.SLOW_READER,
        Close.TOO_MANY_MESSAGES,
        1002,  # from the protocol library; the frame before it would be sent again
        1003,
        1007,
        1009,
    }
)


class ReconnectPolicy:
    """One client's attempts to reconnect. ``now`` is in seconds and does not run backwards."""

    __slots__ = ("_failures", "_quick_losses", "_rng", "_since")

    def __init__(self, rng: RandomSource) -> None:
        self._rng = rng
        self._since = -inf
        self._quick_losses = 0
        self._failures = 0

    def arrived(self, now: float) -> None:
        """The client has its place."""
        self._since = now

    def lost(self, code: int, now: float, *, announced: bool) -> float | None:
        """A socket in use was closed with ``code``: seconds to wait; None: do not try again.

        ``announced``: a ``move`` had announced the close.
        """
        if code in FINAL:
            return None
        steady = now - self._since >= STEADY_SECONDS
        self._since = now
        if steady:
            self._quick_losses = self._failures = 0
        else:
            self._quick_losses += 1
        if self._quick_losses > 1 or code in _TURNED_AWAY:
            return self.failed()
        if announced or code == Close.SERVICE_RESTART:
            return 0.0
        return self._rng.random() * SOON_SECONDS

    def woke(self) -> float:
        """The computer slept: seconds to wait (none). Earlier failures no longer count."""
        self._failures = self._quick_losses = 0
        return 0.0

    def turned_away(self, code: int) -> float | None:
        """An attempt ended with the close ``code``: seconds to wait; None: do not try again."""
        return None if code in FINAL else self.failed()

    def failed(self, retry_after: float = 0.0) -> float:
        """An attempt failed: seconds to wait before the next; at least ``retry_after``."""
        self._failures += 1
        return retry_after + full_jitter(self._failures - 1, self._rng)


class BusyServers:
    """The servers that have asked for time (Retry-After, RFC 9110 §10.2.3), up to 10 s each."""

    __slots__ = ("_until",)

    def __init__(self) -> None:
        self._until: dict[str, float] = {}

    def refused(self, url: str, retry_after: float, now: float) -> None:
        """The server at ``url`` asks for ``retry_after`` seconds."""
        self._until[url] = now + min(retry_after, BUSY_SECONDS_MAX)

    def seconds_left(self, urls: Iterable[str], now: float) -> float:
        """How long none of ``urls`` may be asked."""
        return min((max(0.0, self._until.get(url, now) - now) for url in urls), default=0.0)
