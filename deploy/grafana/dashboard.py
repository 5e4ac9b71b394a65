"""Writes the Grafana dashboard ``lastcall.json`` beside this file: ``python dashboard.py``.

A figure that both tiers have is that of the tier which counts for players: clients, messages and
joins of api nodes, rooms of game nodes. A process with both tiers has them all.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

SELECT = 'namespace=~"$namespace", job=~"$job"'
SAME = "on (namespace, job, instance)"
CLIENTS_OF, ROOMS_OF = 'tier!="game"', 'tier!="api"'
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
LEGEND = {
    "legend": {"showLegend": True, "displayMode": "list", "placement": "bottom", "calcs": []},
    "tooltip": {"mode": "multi", "sort": "desc"},
}
ROW_WIDTH, HEIGHT = 24, 8


class Panel(NamedTuple):
    """A panel: its expressions by their legends, and how it shows them."""

    title: str
    lines: dict[str, str]
    unit: str = "short"
    width: int = 8
    kind: str = "timeseries"
    stacked: bool = False
    about: str = ""
    alarming: bool = False
    """Whether anything above 0 is red."""


def of(metric: str, *matchers: str) -> str:
    """The selected series of ``metric``."""
    return f"{metric}{{{', '.join((SELECT, *matchers))}}}"


def named(expression: str, *tier: str) -> str:
    """The values of nodes, with their names, tiers and versions."""
    build = of("lastcall_build_info", *tier)
    return f"({expression}) * {SAME} group_left (name, tier, version) {build}"


def rate(metric: str, *matchers: str) -> str:
    """How often it happens, a second, at each node."""
    return f"rate({of(metric, *matchers)}[$__rate_interval])"


def total(by: str, metric: str, *matchers: str) -> str:
    """How often it happens, a second, at all nodes."""
    return f"sum by ({by}) ({rate(metric, *matchers)})"


def of_clients(by: str, metric: str) -> str:
    """As :func:`total`, of the nodes that clients are connected to."""
    return f"sum by ({by}) ({named(rate(metric), CLIENTS_OF)})"


def draining(metric: str, *tier: str) -> str:
    """The metric of the nodes that drain."""
    phase = of("lastcall_phase", 'phase=~"draining|cutting"')
    return named(f"{metric} and {SAME} {phase} == 1", *tier)


def spread(histogram: str) -> dict[str, str]:
    """The median and the 99th percentile at each node."""
    buckets = f"sum by (namespace, job, instance, le) ({rate(histogram + '_bucket')})"
    return {
        f"{{{{name}}}} {label}": named(f"histogram_quantile({share}, {buckets})")
        for label, share in (("p50", 0.5), ("p99", 0.99))
    }


LEFT = f"{of('lastcall_drain_limit_seconds')} - {of('lastcall_drain_seconds')}"
LOST = of("lastcall_places_ended_total", 'reason=~"cut|node_lost"')
ROLLOUT = (
    Panel(
        "Nodes by phase",
        {"{{phase}}": f"sum by (phase) ({of('lastcall_phase')}) > 0"},
        width=6,
        kind="stat",
    ),
    Panel(
        "Nodes by version",
        {"{{tier}} {{version}}": f"count by (tier, version) ({of('lastcall_build_info')})"},
        width=6,
        stacked=True,
    ),
    Panel(
        "Clients by version",
        {"{{version}}": f"sum by (version) ({named(of('lastcall_clients'), CLIENTS_OF)})"},
        width=6,
        stacked=True,
        about="The sum stays: clients come back at the new nodes.",
    ),
    Panel(
        "Rooms by version",
        {"{{version}}": f"sum by (version) ({named(of('lastcall_rooms'), ROOMS_OF)})"},
        width=6,
        stacked=True,
    ),
    Panel(
        "Seconds left to the cut",
        {"{{name}}": draining(f"({LEFT})")},
        unit="s",
        about="What is left at 0 is cut. A node that is empty earlier ends earlier.",
    ),
    Panel("Rooms left", {"{{name}}": draining(of("lastcall_rooms"), ROOMS_OF)}),
    Panel("Clients left", {"{{name}}": draining(of("lastcall_clients"), CLIENTS_OF)}),
    Panel(
        "Matches that players have lost",
        {"{{reason}}": f"sum by (reason) (increase({LOST}[$__rate_interval]))"},
        alarming=True,
        about="Players who were told that their room was cut, or lost with its node.",
    ),
    Panel(
        "Rooms on the move",
        {
            "given": f"sum({rate('lastcall_rooms_handed_off_total')})",
            "taken": f"sum({rate('lastcall_rooms_adopted_total')})",
            "promoted": f"sum({rate('lastcall_promotions_total')})",
            "followed by api nodes": f"sum({rate('lastcall_room_moves_total')})",
            "{{outcome}}": total("outcome", "lastcall_handoff_failures_total"),
        },
        unit="ops",
    ),
    Panel(
        "Ready nodes",
        {"{{tier}}": f"sum by (tier) ({named(of('lastcall_ready'))})"},
        about="Those that balancers may send clients to, or that take rooms.",
    ),
)
PLAYERS = (
    Panel("Clients", {"{{name}}": named(of("lastcall_clients"), CLIENTS_OF)}, stacked=True),
    Panel(
        "Rooms by kind",
        {"{{kind}}": f"sum by (kind) ({of('lastcall_kind_rooms')})"},
        stacked=True,
    ),
    Panel(
        "Players by kind",
        {"{{kind}}": f"sum by (kind) ({of('lastcall_kind_players')})"},
        stacked=True,
    ),
    Panel(
        "Joins and resumes",
        {
            "joins": f"sum({named(rate('lastcall_joins_total'), CLIENTS_OF)})",
            "resumes": f"sum({named(rate('lastcall_resumes_total'), CLIENTS_OF)})",
        },
        unit="ops",
    ),
    Panel("Refusals", {"{{code}}": of_clients("code", "lastcall_refusals_total")}, unit="ops"),
    Panel("Limits", {"{{limit}}": total("limit", "lastcall_limited_total")}, unit="ops"),
    Panel("Ends of rooms", {"{{reason}}": total("reason", "lastcall_rooms_ended_total")}, "ops"),
    Panel("Ends of places", {"{{reason}}": total("reason", "lastcall_places_ended_total")}, "ops"),
    Panel(
        "Ends of connections", {"{{cause}}": total("cause", "lastcall_client_ends_total")}, "ops"
    ),
)
TRAFFIC = (
    Panel("Messages", {"{{direction}}": of_clients("direction", "lastcall_messages_total")}, "ops"),
    Panel("Bytes", {"{{direction}}": of_clients("direction", "lastcall_bytes_total")}, "Bps"),
    Panel(
        "Waiting for slow peers", {"{{name}}": named(of("lastcall_unsent_excess_bytes"))}, "bytes"
    ),
    Panel("Round trip of links", spread("lastcall_link_round_trip_seconds"), "s"),
    Panel(
        "Repairs of feeds",
        {
            "requests": f"sum({rate('lastcall_feed_repairs_total')})",
            "items sent again": f"sum({rate('lastcall_feed_repeats_total')})",
        },
        unit="ops",
        about="Losses between the tiers. Single ones are usual, and cost nothing but time.",
    ),
    Panel("Ends of links", {"{{loss}}": total("loss", "lastcall_link_ends_total")}, "ops"),
)
NODES = (
    Panel("Loop lag", spread("lastcall_loop_lag_seconds"), "s"),
    Panel("Processor", {"{{name}}": named(rate("process_cpu_seconds_total"))}, "percentunit"),
    Panel("Memory", {"{{name}}": named(of("process_resident_memory_bytes"))}, "bytes"),
    Panel(
        "Descriptors",
        {"{{name}}": named(f"{of('process_open_fds')} / {of('process_max_fds')}")},
        unit="percentunit",
    ),
    Panel(
        "Links",
        {
            "{{name}} to the other tier": named(of("lastcall_links")),
            "{{name}} to game nodes": named(of("lastcall_peers"), ROOMS_OF),
        },
    ),
    Panel(
        "Rooms that survive",
        {
            "protected": f"sum({of('lastcall_rooms_protected')})",
            "unprotected": f"sum({of('lastcall_rooms_unprotected')})",
            "votes remembered": f"sum({of('lastcall_votes')})",
        },
    ),
    Panel("Commits", spread("lastcall_commit_seconds"), "s"),
    Panel(
        "Images for others", {"{{name}}": named(of("lastcall_standby_bytes"), ROOMS_OF)}, "bytes"
    ),
)
ROWS = {"Rollout": ROLLOUT, "Players": PLAYERS, "Traffic": TRAFFIC, "Nodes": NODES}


def dashboard() -> dict[str, Any]:
    """The dashboard, as Grafana imports it."""
    return {
        "uid": "lastcall",
        "title": "Lastcall",
        "description": "Nodes of both tiers: rollouts, players, traffic. See docs/metrics.md.",
        "tags": ["lastcall"],
        "editable": True,
        "schemaVersion": 39,
        "refresh": "5s",
        "time": {"from": "now-30m", "to": "now"},
        "timezone": "browser",
        "graphTooltip": 1,
        "templating": {"list": _variables()},
        "annotations": {"list": [_drains()]},
        "panels": _panels(),
    }


def _variables() -> list[dict[str, Any]]:
    source = {"name": "datasource", "label": "Data source", "type": "datasource"}
    return [
        source | {"query": "prometheus"},
        _labels("namespace", "lastcall_build_info"),
        _labels("job", 'lastcall_build_info{namespace=~"$namespace"}'),
    ]


def _labels(name: str, series: str) -> dict[str, Any]:
    """A variable with all values of a label. Without Kubernetes there is no namespace: so *All* is
    ``.*``, which means series without the label, too.
    """
    query = f"label_values({series}, {name})"
    return {
        "name": name,
        "label": name.capitalize(),
        "type": "query",
        "datasource": SOURCE,
        "definition": query,
        "query": {"query": query, "refId": name},
        "refresh": 2,
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"selected": True, "text": ["All"], "value": ["$__all"]},
    }


def _drains() -> dict[str, Any]:
    return {
        "name": "Drains",
        "datasource": SOURCE,
        "enable": True,
        "iconColor": "orange",
        "expr": named(of("lastcall_phase", 'phase="draining"') + " == 1"),
        "step": "5s",
        "titleFormat": "{{name}} drains",
        "tagKeys": "tier,version",
    }


def _panels() -> list[dict[str, Any]]:
    shown: list[dict[str, Any]] = []
    y = 0
    for row, panels in ROWS.items():
        head = {"id": len(shown) + 1, "type": "row", "title": row, "collapsed": False, "panels": []}
        shown.append(head | {"gridPos": {"h": 1, "w": ROW_WIDTH, "x": 0, "y": y}})
        x, y = 0, y + 1
        for panel in panels:
            if x + panel.width > ROW_WIDTH:
                x, y = 0, y + HEIGHT
            shown.append(_shown(panel, len(shown) + 1, x, y))
            x += panel.width
        y += HEIGHT
    return shown


def _shown(panel: Panel, number: int, x: int, y: int) -> dict[str, Any]:
    stat = panel.kind == "stat"
    at = {"h": HEIGHT, "w": panel.width, "x": x, "y": y}
    options = {"reduceOptions": {"calcs": ["lastNotNull"]}} if stat else LEGEND
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.about,
        "datasource": SOURCE,
        "gridPos": at,
        "fieldConfig": {"defaults": _field(panel), "overrides": []},
        "options": options,
        "targets": [
            {
                "refId": chr(ord("A") + index),
                "datasource": SOURCE,
                "expr": expression,
                "legendFormat": legend,
                "range": not stat,
                "instant": stat,
            }
            for index, (legend, expression) in enumerate(panel.lines.items())
        ],
    }


def _field(panel: Panel) -> dict[str, Any]:
    steps: list[dict[str, Any]] = [{"color": "green", "value": None}]
    if panel.alarming:
        steps.append({"color": "red", "value": 0.001})
    custom = {
        "fillOpacity": 20 if panel.stacked else 0,
        "lineWidth": 1,
        "showPoints": "never",
        "stacking": {"mode": "normal" if panel.stacked else "none"},
        "thresholdsStyle": {"mode": "area" if panel.alarming else "off"},
    }
    return {
        "unit": panel.unit,
        "min": 0,
        "thresholds": {"mode": "absolute", "steps": steps},
        "custom": {} if panel.kind == "stat" else custom,
    }


def text() -> str:
    """The content of ``lastcall.json``."""
    return json.dumps(dashboard(), indent=1) + "\n"


if __name__ == "__main__":
    Path(__file__).with_name("lastcall.json").write_text(text(), encoding="utf-8")
