"""The game nodes that may hold a place: who can be asked, and who may still turn up."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from lastcall.api.games.link import GameLink
from lastcall.core.edge.placement import Candidate, hint, holders
from lastcall.core.lifecycle import Phase
from lastcall.ids import Incarnation, KindName, RoomId
from lastcall.wire import nodes

__all__ = ["PlaceLookup", "as_candidate"]

NAMES_KEPT = 1024


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
    )


class PlaceLookup:
    """Those who are attached and able to resume, silent ones included."""

    def __init__(self) -> None:
        self._able: dict[Incarnation, GameLink] = {}
        self._known: list[Candidate] = []
        self._met: OrderedDict[str, None] = OrderedDict()
        """Names of nodes that were ever met here, the last :data:`NAMES_KEPT` of them."""

    def meet(self, name: str) -> None:
        """A node of that name is, or was, here: what it does not know it does not hold."""
        self._met[name] = None
        self._met.move_to_end(name)
        if len(self._met) > NAMES_KEPT:
            self._met.popitem(last=False)

    def update(self, links: Iterable[GameLink]) -> None:
        """Who is there. Links change rarely, and thousands may resume in one second."""
        able = [
            link
            for link in links
            if link.node.wire >= nodes.RESUMES and link.state.phase != Phase.STOPPED
        ]
        self._able = {link.node.incarnation: link for link in able}
        self._known = [as_candidate(link) for link in able]

    def link(self, node: Candidate) -> GameLink:
        """The way to one of :meth:`of`."""
        return self._able[node.incarnation]

    def of(self, room: RoomId, refused_by: set[Incarnation]) -> list[Candidate]:
        """Who may hold places in ``room``, in the order to ask; not those who have said no."""
        return [node for node in holders(self._known, room) if node.incarnation not in refused_by]

    def all_in(self, refused_by: set[Incarnation]) -> bool:
        """Whether all have said no."""
        return self._able.keys() <= refused_by

    def may_appear(self, room: RoomId) -> bool:
        """Whether ``room`` is of a node that was never met here, and so may still come: the names
        of nodes are looked up every few seconds, and the player was elsewhere until now.
        """
        name = hint(room)
        return name != "" and name not in self._met
