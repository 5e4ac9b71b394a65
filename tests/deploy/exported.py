"""The metrics that nodes export, and those that alerts and the dashboard ask for."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from prometheus_client import Metric, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from lastcall.core.histogram import Histogram
from lastcall.core.lifecycle import Phase
from lastcall.links.link_counts import LinkCounts
from lastcall.runtime.admin.metrics import node_registry
from lastcall.runtime.figures import Figures, KindFigures

TARGET = {"namespace": {""}, "job": {"", "lastcall"}, "instance": {""}}
"""The labels that Prometheus gives to each target, with the values that an expression may name."""
SELECTOR = re.compile(r"\b((?:lastcall|process|python)_\w+|up)\b(?:\{([^}]*)\})?")
MATCHER = re.compile(r'(\w+)(=~|!~|!=|=)"([^"]*)"')

Labels = dict[str, set[str]]


class Selector(NamedTuple):
    """A series that an expression asks for, and the values that its matchers name."""

    metric: str
    matchers: Labels


def families(tier: str, phase: Phase = Phase.SERVING) -> list[Metric]:
    """The metrics of a node that has seen everything once."""
    figures = Figures(phase, kinds={"lounge": KindFigures(1, 2)})
    figures.link_ends = LinkCounts().ends
    figures.loop_lag = figures.commits = Histogram((0.1,))
    registry = node_registry(lambda: figures, name=f"{tier}-1", tier=tier, version="1")
    return list(text_string_to_metric_families(generate_latest(registry).decode()))


def exported() -> dict[str, Labels]:
    """The samples of nodes, with the values of their labels."""
    found: dict[str, Labels] = {"up": dict(TARGET)}
    for tier in ("api", "game", "serve"):
        for sample in (one for family in families(tier) for one in family.samples):
            labels = found.setdefault(sample.name, {key: set(at) for key, at in TARGET.items()})
            for label, value in sample.labels.items():
                labels.setdefault(label, set()).add(value)
    return found


def series_of(tier: str, phase: Phase) -> Iterator[dict[str, str]]:
    """Ten minutes of the series of such a node, for ``promtool test rules``: counters rise."""
    for family in families(tier, phase):
        values = "1+1x10" if family.type in {"counter", "histogram"} else "{value}x10"
        for name, labels, value, *_ in family.samples:
            of_target = {"namespace": "games", "job": "lastcall", "instance": f"{tier}:9001"}
            inside = ", ".join(f'{label}="{text}"' for label, text in (of_target | labels).items())
            yield {"series": f"{name}{{{inside}}}", "values": values.format(value=value)}


def selectors(expression: str) -> Iterator[Selector]:
    """The series that the expression asks for."""
    for metric, inside in SELECTOR.findall(expression):
        matchers: Labels = {}
        for label, _, values in MATCHER.findall(inside):
            matchers.setdefault(label, set()).update(values.split("|"))
        yield Selector(metric, matchers)


def faults(expression: str, known: dict[str, Labels]) -> list[str]:
    """The series that the expression asks for and no node exports."""
    found = []
    for metric, matchers in selectors(expression):
        if metric not in known:
            found.append(metric)
        for label, values in matchers.items():
            wrong = values - {"$namespace", "$job"} - known.get(metric, {}).get(label, set())
            found += [f'{metric}{{{label}="{value}"}}' for value in sorted(wrong)]
    return found
