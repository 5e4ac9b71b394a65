"""When a client whose socket is gone tries again, and when it need not (design: close codes).

* Told to go (``move``, or 1012): at once. The node has spread its clients already.
* Lost unannounced: after a random time up to :data:`SOON_SECONDS`; a node that dies loses all of
  its clients in one instant, and they must not all come back in one.
* Turned away (1013, 4100, 4101), a frame that one side could not take, or an attempt that failed:
  full jitter, doubling.
* Lost twice within :data:`STEADY_SECONDS` of the arrival or the loss before: the same, whatever
  the reason, so that a cluster that throws everybody out is not stormed.
* 4001 to 4005: never.
"""

from __future__ import annotations

from math import inf

from lastcall.core.pacing import RandomSource, full_jitter
from lastcall.reasons import Close

__all__ = ["FINAL", "SOON_SECONDS", "STEADY_SECONDS", "ReconnectPolicy"]

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
        1002,  # the protocol library's: what was said just before will be said again
        1003,
        1007,
        1009,
    }
)


class ReconnectPolicy:
    """One client's way back. ``now`` is in seconds and does not run backwards."""

    __slots__ = ("_brief", "_dice", "_failures", "_since")

    def __init__(self, dice: RandomSource) -> None:
        self._dice = dice
        self._since = -inf
        self._brief = 0
        self._failures = 0

    def arrived(self, now: float) -> None:
        """The client has its place."""
        self._since = now

    def lost(self, code: int, now: float, *, announced: bool) -> float | None:
        """A socket in use was closed with ``code``: seconds to wait; None is for ever.

        ``told``: a ``move`` had announced it.
        """
        if code in FINAL:
            return None
        steady = now - self._since >= STEADY_SECONDS
        self._since = now
        if steady:
            self._brief = self._failures = 0
        else:
            self._brief += 1
        if self._brief > 1 or code in _TURNED_AWAY:
            return self.failed()
        if announced or code == Close.SERVICE_RESTART:
            return 0.0
        return self._dice.random() * SOON_SECONDS

    def turned_away(self, code: int) -> float | None:
        """An attempt ended with the close ``code``: seconds to wait; None is for ever."""
        return None if code in FINAL else self.failed()

    def failed(self) -> float:
        """An attempt did not bring the place: seconds to wait before the next."""
        self._failures += 1
        return full_jitter(self._failures - 1, self._dice)
