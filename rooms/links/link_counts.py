"""How the links to game nodes do: counted by all links of one caller, for its metrics."""

from __future__ import annotations

import enum

from lastcall.core.histogram import Histogram
from lastcall.runtime.figures import ROUND_TRIP_SECONDS


class Loss(enum.StrEnum):
    """Why a link is over."""

    GONE = "gone"
    """The process has ended: its address refuses connections, or another one answers there."""
    LOST = "lost"
    """The process was silent for too long: its rooms count as lost."""
    RESET = "reset"
    """The game node and its rooms live, but this link is over: attach again."""
    FAREWELL = "farewell"
    """The game node has drained, and everything it said has arrived."""
    DETACHED = "detached"
    """This node leaves."""


class LinkCounts:
    """Shared by all links of a node's :class:`lastcall.links.connectors.GameConnectors`."""

    def __init__(self) -> None:
        self.round_trips = Histogram(ROUND_TRIP_SECONDS)
        """From a request to its answer, for each request; it carries all that waited for it."""
        self.ends: dict[str, int] = dict.fromkeys(Loss, 0)
        """The links that stood and are over."""
        self.repairs = 0
        """How many requests asked for items of the feed that were lost, or late."""
