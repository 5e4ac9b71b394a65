"""When game nodes started, by one clock: placement prefers the version that is newest.

A game node says when it started by its machine's clock, and for how long it has run. Where clocks
disagree, the first is useless: a new version on a machine whose clock is an hour behind would get
no rooms. The second needs no clock that was ever set. So a start that differs by more than
``TRUSTED_SECONDS`` from what the api node computes is replaced; a smaller difference is kept, so
that all api nodes rank by the same figures.
"""

from __future__ import annotations

TRUSTED_SECONDS = 5.0


class NodeClocks:
    """The clock of one api node, as it was at ``now`` (seconds of a clock that is never set).

    ``wall`` is the time of day then, in seconds since 1970.
    """

    def __init__(self, wall: float, now: float) -> None:
        self._wall_ahead = wall - now

    def seconds_ahead(self, born: float, age_seconds: float | None, now: float) -> float:
        """How far a game node's clock is ahead of this one; 0 if they agree, or if it is not known.

        ``born`` is when the node started, by its own clock; ``age_seconds`` is for how long it has
        run. Version 0.1 does not tell the latter.
        """
        if age_seconds is None:
            return 0.0
        ahead = born - (now + self._wall_ahead - age_seconds)
        return ahead if abs(ahead) > TRUSTED_SECONDS else 0.0
