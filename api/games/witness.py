"""The votes of an api node: who may go on with a room whose nodes do not hear each other.

A game node asks on the feed of its link, and is answered by requests of the same link. The node
keeps nothing of a room before it is asked; see :mod:`lastcall.core.survival.votes`.
"""

from __future__ import annotations

from lastcall.core.survival.links import Links
from lastcall.core.survival.votes import Votes
from lastcall.ids import Incarnation
from lastcall.links.link import GameLink
from lastcall.links.link_counts import Loss
from lastcall.runtime.rated_log import RatedLog
from lastcall.wire import nodes
from lastcall.wire.survival_items import VoteAsked, VoteReturned


class Witness:
    """Gives the votes of one api node, and remembers for how long they count."""

    def __init__(self) -> None:
        self._known = Links()
        self._votes = Votes(self._known)
        self._links: dict[Incarnation, GameLink] = {}
        self._misplaced = RatedLog("link.misplaced_item")

    def __len__(self) -> int:
        """The rooms whose last vote this node remembers."""
        return len(self._votes)

    def take(self, link: GameLink, item: nodes.SurvivalItem) -> None:
        """A game node asks for a vote, or returns its right to ask; it says nothing else here."""
        node = link.node.incarnation
        if not isinstance(item, VoteAsked | VoteReturned):
            name = type(item).__name__.lower()
            why = "game nodes do not say that to api nodes"
            self._misplaced.warning(game=link.node.name, item=name, why=why)
        elif isinstance(item, VoteAsked):
            link.send(self._votes.ask(node, item))
        else:
            self._votes.returned(node, item)

    def link_up(self, link: GameLink) -> None:
        """The game node can ask."""
        self._links[link.node.incarnation] = link
        self._known.linked(link.node.incarnation)

    def link_down(self, link: GameLink, loss: Loss) -> None:
        """The link is over, but perhaps there is another one by now."""
        node = link.node.incarnation
        if self._links.get(node) is link:
            del self._links[node]
            self._gone(node, certain=loss in {Loss.GONE, Loss.FAREWELL})

    def gone(self, node: Incarnation) -> None:
        """It is certain that the process has ended, unless a link to it stands."""
        if node not in self._links:
            self._gone(node, certain=True)

    def _gone(self, node: Incarnation, *, certain: bool) -> None:
        self._known.gone(node, certain=certain)
        if certain:
            self._votes.dead(node)
