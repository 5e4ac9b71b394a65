"""The messages to the page of a node or of a cluster, as JSON: the events of ``/cluster/events``,
the answer of ``/cluster/node``, which collectors ask nodes for, and that of ``/cluster/kinds``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec


class NodeCard(msgspec.Struct, frozen=True):
    """One node. ``dead`` says how it has died; ``generation`` counts the versions before its own.

    ``seconds_left`` is the time to the cut, out of ``grace``; None while the node does not drain.
    """

    name: str
    tier: str
    version: str
    phase: str
    rooms: int = 0
    clients: int = 0
    seconds_left: float | None = None
    grace: float | None = None
    why: tuple[str, ...] = ()
    admin: str = ""
    pid: int | None = None
    dead: str = ""
    generation: int = 0


class NodeFigures(msgspec.Struct, frozen=True):
    """One node's figures. Messages, ``limited`` and ``rooms_cut`` only increase; ``lag_p99`` is in
    seconds, of the last ten.
    """

    messages_in: int = 0
    messages_out: int = 0
    rooms: int = 0
    clients: int = 0
    limited: int = 0
    rooms_cut: int = 0
    lag_p99: float | None = None


class LogLine(msgspec.Struct, frozen=True):
    """The event ``log``: one line of a node's log, in short. ``at``: seconds since 1970."""

    at: float
    node: str
    level: str
    event: str
    text: str = ""


class NodeNow(msgspec.Struct, frozen=True):
    """The answer of ``/cluster/node``: a node at one moment.

    ``clients`` are URLs where clients connect. ``logs`` are the lines after the ``Last-Event-ID``
    of the request, and ``last_id`` is that of the next one.
    """

    card: NodeCard
    figures: NodeFigures
    clients: tuple[str, ...] = ()
    logs: tuple[LogLine, ...] = ()
    last_id: str = ""


class RollNow(msgspec.Struct, frozen=True):
    """A roll that is under way: its last step, and how many of the old nodes have ended."""

    stage: str
    done: int
    of: int


class Problem(msgspec.Struct, frozen=True):
    """Why the newest code of ``lastcall dev`` does not run, or not for all rooms. ``text`` has
    lines, such as a traceback; without a ``file``, the place is not known.
    """

    title: str
    text: str
    file: str = ""
    line: int = 0


class ClusterNow(msgspec.Struct, frozen=True):
    """The event ``cluster``: all but the figures. ``verbs`` are those that this server obeys."""

    at: float
    about: Literal["cluster", "node"]
    clients: tuple[str, ...]
    verbs: tuple[str, ...]
    nodes: tuple[NodeCard, ...]
    roll: RollNow | None = None
    problem: Problem | None = None


class PlayerFigures(msgspec.Struct, frozen=True):
    """The figures of the bots of ``lastcall up``. Round trips are in seconds, of the last ones."""

    round_trip_p50: float
    round_trip_p99: float
    refused: int
    cut: int
    lost: int
    repeated: int


class FiguresNow(msgspec.Struct, frozen=True):
    """The event ``figures``: those of each node, by its name, or by its admin address if another
    node that is shown has that name.
    """

    at: float
    nodes: Mapping[str, NodeFigures]
    players: PlayerFigures | None = None


class KindView(msgspec.Struct, frozen=True):
    """One kind of room in ``/cluster/kinds``. ``inputs`` and ``options`` are JSON schemas; None for
    types that have none.
    """

    name: str
    seats: int
    starts: int
    survives: bool
    moves: str
    about: str = ""
    inputs: Mapping[str, Any] | None = None
    options: Mapping[str, Any] | None = None


def without_figures(now: ClusterNow) -> ClusterNow:
    """The state without what changes all the time: two of these are equal if there is no news."""
    return msgspec.structs.replace(now, at=0.0, nodes=tuple(_settled(card) for card in now.nodes))


def _settled(card: NodeCard) -> NodeCard:
    drains = None if card.seconds_left is None else 0.0
    return msgspec.structs.replace(card, rooms=0, clients=0, seconds_left=drains)
