"""A standby is promoted if it has a reason to ask for votes, and gets them."""

from __future__ import annotations

from msgspec.structs import replace

from lastcall.core.survival.actions import Promote, Protection, Standing
from lastcall.core.survival.ballot import Ballot
from lastcall.core.survival.follower import Follower
from lastcall.core.survival.links import Links, View
from lastcall.core.survival.votes import NOBODY
from lastcall.ids import Incarnation
from lastcall.wire import survival_items as items
from lastcall.wire.survival_items import Config

WAITS = "a room is to go on here, and its witness has not voted yet"


class Claim:
    """The claim of one image; ``view`` says which nodes there are."""

    ballot_type: type[Ballot] = Ballot

    def __init__(self, image: Follower, links: Links) -> None:
        self.view = View()
        self.wanted = False
        """Whether an api node asks for the room."""
        self.handed_over = False
        """Whether the primary gives the room up."""
        self._image = image
        self._links = links
        self._waits = False
        self.ballot = self.ballot_type(image.last)

    @property
    def voting(self) -> bool:
        """Whether a vote was asked for that may still promote the image."""
        return self.ballot.concerns(self._image.config)

    @property
    def waits(self) -> bool:
        """Whether the image would be promoted if it had all votes."""
        return self.wanted or self.handed_over or self.voting

    @property
    def needs(self) -> list[Incarnation] | None:
        """Whose votes the image needs next, but for nodes that were never met."""
        met = replace(self.view, games=self.view.games - {NOBODY})
        return self.ballot.missing(self._image.config, self._links, met)

    @property
    def is_answered(self) -> bool:
        """Whether there is no reason to ask any more, since the primary is heard."""
        is_gone = self._links.is_gone(self._image.config.primary)
        return not self._image.appointed or not (is_gone or self.voting)

    def restart(self) -> None:
        """A later epoch has begun: its votes are others."""
        self.ballot, self.wanted, self.handed_over = (
            self.ballot_type(self._image.last),
            False,
            False,
        )

    def sees(self, view: View) -> None:
        """The nodes are others now; the primary learns of those that can be asked from here."""
        are_others = {*view.witnesses} != {*self.view.witnesses}
        self.view = view
        self.ballot.looked()
        if are_others:
            self.say_whom_it_reaches()

    def say_whom_it_reaches(self) -> None:
        """Tells the primary which api nodes may be the room's witness."""
        image = self._image
        reaches = items.Reaches(image.room, image.config.epoch, self.view.witnesses)
        image.send(image.config.primary, reaches)

    def seek_votes(self) -> Incarnation | None:
        """Asks for the votes that are needed, and promotes with all; the owner of a lost one."""
        image, config = self._image, self._image.config
        is_asked = self.handed_over or (self.wanted and self._links.is_gone(config.primary))
        if not (image.appointed and (is_asked or self.voting)):
            return None
        missing = self.ballot.missing(config, self._links, self.view)
        if missing is None:
            self._promote()
            return None
        asked = items.VoteAsked(image.room, config.epoch, (*image.rivals,), self.ballot.number)
        for voter in self.ballot.to_ask(missing):
            image.send(voter, asked)
        return self.ballot.lost_to(missing)

    def say_standing(self) -> None:
        """The image waits for a vote, or does so no more."""
        waits = self.waits
        if waits != self._waits:
            self._waits = waits
            protection = Protection.WAITING if waits else Protection.PROTECTED
            self._image.out.append(Standing(self._image.room, protection, WAITS if waits else ""))

    def give_back(self) -> None:
        """This node asks for no more votes of the room."""
        image = self._image
        witnesses = image.config.witnesses if image.named else ()
        for voter in sorted({*self.ballot.voters, *witnesses}):
            image.send(voter, items.VoteReturned(image.room, image.config.epoch))

    def _promote(self) -> None:
        image, config = self._image, self._image.config
        image.closed = True
        epoch = config.epoch + 1
        for rival in image.rivals:
            image.send(rival, items.Fenced(image.room, epoch, image.me))
        others = {*image.rivals, *config.former}
        former = tuple(sorted(node for node in others if not self._links.is_dead(node)))
        agreed = self.ballot.agreed(config)
        image.out.append(Promote(image.room, Config(epoch, image.me, former=former, agreed=agreed)))
