"""The Prometheus metrics of a node, read when scraped, so they cost nothing otherwise.

Every family is a row of :data:`FAMILIES`; ``docs/metrics.md`` explains each of them. The values of
all labels are known when the node starts, and are exported from then on: a counter that first
appears at 1 has no rate.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple, TypeVar

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from lastcall.core.histogram import Histogram
from lastcall.core.lifecycle import Phase
from lastcall.limits import Limit
from lastcall.reasons import ClientEnd, EndReason, ErrorCode
from lastcall.runtime.figures import OTHER, Figures
from lastcall.wire import nodes

ROOM_ENDS = (EndReason.FINISHED, EndReason.CUT, EndReason.CRASHED, EndReason.ABANDONED)
REFUSALS = (*ErrorCode, nodes.DRAINING, OTHER)
BUILD_INFO = "lastcall_build_info"
BUILD_LABELS = ("version", "tier", "name")

Values = float | Mapping[str, float] | Histogram | None
Label = TypeVar("Label", bound=str)


class Family(NamedTuple):
    """One metric; the name of a counter is without its ``_total``.

    ``read`` gives its value; with a ``label`` one for each value of that.
    """

    type: str
    name: str
    help: str
    read: Callable[[Figures], Values]
    label: str = ""


def every(known: Iterable[str], counts: Mapping[Label, int]) -> dict[str, float]:
    """The count of each one that is known, and of all others together as :data:`OTHER`."""
    found: dict[str, float] = dict.fromkeys(map(str, known), 0)
    for one, count in counts.items():
        label = str(one) if str(one) in found else OTHER
        found[label] = found.get(label, 0) + count
    return found


FAMILIES = (
    Family("gauge", "lastcall_phase", "1 for the phase of the node.",
           lambda now: every(Phase, {now.phase: 1}), "phase"),
    Family("gauge", "lastcall_ready", "1 if balancers may send clients here.",
           lambda now: now.ready),
    Family("gauge", "lastcall_drain_seconds", "The time since the drain began; 0 before it.",
           lambda now: now.drain_seconds),
    Family("gauge", "lastcall_drain_limit_seconds", "From a drain's beginning to the cut.",
           lambda now: now.drain_limit_seconds),
    Family("histogram", "lastcall_loop_lag_seconds",
           "How late the event loop is, ten times a second.", lambda now: now.loop_lag),
    Family("gauge", "lastcall_rooms", "Rooms with a place here.", lambda now: now.rooms),
    Family("gauge", "lastcall_clients", "Clients connected here.", lambda now: now.clients),
    Family("gauge", "lastcall_kind_rooms", "Rooms that run here.",
           lambda now: {kind: count.rooms for kind, count in now.kinds.items()}, "kind"),
    Family("gauge", "lastcall_kind_players", "Seats that are taken in rooms that run here.",
           lambda now: {kind: count.players for kind, count in now.kinds.items()}, "kind"),
    Family("counter", "lastcall_messages", "Inputs taken (in), messages delivered (out).",
           lambda now: {"in": now.messages_in, "out": now.messages_out}, "direction"),
    Family("counter", "lastcall_bytes", "The size of those inputs and messages.",
           lambda now: {"in": now.bytes_in, "out": now.bytes_out}, "direction"),
    Family("gauge", "lastcall_unsent_excess_bytes",
           "What waits for clients beyond the share of each.",
           lambda now: now.unsent_excess_bytes),
    Family("counter", "lastcall_joins", "Seats that were given.", lambda now: now.joins),
    Family("counter", "lastcall_refusals", "Requests that were refused.",
           lambda now: every(REFUSALS, now.refusals), "code"),
    Family("counter", "lastcall_resumes", "Places that were taken again.",
           lambda now: now.resumes),
    Family("counter", "lastcall_limited", "What a limit refused.",
           lambda now: every(Limit, now.limited), "limit"),
    Family("counter", "lastcall_client_ends", "Client connections that ended.",
           lambda now: every(ClientEnd, now.client_ends), "cause"),
    Family("counter", "lastcall_places_ended", "Places of clients that ended.",
           lambda now: every(EndReason, now.places_ended), "reason"),
    Family("counter", "lastcall_rooms_ended", "Rooms that ended.",
           lambda now: every(ROOM_ENDS, now.rooms_ended), "reason"),
    Family("counter", "lastcall_room_moves",
           "Rooms with clients here that went on at another game node.",
           lambda now: now.room_moves),
    Family("counter", "lastcall_rooms_handed_off", "Rooms that went on at another node.",
           lambda now: now.rooms_handed_off),
    Family("counter", "lastcall_rooms_adopted", "Rooms that came from another node.",
           lambda now: now.rooms_adopted),
    Family("counter", "lastcall_handoff_failures", "Hand-offs that were refused, or lost a room.",
           lambda now: {"refused": now.handoffs_refused, "lost": now.handoffs_lost}, "outcome"),
    Family("gauge", "lastcall_rooms_protected", "Rooms with a standby.",
           lambda now: now.rooms_protected),
    Family("gauge", "lastcall_rooms_unprotected",
           "Rooms of kinds that survive, without a standby.", lambda now: now.rooms_unprotected),
    Family("counter", "lastcall_promotions", "Rooms that go on here after their nodes.",
           lambda now: now.promotions),
    Family("gauge", "lastcall_standby_bytes", "Images of other nodes' rooms.",
           lambda now: now.standby_bytes),
    Family("gauge", "lastcall_votes", "Rooms whose vote is remembered.", lambda now: now.votes),
    Family("histogram", "lastcall_commit_seconds",
           "How long a room's words wait for its standby.", lambda now: now.commits),
    Family("gauge", "lastcall_links", "Links to the other tier.", lambda now: now.links),
    Family("gauge", "lastcall_peers", "Links to other game nodes.", lambda now: now.peers),
    Family("counter", "lastcall_link_ends", "Links to game nodes that ended.",
           lambda now: now.link_ends, "loss"),
    Family("histogram", "lastcall_link_round_trip_seconds",
           "How long game nodes take to answer.", lambda now: now.round_trips),
    Family("counter", "lastcall_feed_repairs", "Requests for lost items of a feed.",
           lambda now: now.feed_repairs),
    Family("counter", "lastcall_feed_repeats", "Items of feeds that were sent again.",
           lambda now: now.feed_repeats),
)  # fmt: skip


def node_registry(
    read: Callable[[], Figures], *, name: str, tier: str, version: str
) -> CollectorRegistry:
    """The registry of one node: its figures, its process, its garbage collector.

    ``read`` is called at each scrape. The library's global registry is not used, since one process
    may run several nodes.
    """
    registry = CollectorRegistry()
    registry.register(_NodeCollector(read, (version, tier, name)))
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    return registry


class _NodeCollector(Collector):
    def __init__(self, read: Callable[[], Figures], build: tuple[str, ...]) -> None:
        self._read = read
        self._build = build

    def describe(self) -> list[Metric]:
        """Empty, since the registry would otherwise read a node that is not built yet."""
        return []

    def collect(self) -> Iterator[Metric]:
        now = self._read()
        for family in FAMILIES:
            yield _metric(family, family.read(now))
        build = GaugeMetricFamily(BUILD_INFO, "What runs here.", labels=BUILD_LABELS)
        build.add_metric(self._build, 1)
        yield build


def _metric(family: Family, values: Values) -> Metric:
    if family.type == "histogram":
        found = HistogramMetricFamily(family.name, family.help)
        if isinstance(values, Histogram):
            found.add_metric([], buckets=values.up_to(), sum_value=values.total)
        return found
    simple = CounterMetricFamily if family.type == "counter" else GaugeMetricFamily
    metric = simple(family.name, family.help, labels=[family.label] if family.label else [])
    match values:
        case Mapping():
            for label, value in values.items():
                metric.add_metric([label], value)
        case int() | float():
            metric.add_metric([], values)
    return metric
