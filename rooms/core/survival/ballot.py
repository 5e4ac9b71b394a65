"""The votes that one holder of an image needs to go on without the others.

It asks the witnesses of its newest config one after the other, in the config's order. So of two
holders whose configs have a witness in common, the first of those witnesses decides, and they never
have one vote each.

The votes of all game nodes that are not dead, in the order of their numbers, take the place of a
dead witness: if the room went on when this holder did not hear of it, one of them has it, and
denies; and those that gave their vote will not take a later image from anybody else. These votes
count once the holder, with the last of them, has looked again at which nodes there are, and finds
no other one. A standby that has asked for no vote gives its own to the primary.
"""

from __future__ import annotations

from collections.abc import Sequence

from lastcall.core.survival.links import Links, View
from lastcall.ids import Incarnation
from lastcall.wire.survival_items import Answer, Config, Vote


class Ballot:
    """The votes of one epoch that a holder has asked for."""

    def __init__(self, number: int = 0) -> None:
        self.number = number
        """Repeated by the answers; that of an image which was held before is another one."""
        self._granted: set[Incarnation] = set()
        self._denied: dict[Incarnation, Incarnation] = {}
        self._asked: set[Incarnation] = set()
        self._sent: set[Incarnation] = set()
        self.by_all = False
        """Whether all others have voted in place of a dead witness."""
        self._looked = False
        """Whether the holder has seen the nodes since the last vote was given."""

    @property
    def voters(self) -> list[Incarnation]:
        """All who were asked, in order."""
        return sorted(self._asked)

    def concerns(self, config: Config) -> bool:
        """Whether a witness of ``config`` was asked: the answer must be awaited, it may be ours."""
        return bool(self._asked) and not self._asked.isdisjoint(config.witnesses)

    def answered(self, voter: Incarnation, vote: Vote) -> None:
        """``voter`` has given its vote, or another one has it."""
        if vote.ballot != self.number:
            return
        if vote.answer is Answer.GRANTED:
            self._granted.add(voter)
            self._looked = False
        elif vote.answer is Answer.DENIED:
            self._denied[voter] = vote.owner

    def looked(self) -> None:
        """The holder sees the nodes that there are now."""
        self._looked = True

    def lost_to(self, missing: Sequence[Incarnation]) -> Incarnation | None:
        """The node that has one of the ``missing`` votes, if any."""
        return next((self._denied[voter] for voter in missing if voter in self._denied), None)

    def again(self, voter: Incarnation | None = None) -> None:
        """The requests to ``voter``, or to all, may be lost: ask once more."""
        self._sent = self._sent - {voter} if voter is not None else set()

    def agreed(self, config: Config) -> int:
        """The value of ``agreed`` in the config that follows after ``config``."""
        return config.epoch if self.by_all else config.agreed

    def to_ask(self, missing: Sequence[Incarnation]) -> list[Incarnation]:
        """Those of ``missing`` that were not asked yet on the present link."""
        new = [voter for voter in missing if voter not in self._sent]
        self._sent.update(new)
        self._asked.update(new)
        return new

    def missing(self, config: Config, links: Links, view: View) -> list[Incarnation] | None:
        """Whose votes are needed next; none if it can only wait, and None if it has all votes."""
        for witness in config.witnesses:
            if witness in self._granted:
                continue
            if not links.is_dead(witness):
                return [witness]
            alive = [game for game in sorted(view.games) if not links.is_dead(game)]
            silent = [game for game in alive if game not in self._granted]
            if silent or not alive or not self._looked:
                return silent[:1]
            self.by_all = True
        return None
