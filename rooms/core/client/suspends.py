"""When a client takes its socket for dead because the computer slept.

Trio's clock, by which a client waits for the server's next frame, stands still while the computer
sleeps. The server's does not: by then it has given the socket up.
"""

from __future__ import annotations

CHECK_SECONDS = 2.0
"""How often a client looks, by trio's clock."""
SUSPEND_SECONDS = 10.0
"""After a shorter sleep the socket may still be alive: a server waits for 25 s."""


class SuspendDetector:
    """Compares how long the computer has slept, from one look to the next."""

    __slots__ = ("_asleep",)

    def __init__(self, asleep: float) -> None:
        self._asleep = asleep

    def slept(self, asleep: float) -> bool:
        """Whether 10 s of sleep passed since the last look; ``asleep``: since any fixed time."""
        since_last_look = asleep - self._asleep
        self._asleep = asleep
        return since_last_look >= SUSPEND_SECONDS
