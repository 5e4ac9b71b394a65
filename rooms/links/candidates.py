"""Links as placement sees them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from lastcall.core.edge.placement import Candidate
from lastcall.ids import KindName
from lastcall.links.link import GameLink


def as_candidate(
    link: GameLink, asked: Mapping[tuple[KindName, bool], int] = MappingProxyType({})
) -> Candidate:
    """A link's game node, as placement sees it; ``asked`` are the joins under way to it."""
    return Candidate(
        address=link.address,
        name=link.node.name,
        incarnation=link.node.incarnation,
        version=link.node.version,
        born=link.node.born,
        state=link.state,
        asked=asked,
        silent=link.silent,
        wanted=link.wanted,
    )
