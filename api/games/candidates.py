"""The game nodes that may have a place: which can be asked, and which may still appear."""

from __future__ import annotations

from collections.abc import Callable, Collection
from math import inf

from lastcall.api.games.pending_resume import PendingResume
from lastcall.core.edge.met_nodes import MetNodes
from lastcall.core.edge.missing_nodes import NOTHING_KNOWN, MissingNodes
from lastcall.core.edge.next_steps import Ask, NotThere, Wait, next_resume_step
from lastcall.core.edge.placement import Candidate, hint, holders
from lastcall.core.lifecycle import Phase
from lastcall.ids import Incarnation
from lastcall.links.candidates import as_candidate
from lastcall.links.link import GameLink
from lastcall.wire import nodes

LEAVING = (Phase.DRAINING, Phase.CUTTING, Phase.STOPPED)


class PlaceLookup:
    """The attached game nodes that can resume, silent ones included; ``met`` are all so far, and
    ``missing`` tells what the nodes may have that cannot be asked.
    """

    def __init__(self, met: MetNodes, missing: Callable[[], MissingNodes]) -> None:
        self._missing = missing
        self._any = False
        """Whether any game node is attached."""
        self._able: dict[Incarnation, GameLink] = {}
        self._known: list[Candidate] = []
        self._answering: set[str] = set()
        self._met = met

    def update(self, links: Collection[GameLink]) -> None:
        """Notes which nodes are attached. Links change rarely; thousands may resume in a second."""
        able = [
            link
            for link in links
            if link.node.wire >= nodes.RESUMES and link.state.phase != Phase.STOPPED
        ]
        self._any = len(links) > 0
        self._able = {link.node.incarnation: link for link in able}
        self._known = [as_candidate(link) for link in able]
        self._answering = {node.name for node in self._known if not node.silent}

    def link(self, node: Candidate) -> GameLink:
        """The link to a node that :meth:`next_step` has returned."""
        return self._able[node.incarnation]

    def is_attached(self, node: Incarnation | None) -> bool:
        """Whether the process is attached, and can resume."""
        return node in self._able

    def all_in(self, refused_by: set[Incarnation]) -> bool:
        """Whether all have refused."""
        return self._able.keys() <= refused_by

    def missing(self) -> MissingNodes:
        """Which places the nodes may have that cannot be asked now."""
        return self._missing() if self._any else NOTHING_KNOWN

    def next_step(
        self, pending: PendingResume, missing: MissingNodes, now: float
    ) -> Ask | Wait | NotThere:
        """The next step of a resume that has no place yet; ``missing`` is from a moment ago.

        A node that its room names and that was never met here may still appear: the player was on
        another api node, and this one asks for names only every few seconds.
        """
        room, refused_by = pending.ticket.room, pending.refused_by
        if not room:
            return NotThere()
        name, holding = hint(room), holders(self._known, room, pending.trail.to)
        return next_resume_step(
            [node for node in holding if node.incarnation not in refused_by],
            name,
            missing,
            hint_answers=name in self._answering,
            may_appear=now < pending.expires_at and name != "" and name not in self._met,
            may_regroup=pending.again_at < inf or self._met.may_regroup(name, now),
            expected=pending.expected,
        )
