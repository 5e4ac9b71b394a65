"""What Prometheus sees of a node: read from it when scraped, so that serving costs nothing."""

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
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from lastcall.reasons import EndReason
from lastcall.runtime.loop_lag import LAG_SECONDS

__all__ = ["Figures", "lag_metric", "node_registry"]

ROOM_ENDS = (EndReason.FINISHED, EndReason.CUT, EndReason.CRASHED, EndReason.ABANDONED)
"""Shown as 0 from the start: a counter that first appears at 1 has no rate."""


class Figures(msgspec.Struct):
    """A node's figures at one moment. Messages, resumes and ended rooms only ever rise."""

    phase: str
    rooms: int = 0
    clients: int = 0
    links: int = 0
    messages_in: int = 0
    messages_out: int = 0
    resumes: int = 0
    rooms_ended: Mapping[str, int] = msgspec.field(default_factory=dict)


def node_registry(
    read: Callable[[], Figures], *, name: str, tier: str, version: str, phases: tuple[str, ...]
) -> CollectorRegistry:
    """A registry of one node's own: its figures, its process, its garbage collector.

    ``read`` is called at each scrape. ``phases`` is every phase that there is: one of them is 1,
    the others 0. Not the library's global registry, since one process may hold several nodes.
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
    """How late the node's loop wakes those who sleep; whoever measures it observes."""
    about = "How late the event loop is, ten times a second."
    return Histogram("lastcall_loop_lag_seconds", about, buckets=LAG_SECONDS, registry=registry)


class _NodeCollector(Collector):
    def __init__(
        self, read: Callable[[], Figures], build: dict[str, str], phases: tuple[str, ...]
    ) -> None:
        self._read = read
        self._build = build
        self._phases = phases

    def describe(self) -> list[Metric]:
        """Nothing: the registry would otherwise read the node while it is still being built."""
        return []

    def collect(self) -> Iterator[Metric]:
        now = self._read()
        yield GaugeMetricFamily("lastcall_rooms", "Rooms with a place here.", value=now.rooms)
        yield GaugeMetricFamily("lastcall_clients", "Clients connected here.", value=now.clients)
        yield GaugeMetricFamily("lastcall_links", "Links to the other tier.", value=now.links)
        phase = GaugeMetricFamily("lastcall_phase", "1 for the phase it is in.", labels=["phase"])
        for one in self._phases:
            phase.add_metric([one], float(one == now.phase))
        yield phase
        yield _messages(now)
        yield CounterMetricFamily(
            "lastcall_resumes", "Places that were taken again.", value=now.resumes
        )
        yield _rooms_ended(now)
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
