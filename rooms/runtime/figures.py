"""A node's figures at one moment, which ``/metrics``, ``/status`` and the page show."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from lastcall.core.histogram import Histogram
from lastcall.limits import Limit
from lastcall.reasons import ClientEnd, EndReason

OTHER = "other"
"""The label of what has no label of its own, such as a code of a later version."""
ROUND_TRIP_SECONDS = (
    0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 3.0,
)  # fmt: skip
"""The upper bounds of its buckets. A node that is silent for 3 s counts as lost."""


class KindFigures(NamedTuple):
    """The rooms of one kind, and the seats that are taken in them."""

    rooms: int = 0
    players: int = 0


class Figures(msgspec.Struct):
    """Messages, bytes, and all that has happened or ended only increase."""

    phase: str
    ready: bool = False
    """Whether balancers may send clients here."""
    drain_seconds: float = 0.0
    """Since the stop; 0 before it."""
    drain_limit_seconds: float = 0.0
    """From a stop to the cut."""
    loop_lag: Histogram | None = None
    rooms: int = 0
    clients: int = 0
    kinds: Mapping[str, KindFigures] = {}
    """The kinds that a game node offers."""
    links: int = 0
    peers: int = 0
    """The other game nodes that a game node calls."""
    link_ends: Mapping[str, int] = {}
    """The links to game nodes that have ended, by :class:`lastcall.links.link_counts.Loss`."""
    round_trips: Histogram = msgspec.field(default_factory=lambda: Histogram(ROUND_TRIP_SECONDS))
    """How long game nodes took for their answers."""
    feed_repairs: int = 0
    """How often lost items were asked for."""
    feed_repeats: int = 0
    """How many items were sent again."""
    messages_in: int = 0
    messages_out: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    unsent_excess_bytes: int = 0
    """The bytes that wait for clients beyond the share of each."""
    joins: int = 0
    refusals: Mapping[str, int] = {}
    """Requests that were refused, by the code of the answer."""
    resumes: int = 0
    client_ends: Mapping[ClientEnd, int] = {}
    limited: Mapping[Limit, int] = {}
    """The refusals of each limit."""
    places_ended: Mapping[EndReason, int] = {}
    """The places of clients that have ended, as they were told."""
    room_moves: int = 0
    """How often a room with clients here has gone on at another game node."""
    rooms_ended: Mapping[str, int] = {}
    rooms_handed_off: int = 0
    rooms_adopted: int = 0
    handoffs_refused: int = 0
    """How often a room could not move; it stays where it is."""
    handoffs_lost: int = 0
    """The rooms whose new nodes have not said that they run there."""
    rooms_protected: int = 0
    """The rooms here that go on at another node if this one is gone."""
    rooms_unprotected: int = 0
    """The rooms here of kinds that survive which do not, or wait."""
    promotions: int = 0
    standby_bytes: int = 0
    """Of the images of rooms that run on other nodes."""
    commits: Histogram | None = None
    """How long the words of surviving rooms have waited for their standbys."""
    votes: int = 0
