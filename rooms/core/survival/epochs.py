"""How a primary goes on without a standby: by the witnesses' votes, or because it resigned."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from lastcall.core.survival.ballot import Ballot
from lastcall.core.survival.line import Line
from lastcall.core.survival.links import Links, View
from lastcall.ids import Incarnation
from lastcall.wire.survival_items import Resign, Vote, VoteAsked, VoteReturned


class Epochs:
    """Raises the epoch of ``line``, and takes those out of its config who are gone."""

    ballot_type: type[Ballot] = Ballot

    def __init__(self, line: Line, links: Links) -> None:
        self._line = line
        self._links = links
        self._ballot = self.ballot_type()
        self.yields = False
        """Whether the room goes to its standby, also to one that is silent: then no vote is asked
        for that would take the room from it.
        """

    @property
    def voting(self) -> bool:
        """Whether a vote was asked for that this node may have by now."""
        return self._ballot.concerns(self._line.config)

    def seek_votes(self, view: View) -> Incarnation | None:
        """Asks for the votes that are needed, and goes on with all; the owner of a lost one."""
        line, config = self._line, self._line.config
        if not config.standbys or (line.whole and not self.voting):
            return None
        if self.yields and not self.voting and all(map(line.may_have_image, config.standbys)):
            return None
        missing = self._ballot.missing(config, self._links, view)
        if missing is None:
            self._go_on_by_vote()
            return None
        for voter in self._ballot.to_ask(missing):
            asked = VoteAsked(line.room, config.epoch, config.standbys, self._ballot.number)
            line.send(voter, asked)
        return self._ballot.lost_to(missing)

    def answered(self, voter: Incarnation, vote: Vote) -> None:
        """``voter`` has answered; an answer about an earlier epoch is ignored."""
        if vote.epoch == self._line.config.epoch:
            self._ballot.answered(voter, vote)

    def resigned(self, node: Incarnation) -> None:
        """Standby ``node`` has no image and was not promoted: no vote is needed.

        The epoch rises if there is no other standby, since nobody else can ask for its vote.
        """
        config = self._line.config
        others = tuple(other for other in config.standbys if other != node)
        if others:
            self._go_on(config.epoch, others, config.agreed)
        else:  # votes that were given all the same are free: their nodes may get images again
            self._return(self._ballot.voters)
            self._go_on(config.epoch + 1, (), config.agreed)

    def linked(self, node: Incarnation) -> None:
        """There is a new link to ``node``."""
        self._ballot.again(node)
        if node in self._line.former:
            self._forget(node)

    def looked(self) -> None:
        """The room's node sees the nodes that there are now."""
        self._ballot.looked()

    def again(self) -> None:
        """Asks once more for the votes that are missing."""
        self._ballot.again()

    def give_back(self) -> None:
        """This node asks for no more votes of the room."""
        self._return({*self._ballot.voters, *self._line.config.witnesses})

    def _return(self, voters: Iterable[Incarnation]) -> None:
        line = self._line
        for voter in sorted(voters):
            line.send(voter, VoteReturned(line.room, line.config.epoch))

    def _go_on_by_vote(self) -> None:
        line, config = self._line, self._line.config
        kept = tuple(node for node in config.standbys if line.in_touch(node))
        dropped = [node for node in config.standbys if node not in kept]
        line.former.update(node for node in dropped if not self._links.is_dead(node))
        self._go_on(config.epoch + 1, kept, self._ballot.agreed(config))

    def _go_on(self, epoch: int, standbys: tuple[Incarnation, ...], agreed: int) -> None:
        now = self._line.config
        if epoch > now.epoch:
            self._ballot = self.ballot_type()
        config = replace(now, epoch=epoch, standbys=standbys, agreed=agreed, coming=())
        candidate, self._line.candidate = self._line.candidate, None
        self._line.step(config)
        if candidate is not None:
            self._forget(candidate.node)

    def _forget(self, node: Incarnation) -> None:
        line = self._line
        line.send(node, Resign(line.room, line.config.epoch, line.last))
