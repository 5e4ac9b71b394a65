"""The Prometheus metrics of a node, read when scraped, so they cost nothing otherwise."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import msgspec
from prometheus_client import (
    CollectorRegistry,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
)
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from lastcall.limits import Limit
from lastcall.reasons import ClientEnd, EndReason
from lastcall.runtime.loop_lag import LAG_SECONDS

ROOM_ENDS = (EndReason.FINISHED, EndReason.CUT, EndReason.CRASHED, EndReason.ABANDONED)
"""Exported as 0 from the start: a counter that first appears at 1 has no rate."""


class Commits(msgspec.Struct, frozen=True):
    """How long the words of surviving rooms have waited for their standbys."""

    counts: Mapping[str, int]
    """By the upper bound in seconds, as text: how many steps, with those of lower bounds."""
    seconds: float
    """Of all steps together."""


class Figures(msgspec.Struct):
    """A node's figures at one moment. Messages, resumes and what has ended only increase."""

    phase: str
    rooms: int = 0
    clients: int = 0
    links: int = 0
    peers: int = 0
    """The other game nodes that a game node calls."""
    messages_in: int = 0
    messages_out: int = 0
    resumes: int = 0
    unsent_excess_bytes: int = 0
    """The bytes that wait for clients beyond the share of each."""
    rooms_ended: Mapping[str, int] = msgspec.field(default_factory=dict)
    rooms_handed_off: int = 0
    rooms_adopted: int = 0
    rooms_protected: int = 0
    """The rooms here that go on at another node if this one is gone."""
    rooms_unprotected: int = 0
    """The rooms here of kinds that survive which do not, or wait."""
    promotions: int = 0
    standby_bytes: int = 0
    """Of the images of rooms that run on other nodes."""
    commits: Commits | None = None
    votes: int = 0
    client_ends: Mapping[ClientEnd, int] = msgspec.field(default_factory=dict)
    limited: Mapping[Limit, int] = msgspec.field(default_factory=dict)
    """The refusals of each limit."""


def node_registry(
    read: Callable[[], Figures], *, name: str, tier: str, version: str, phases: tuple[str, ...]
) -> CollectorRegistry:
    """The registry of one node: its figures, its process, its garbage collector.

    ``read`` is called at each scrape. ``phases`` are all phases: the current one is 1, the others
    are 0. The library's global registry is not used, since one process may run several nodes.
    """
    registry = CollectorRegistry()
    registry.register(
        _NodeCollector(read, {"version": version, "tier": tier, "name": name}, phases)
    )
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    return registry


def lag_metric(registry: CollectorRegistry) -> Histogram:
    """The histogram of the loop's lag, for :func:`lastcall.runtime.loop_lag.watch_lag`."""
    text = "How late the event loop is, ten times a second."
    return Histogram("lastcall_loop_lag_seconds", text, buckets=LAG_SECONDS, registry=registry)


class _NodeCollector(Collector):
    def __init__(
        self, read: Callable[[], Figures], build: dict[str, str], phases: tuple[str, ...]
    ) -> None:
        self._read = read
        self._build = build
        self._phases = phases

    def describe(self) -> list[Metric]:
        """Empty, since the registry would otherwise read a node that is not built yet."""
        return []

    def collect(self) -> Iterator[Metric]:
        now = self._read()
        yield GaugeMetricFamily("lastcall_rooms", "Rooms with a place here.", value=now.rooms)
        yield GaugeMetricFamily("lastcall_clients", "Clients connected here.", value=now.clients)
        yield GaugeMetricFamily("lastcall_links", "Links to the other tier.", value=now.links)
        yield GaugeMetricFamily("lastcall_peers", "Links to other game nodes.", value=now.peers)
        phase = GaugeMetricFamily("lastcall_phase", "1 for the phase it is in.", labels=["phase"])
        for one in self._phases:
            phase.add_metric([one], float(one == now.phase))
        yield phase
        yield _messages(now)
        yield CounterMetricFamily(
            "lastcall_resumes", "Places that were taken again.", value=now.resumes
        )
        yield GaugeMetricFamily(
            "lastcall_unsent_excess_bytes",
            "What waits for clients beyond the share of each.",
            value=now.unsent_excess_bytes,
        )
        yield _rooms_ended(now)
        yield CounterMetricFamily(
            "lastcall_rooms_handed_off",
            "Rooms that went on at another node.",
            value=now.rooms_handed_off,
        )
        yield CounterMetricFamily(
            "lastcall_rooms_adopted", "Rooms that came from another node.", value=now.rooms_adopted
        )
        yield from _survival(now)
        yield _client_ends(now)
        yield _limited(now)
        build = GaugeMetricFamily(
            "lastcall_build_info", "What runs here.", labels=list(self._build)
        )
        build.add_metric(list(self._build.values()), 1)
        yield build


def _messages(now: Figures) -> Metric:
    family = CounterMetricFamily(
        "lastcall_messages", "Inputs taken (in), messages delivered (out).", labels=["direction"]
    )
    family.add_metric(["in"], now.messages_in)
    family.add_metric(["out"], now.messages_out)
    return family


def _rooms_ended(now: Figures) -> Metric:
    family = CounterMetricFamily("lastcall_rooms_ended", "Rooms that ended.", labels=["reason"])
    counts: dict[str, int] = dict.fromkeys(map(str, ROOM_ENDS), 0)
    for reason, count in (counts | dict(now.rooms_ended)).items():
        family.add_metric([str(reason)], count)
    return family


def _survival(now: Figures) -> Iterator[Metric]:
    yield GaugeMetricFamily(
        "lastcall_rooms_protected", "Rooms with a standby.", value=now.rooms_protected
    )
    yield GaugeMetricFamily(
        "lastcall_rooms_unprotected",
        "Rooms of kinds that survive, without a standby.",
        value=now.rooms_unprotected,
    )
    yield CounterMetricFamily(
        "lastcall_promotions", "Rooms that go on here after their nodes.", value=now.promotions
    )
    yield GaugeMetricFamily(
        "lastcall_standby_bytes", "Images of other nodes' rooms.", value=now.standby_bytes
    )
    yield GaugeMetricFamily("lastcall_votes", "Rooms whose vote is remembered.", value=now.votes)
    family = HistogramMetricFamily(
        "lastcall_commit_seconds", "How long a room's words wait for its standby."
    )
    commits = now.commits or Commits({"+Inf": 0}, 0.0)
    family.add_metric([], buckets=list(commits.counts.items()), sum_value=commits.seconds)
    yield family


def _client_ends(now: Figures) -> Metric:
    family = CounterMetricFamily(
        "lastcall_client_ends", "Client connections that ended.", labels=["cause"]
    )
    for cause in ClientEnd:
        family.add_metric([cause], now.client_ends.get(cause, 0))
    return family


def _limited(now: Figures) -> Metric:
    family = CounterMetricFamily("lastcall_limited", "What a limit refused.", labels=["limit"])
    for limit in Limit:
        family.add_metric([limit], now.limited.get(limit, 0))
    return family
