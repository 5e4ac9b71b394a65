"""A node that holds the image of a room that runs elsewhere: when it may be promoted.

* It takes the image and each step that follows, in order, and confirms them. It is a standby only
  if the newest config that it has names it; until then it is a candidate, and forgets the image
  when the link to the primary is lost.
* It asks for votes if an api node wants the room and the primary is gone, or if the primary hands
  over. With the votes of all witnesses in its newest config it is promoted, once and for all.
* Once it has asked for a vote, it waits for the answer: the vote may be its own already. Until then
  it goes on confirming steps, since it will be promoted with them, and does not resign.
* If another node has a vote that it needs, the image is worth nothing, and is dropped.
"""

from __future__ import annotations

from lastcall.core.survival.actions import (
    Action,
    Drop,
    Elsewhere,
    Keep,
    Promote,
    Protection,
    Send,
    Standing,
)
from lastcall.core.survival.ballot import Ballot
from lastcall.core.survival.links import Links, View
from lastcall.ids import Incarnation, RoomId
from lastcall.wire import survival_items as items
from lastcall.wire.survival_items import Config, SurvivalItem

WAITS = "the node that runs the room is gone, and the witness has not voted yet"


class Standby:
    """One room's image on a node that does not run it; each method returns what to do, in order."""

    ballot_type: type[Ballot] = Ballot

    def __init__(self, image: items.StandbyImage, me: Incarnation, links: Links) -> None:
        self.room: RoomId = image.room
        self.config: Config = image.config
        self.last = image.n
        """The number of the last step that the image holds."""
        self.closed = False
        """Whether the image was dropped or promoted; it needs nothing more."""
        self.over = False
        """Whether the image was dropped because the room has ended."""
        self._me = me
        self._links = links
        self.view = View()
        self._wanted = False
        self._handed_over = False
        self._waits = False
        self._ballot = self.ballot_type(image.n)
        self._out: list[Action] = []

    @property
    def appointed(self) -> bool:
        """Whether it may be promoted; else it is a candidate."""
        return self._me in self.config.standbys

    @property
    def voting(self) -> bool:
        """Whether a vote was asked for that may still promote it."""
        return self._ballot.concerns(self.config)

    def receive(self, source: Incarnation, item: SurvivalItem) -> list[Action]:
        """An item of the primary, or of a witness, for an image that is held."""
        match item:
            case items.Vote() if item.epoch == self.config.epoch:
                self._ballot.answered(source, item)
            case items.Fenced() if item.epoch > self.config.epoch:
                self._drop(item.owner)
                self._send(source, items.NotHeld(self.room, item.epoch, 0))
            case _ if self._is_old(source, item):
                owner = self.config.primary
                self._send(source, items.Fenced(self.room, self.config.epoch, owner))
            case items.StandbyImage():
                self._image(source, item)
            case items.Step():
                self._step(source, item)
            case items.Resign():
                self._resign(source, item)
            case items.TakeOver() if source == self.config.primary and self.appointed:
                self._handed_over = True
            case items.TakeOver() if source == self.config.primary:
                self._drop(Incarnation(0))
            case items.RoomOver() if source == self.config.primary:
                self.over = True
                self._drop(Incarnation(0))
        return self._done()

    def refuse(self, source: Incarnation, image: items.StandbyImage, reason: str) -> list[Action]:
        """The node cannot keep a newer ``image``: it drops the one that it has, if it may."""
        if self.voting:
            self._send(source, items.NotHeld(self.room, image.epoch, image.n))
        else:
            self._drop(Incarnation(0))
            self._send(source, items.Resigned(self.room, image.epoch, image.n, reason))
        return self._done()

    def wanted(self) -> list[Action]:
        """An api node asks for the room."""
        self._wanted = True
        if not self.appointed or not (self._links.is_gone(self.config.primary) or self.voting):
            self._wanted = False
            self._out.append(Elsewhere(self.room, self.config.primary))
        return self._done()

    def gone(self, node: Incarnation) -> list[Action]:
        """``node`` is gone, as the links say."""
        if node == self.config.primary and not self.appointed:
            self._drop(Incarnation(0))
        return self._done()

    def linked(self, node: Incarnation) -> list[Action]:
        """There is a new link to ``node``: everything under way on an earlier one is lost."""
        self._ballot.again(node)
        if node == self.config.primary and not self.appointed:
            self._drop(Incarnation(0))
        elif node == self.config.primary:
            self._wanted = False
            self._send(node, items.StepsKept(self.room, self.config.epoch, self.last))
            self._say_whom_it_reaches()
        return self._done()

    def sees(self, view: View) -> list[Action]:
        """The nodes are others now, or some of them drain."""
        are_others = {*view.witnesses} != {*self.view.witnesses}
        self.view = view
        self._ballot.looked()
        if are_others:
            self._say_whom_it_reaches()
        return self._done()

    def again(self) -> list[Action]:
        """Asks once more for the votes that are missing; called every few seconds."""
        self._ballot.again()
        return self._done()

    def _is_old(self, source: Incarnation, item: SurvivalItem) -> bool:
        is_of_a_line = isinstance(item, items.ToStandby | items.StepsKept)
        is_earlier = item.epoch < self.config.epoch and source != self.config.primary
        return is_of_a_line and is_earlier

    def _image(self, source: Incarnation, image: items.StandbyImage) -> None:
        if image.epoch > self.config.epoch:
            self._ballot, self._wanted, self._handed_over = self.ballot_type(image.n), False, False
        self.config, self.last = image.config, image.n
        self._out.append(Keep(self.room))
        self._send(source, items.StepsKept(self.room, image.epoch, self.last))
        self._say_whom_it_reaches()

    def _say_whom_it_reaches(self) -> None:
        reaches = items.Reaches(self.room, self.config.epoch, self.view.witnesses)
        self._send(self.config.primary, reaches)

    def _step(self, source: Incarnation, step: items.Step) -> None:
        if source != self.config.primary or step.n > self.last + 1:
            self._send(source, items.NotHeld(self.room, step.epoch, step.n))
            return
        if step.n == self.last + 1:
            self.last = step.n
            self._out.append(Keep(self.room))
            if step.config is not None:
                self._configure(step.config)
        self._send(source, items.StepsKept(self.room, step.epoch, self.last))

    def _configure(self, config: Config) -> None:
        if config.epoch > self.config.epoch:
            self._ballot, self._handed_over = self.ballot_type(self.last), False
        self.config = config

    def _resign(self, source: Incarnation, item: items.Resign) -> None:
        if self.voting and self.config.epoch == item.epoch:
            return  # the answer may promote it; the primary asks again
        if self.last <= item.n or self.config.epoch < item.epoch:
            self._drop(Incarnation(0))
            self._send(source, items.Resigned(self.room, item.epoch, item.n))

    def _drop(self, owner: Incarnation) -> None:
        self.closed = True
        returned = items.VoteReturned(self.room, self.config.epoch)
        for voter in sorted(
            {*self._ballot.voters, *(self.config.witnesses if self.appointed else ())}
        ):
            self._send(voter, returned)
        self._out.append(Drop(self.room, owner))

    def _send(self, to: Incarnation, item: SurvivalItem) -> None:
        self._out.append(Send(self.room, to, item))

    def _seek_votes(self) -> None:
        config = self.config
        is_asked = self._handed_over or (self._wanted and self._links.is_gone(config.primary))
        if not (self.appointed and (is_asked or self.voting)):
            return
        rivals = [node for node in (config.primary, *config.standbys) if node != self._me]
        missing = self._ballot.missing(config, self._links, self.view)
        asked = items.VoteAsked(self.room, config.epoch, tuple(rivals), self._ballot.number)
        for voter in self._ballot.to_ask(missing or ()):
            self._send(voter, asked)
        if missing is None:
            self._promote(rivals)
        elif (owner := self._ballot.lost_to(missing)) is not None:
            self._drop(owner)

    def _say_standing(self) -> None:
        """The image waits for a vote, or does so no more."""
        waits = self._wanted or self.voting
        if waits != self._waits and not self.closed:
            self._waits = waits
            protection = Protection.WAITING if waits else Protection.PROTECTED
            self._out.append(Standing(self.room, protection, WAITS if waits else ""))

    def _promote(self, rivals: list[Incarnation]) -> None:
        self.closed = True
        epoch = self.config.epoch + 1
        for rival in rivals:
            self._send(rival, items.Fenced(self.room, epoch, self._me))
        alive = (*rivals, *self.config.former)
        former = tuple(sorted({node for node in alive if not self._links.is_dead(node)}))
        agreed = self._ballot.agreed(self.config)
        self._out.append(Promote(self.room, Config(epoch, self._me, former=former, agreed=agreed)))

    def _done(self) -> list[Action]:
        if not self.closed:
            self._seek_votes()
        self._say_standing()
        out, self._out = self._out, []
        return out
