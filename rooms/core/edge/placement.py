"""Which game node gets a join: a pure function, the same on every api node.

Only serving nodes that know the kind, and that ``--games`` names, are candidates. The newest
version comes first, then a node with an open seat of the kind, else the least loaded one; ties go
by name, and those of one name by incarnation. Versions rank by age and not by name (the newest is
the one whose oldest node is youngest), so that a rollback works, too.

The api node chooses the node; the game node chooses or opens the room. So two api nodes that decide
at the same moment meet in the same room. Joins that are under way count as if they had arrived:
otherwise two players who join at the same instant would wait for each other in two rooms, on two
nodes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from types import MappingProxyType
from typing import TypeAlias

import msgspec

from lastcall.core.lifecycle import Phase
from lastcall.ids import Incarnation, KindName, NodeName, RoomId
from lastcall.wire.nodes import NodeState

_Rank: TypeAlias = tuple[float, str, bool, int, str, int]


class Candidate(msgspec.Struct, frozen=True):
    """A game node as placement sees it, on an api node."""

    address: str
    name: NodeName
    incarnation: Incarnation
    version: str
    born: float
    """When it started, by the clock of this api node."""
    state: NodeState
    asked: Mapping[tuple[KindName, bool], int] = MappingProxyType({})
    """The joins that are under way to it from here, by kind and whether in a new room."""
    silent: bool = False
    wanted: bool = True
    """Whether ``--games`` still names it."""

    @property
    def serving(self) -> bool:
        """Whether new rooms may be opened there."""
        return self.wanted and self.state.phase == Phase.SERVING and not self.silent

    @property
    def useful(self) -> bool:
        """Whether a client can play there: in a new room, or in one that it has a place in."""
        return self.serving or (self.state.phase != Phase.STOPPED and self.state.rooms > 0)

    def expected(self, kind: KindName) -> tuple[int, int]:
        """Open seats of ``kind``, and rooms opened, once the joins under way have arrived."""
        size = max(1, self.state.sizes.get(kind, 1))
        new = self.asked.get((kind, True), 0)
        free = self.state.seats.get(kind, 0) + new * (size - 1)
        beyond = max(0, self.asked.get((kind, False), 0) - free)
        if not beyond:
            return free - self.asked.get((kind, False), 0), new
        opened = -(-beyond // size)
        return opened * size - beyond, new + opened

    @property
    def load(self) -> int:
        """Rooms, with those that the joins under way will open."""
        return self.state.rooms + sum(self.expected(kind)[1] for kind in {k for k, _ in self.asked})


def choose(
    nodes: Iterable[Candidate],
    kind: KindName,
    *,
    new: bool = False,
    without: Collection[Incarnation] = (),
) -> Candidate | None:
    """The node for a join by kind, or None if no serving node has the kind.

    With ``new`` the player gets a new room, so open seats do not count; ``without`` are nodes that
    have refused.
    """
    able, rank = _ranked(nodes, kind, new=new, without=without)
    return min(able, key=rank, default=None)


def in_order(
    nodes: Iterable[Candidate], kind: KindName, *, without: Collection[Incarnation] = ()
) -> list[Candidate]:
    """The nodes for a new room: the one that :func:`choose` would name, then the next best, …"""
    able, rank = _ranked(nodes, kind, new=True, without=without)
    return sorted(able, key=rank)


def _ranked(
    nodes: Iterable[Candidate], kind: KindName, *, new: bool, without: Collection[Incarnation]
) -> tuple[list[Candidate], Callable[[Candidate], _Rank]]:
    """The nodes that may be chosen, and the key that puts them in order."""
    able = [
        node
        for node in nodes
        if node.serving and kind in node.state.seats and node.incarnation not in without
    ]
    ages: dict[str, float] = {}
    for node in able:
        ages[node.version] = min(node.born, ages.get(node.version, node.born))

    def rank(node: Candidate) -> _Rank:
        full = new or node.expected(kind)[0] <= 0
        return (-ages[node.version], node.version, full, node.load, node.name, node.incarnation)

    return able, rank


def choose_for_room(
    nodes: Iterable[Candidate],
    room: RoomId,
    without: Collection[Incarnation] = (),
    moved_to: Incarnation | None = None,
) -> Candidate | None:
    """The node for a join by the room's id: the first of :func:`holders` that has not refused."""
    rest = (node for node in holders(nodes, room, moved_to) if node.incarnation not in without)
    return next(rest, None)


def holders(
    nodes: Iterable[Candidate], room: RoomId, moved_to: Incarnation | None = None
) -> list[Candidate]:
    """The nodes to ask for a room by its id: first the node that the id names, then the others.

    A stopped node has no rooms. The name is only a hint (names are used again, rooms move), so it
    orders the questions and no more. A node that the room has ``moved_to`` comes before all.
    """
    first = hint(room)
    there = (node for node in nodes if node.state.phase != Phase.STOPPED)

    def rank(node: Candidate) -> tuple[bool, bool, bool, str, float, int]:
        elsewhere = node.incarnation != moved_to
        return (elsewhere, node.name != first, node.silent, node.name, node.born, node.incarnation)

    return sorted(there, key=rank)


def hint(room: RoomId) -> str:
    """The name of the node that opened the room, from its id; empty if the id has no name."""
    return room.rpartition(".")[0]


def knows_kind(nodes: Iterable[Candidate], kind: KindName) -> bool:
    """Whether any known node, in whatever phase, serves the kind."""
    return any(kind in node.state.seats for node in nodes)
