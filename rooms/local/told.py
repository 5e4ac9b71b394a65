"""The JSON objects that ``lastcall up --json`` and ``dashboard --json`` print, one a line.

``up`` also prints a roll's ``progress``, its ``report`` and the nodes' ``output``, as ``lastcall
roll --json`` does: see :mod:`lastcall.local.control.messages`.
"""

from __future__ import annotations

import msgspec

from lastcall.local.control.messages import Output, Progress, RollReport
from lastcall.wire.reports import DrainFinished


class Page(msgspec.Struct, frozen=True, tag_field="is", tag="page"):
    """Where the page is."""

    url: str


class Ready(msgspec.Struct, frozen=True, tag_field="is", tag="ready"):
    """All nodes serve, ``seconds`` after the start; ``url`` is where clients connect."""

    url: str
    nodes: tuple[str, ...]
    seconds: float


class NodeLine(msgspec.Struct, frozen=True):
    """One node, as it is now."""

    name: str
    version: str = ""
    phase: str = "starting"
    rooms: int = 0
    clients: int = 0
    messages_per_second: float = 0.0


class Look(msgspec.Struct, frozen=True, tag_field="is", tag="status"):
    """The nodes and the bots' counts, ``at`` seconds after the start."""

    at: float
    matches: int
    errors: int
    nodes: tuple[NodeLine, ...]


class NodeEnd(msgspec.Struct, frozen=True):
    """How a node has ended; ``finished`` is None if it did not report a drain."""

    name: str
    exit_code: int | None
    finished: DrainFinished | None


class BotCounts(msgspec.Struct, frozen=True):
    """The bots' counts, from the start to the end. Waits to join are in seconds."""

    matches: int
    first_match_seconds: float | None
    errors: int
    gaps: int
    repeats: int
    disagreements: int
    wait_p99: float
    wait_max: float
    walkovers: int
    cut: int
    refused_joins: int
    reconnects: int
    unpaired: int
    error_texts: tuple[str, ...]


class Summary(msgspec.Struct, frozen=True, tag_field="is", tag="summary"):
    """The end of the cluster; ``bots`` is None if there were none."""

    exit_code: int
    nodes: tuple[NodeEnd, ...]
    bots: BotCounts | None


Told = Page | Ready | Look | Summary | Output | Progress | RollReport


def line(message: Told) -> str:
    """The message as one line, without its end."""
    return msgspec.json.encode(message).decode()
