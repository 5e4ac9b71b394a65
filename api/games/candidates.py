"""The game nodes that may have a place: which can be asked, and which may still appear."""

from __future__ import annotations

from collections.abc import Iterable

from lastcall.core.edge.met_nodes import MetNodes
from lastcall.core.edge.placement import Candidate, hint, holders
from lastcall.core.lifecycle import Phase
from lastcall.ids import Incarnation, RoomId
from lastcall.links.candidates import as_candidate
from lastcall.links.link import GameLink
from lastcall.wire import nodes

LEAVING = (Phase.DRAINING, Phase.CUTTING, Phase.STOPPED)


class PlaceLookup:
    """The attached game nodes that can resume, silent ones included; ``met`` are all so far."""

    def __init__(self, met: MetNodes) -> None:
        self._able: dict[Incarnation, GameLink] = {}
        self._known: list[Candidate] = []
        self._answering: set[str] = set()
        self._met = met

    def update(self, links: Iterable[GameLink]) -> None:
        """Notes which nodes are attached. Links change rarely; thousands may resume in a second."""
        able = [
            link
            for link in links
            if link.node.wire >= nodes.RESUMES and link.state.phase != Phase.STOPPED
        ]
        self._able = {link.node.incarnation: link for link in able}
        self._known = [as_candidate(link) for link in able]
        self._answering = {node.name for node in self._known if not node.silent}

    def link(self, node: Candidate) -> GameLink:
        """The link to a node that :meth:`of` has returned."""
        return self._able[node.incarnation]

    def of(
        self, room: RoomId, refused_by: set[Incarnation], moved_to: Incarnation | None = None
    ) -> list[Candidate]:
        """Which nodes may have places in ``room``, in the order to ask; not ``refused_by``."""
        asked = holders(self._known, room, moved_to)
        return [node for node in asked if node.incarnation not in refused_by]

    def all_in(self, refused_by: set[Incarnation]) -> bool:
        """Whether all have refused."""
        return self._able.keys() <= refused_by

    def answers(self, name: str) -> bool:
        """Whether a node of that name is attached and not silent."""
        return name in self._answering

    def may_appear(self, room: RoomId) -> bool:
        """Whether ``room`` names a node that was never met here. It may still appear, since the
        player was on another api node, and this one asks for names only every few seconds.
        """
        name = hint(room)
        return name != "" and name not in self._met
