"""When a client whose socket was lost tries again, and when it gives up (design: close codes).

* The loss was announced (``move``, or 1012): at once. The node has spread its clients already.
* The computer slept: at once. No other client was lost with this one.
* The loss was not announced: after a random time up to :data:`SOON_SECONDS`. A node that dies
  loses all of its clients in one instant, and they must not all come back in one.
* The server turned the client away (1013, 4100, 4101), one side could not read a frame, or an
  attempt failed: full jitter, doubling.
* The socket was lost twice within :data:`STEADY_SECONDS` of the last arrival or loss: the same,
  whatever the reason, so that a cluster that closes all its sockets is not stormed.
* 4001 to 4005: never.
"""

from __future__ import annotations

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

    def failed(self) -> float:
        """An attempt failed: seconds to wait before the next."""
        self._failures += 1
        return full_jitter(self._failures - 1, self._rng)
