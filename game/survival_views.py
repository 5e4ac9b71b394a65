"""Which nodes the surviving rooms of a node may turn to, by the kind of the room."""

from __future__ import annotations

from collections.abc import Callable

from lastcall.core.survival.choice import standbys, witnesses
from lastcall.core.survival.links import View
from lastcall.game.given_images import GivenImages
from lastcall.game.pair_links import PairLinks
from lastcall.ids import Incarnation, KindName

UNMET = Incarnation(0)
"""Stands for a game node that is listed and was never met: it has not voted."""


class Views:
    """The nodes, as they are now. ``host`` is this node's, and ``all_met`` says whether every game
    node that is listed was met, or is certainly not there.
    """

    def __init__(self, links: PairLinks, *, host: str, all_met: Callable[[], bool]) -> None:
        self._links = links
        self._host = host
        self._all_met = all_met
        self._told: dict[KindName, View] = {}
        """The nodes that the rooms of each kind have been told of."""
        self.given = GivenImages()
        """The images of this node's rooms: nodes with few of them are chosen first."""

    def look(self, kind: KindName) -> View:
        """The nodes for one room of ``kind``; the others hear of them by :meth:`changed`."""
        links, host = self._links, self._host
        games = links.games if self._all_met() else links.games | {UNMET}
        view = View(
            games=games,
            takers=standbys(links.linked_games, kind, host=host, kept=self.given.counts),
            leaving=links.leaving,
            witnesses=witnesses(links.witnesses.apis, host=host),
        )
        self._told.setdefault(kind, view)
        return view

    def changed(self) -> dict[KindName, View]:
        """The views in which other nodes are since the last call, and not only in another order."""
        views = {kind: self.look(kind) for kind in self._told}
        changed = {
            kind: view
            for kind, view in views.items()
            if _nodes_of(view) != _nodes_of(self._told[kind])
        }
        self._told.update(changed)
        return changed


def _nodes_of(view: View) -> tuple[frozenset[Incarnation], ...]:
    return (view.games, frozenset(view.takers), view.leaving, frozenset(view.witnesses))
