"""The choice of a room's standby and witness: pure functions of the nodes that there are.

A node at another host address comes first: a machine that fails takes all its processes with it.
Among those, a standby is chosen as placement chooses the node of a new room. An image that a node
has from here counts as a room there, so that not all go to the emptiest node.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec
from msgspec.structs import replace

from lastcall.core.edge.placement import Candidate, in_order
from lastcall.ids import Incarnation, KindName, NodeName


class Api(msgspec.Struct, frozen=True):
    """An api node with a link to this one; ``host`` is where its feed is."""

    name: NodeName
    incarnation: Incarnation
    host: str


class Game(msgspec.Struct, frozen=True):
    """A game node with a link to this one; ``host`` is where it listens."""

    node: Candidate
    host: str


def standbys(
    games: Iterable[Game], kind: KindName, *, host: str, kept: Mapping[Incarnation, int]
) -> tuple[Incarnation, ...]:
    """The nodes that may keep the image of a room of ``kind``, the best first.

    ``host`` is this node's, and ``kept`` how many of its images each node has.
    """
    hosts = {game.node.incarnation: game.host for game in games}
    nodes = [_with_images(game.node, kind, kept) for game in games]
    ranked = (node.incarnation for node in in_order(nodes, kind))
    return tuple(sorted(ranked, key=lambda node: hosts[node] == host))


def witnesses(apis: Iterable[Api], *, host: str) -> tuple[Incarnation, ...]:
    """The api nodes that may be a room's witness, the best first; ties go by name."""
    ranked = sorted(apis, key=lambda api: (api.host == host, api.name, api.incarnation))
    return tuple(api.incarnation for api in ranked)


def _with_images(node: Candidate, kind: KindName, kept: Mapping[Incarnation, int]) -> Candidate:
    images = kept.get(node.incarnation, 0)
    return replace(node, asked={(kind, True): images}) if images else node
