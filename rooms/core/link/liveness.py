"""When a silent peer is gone; both sides of a link use the same rules.

* Silence counts only while our own loop runs: a stall of this process is not the peer's silence,
  and after one at least one whole request is tried before the peer is judged. (Without this rule a
  watcher condemned a healthy peer, whose answer lay unread, in 17 of 50 trials.)
* After ``silence_seconds`` nothing new is sent there. After ``lost_seconds`` the peer is lost.
* A feed that stands still although its peer lives ends the link, too: it cannot be dialled, or its
  transport alone has died (:class:`StallDetector`).
* A refused connection, or another incarnation at the address, is certain, and not judged here.
"""

from __future__ import annotations

import enum

from lastcall.policy import LinkPolicy


class Verdict(enum.Enum):
    """The judgement on a silent peer."""

    ALIVE = "alive"
    SILENT = "silent"
    LOST = "lost"


class Liveness:
    """The silence of one peer, in seconds during which our own loop ran."""

    __slots__ = ("_heard_at", "_judge_from", "_policy", "_turned_at")

    def __init__(self, policy: LinkPolicy, now: float) -> None:
        self._policy = policy
        self._heard_at = now
        self._turned_at = now
        self._judge_from = now

    def heard(self, now: float) -> None:
        """The peer has sent something."""
        self._heard_at = now

    def turned(self, now: float) -> None:
        """Our loop runs; call it much more often than every ``stall_seconds``."""
        stalled = now - self._turned_at
        if stalled > self._policy.stall_seconds:
            self._heard_at = min(now, self._heard_at + stalled)
            self._judge_from = now + self._policy.stall_seconds
        self._turned_at = now

    def verdict(self, now: float) -> Verdict:
        """Judges the silence so far."""
        silent = now - self._heard_at
        if now < self._judge_from or silent < self._policy.silence_seconds:
            return Verdict.ALIVE
        return Verdict.LOST if silent >= self._policy.lost_seconds else Verdict.SILENT


class StallDetector:
    """How long a stream has stood still although more is to come, by regular looks at it."""

    __slots__ = ("_at", "seconds")

    def __init__(self) -> None:
        self._at = 0
        self.seconds = 0.0

    def look(self, position: int, *, behind: bool, seconds: float) -> None:
        """Notes the ``position`` of the stream, ``seconds`` after the last look; ``behind``: more
        is to come.
        """
        stands = behind and position == self._at
        self.seconds = self.seconds + seconds if stands else 0.0
        self._at = position

    def crossed(self, limit: float, seconds: float) -> bool:
        """Whether the last look, ``seconds`` long, was the first over ``limit``."""
        return self.seconds - seconds < limit <= self.seconds
