"""The votes that one holder of an image needs to go on without the others.

It asks the witnesses of its newest config one after the other, in the config's order. So of two
holders whose configs have a witness in common, the first of those witnesses decides, and they never
have one vote each. A witness that is certain to be dead will not answer. If all rivals are dead
too, the votes of all game nodes of the cluster take its place: if the room went on after this
holder lost sight of it, one of them has it, and denies; the others will not take a later image.
"""

from __future__ import annotations

from collections.abc import Sequence

from lastcall.core.survival.links import Links, View
from lastcall.ids import Incarnation
from lastcall.wire.survival_items import Config


class Ballot:
    """The votes of one epoch that a holder has asked for."""

    def __init__(self) -> None:
        self._granted: set[Incarnation] = set()
        self._asked: set[Incarnation] = set()
        self._sent: set[Incarnation] = set()

    @property
    def voters(self) -> list[Incarnation]:
        """All who were asked, in order."""
        return sorted(self._asked)

    def concerns(self, config: Config) -> bool:
        """Whether a witness of ``config`` was asked: the answer must be awaited, it may be ours."""
        return not self._asked.isdisjoint(config.witnesses)

    def granted(self, voter: Incarnation) -> None:
        """``voter`` has given its vote."""
        self._granted.add(voter)

    def again(self, voter: Incarnation | None = None) -> None:
        """What was sent to ``voter``, or to all, may be lost: ask once more."""
        self._sent = self._sent - {voter} if voter is not None else set()

    def to_ask(self, missing: Sequence[Incarnation]) -> list[Incarnation]:
        """Those of ``missing`` that were not asked yet on the present link."""
        new = [voter for voter in missing if voter not in self._sent]
        self._sent.update(new)
        self._asked.update(new)
        return new

    def missing(
        self, config: Config, rivals: Sequence[Incarnation], links: Links, view: View
    ) -> list[Incarnation] | None:
        """Whose votes are needed next; none if it can only wait, and None if it has all votes."""
        for witness in config.witnesses:
            if witness in self._granted:
                continue
            if not links.is_dead(witness):
                return [witness]
            if not view.games or not links.all_dead(rivals):
                return []
            alive = [game for game in sorted(view.games) if not links.is_dead(game)]
            refused = [game for game in alive if game not in self._granted]
            if refused:
                return refused
        return None
