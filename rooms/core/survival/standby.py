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

from lastcall.core.survival.actions import Action, Drop, Elsewhere
from lastcall.core.survival.claim import Claim
from lastcall.core.survival.follower import Follower
from lastcall.core.survival.links import Links, View
from lastcall.core.survival.votes import NOBODY
from lastcall.ids import Incarnation, RoomId
from lastcall.wire import survival_items as items
from lastcall.wire.survival_items import Config, SurvivalItem


class Standby:
    """One room's image on a node that does not run it; each method returns what to do, in order."""

    follower_type: type[Follower] = Follower
    claim_type: type[Claim] = Claim

    def __init__(self, image: items.StandbyImage, me: Incarnation, links: Links) -> None:
        self.room: RoomId = image.room
        self.over = False
        """Whether the image was dropped because the room has ended."""
        self.image = self.follower_type(image, me)
        self.claim = self.claim_type(self.image, links)
        self._links = links
        self._leaves = -1
        """The epoch in which the primary was asked, on the present link, to let this node end."""

    @property
    def config(self) -> Config:
        """The newest config of the image."""
        return self.image.config

    @property
    def last(self) -> int:
        """The number of the last step that the image holds."""
        return self.image.last

    @property
    def voting(self) -> bool:
        """Whether a vote was asked for that may still promote it."""
        return self.claim.voting

    def receive(self, source: Incarnation, item: SurvivalItem) -> list[Action]:
        """An item of the primary, or of a witness, for an image that is held."""
        image, epoch = self.image, self.config.epoch
        match item:
            case items.Vote() if item.epoch == epoch:
                self.claim.ballot.answered(source, item)
            case items.Fenced() if item.epoch > epoch:
                self._drop(item.owner)
                image.send(source, items.NotHeld(self.room, item.epoch, 0))
            case _ if image.is_old(source, item):
                image.send(source, items.Fenced(self.room, epoch, self.config.primary))
            case items.StandbyImage():
                image.take_image(source, item)
                self.claim.say_whom_it_reaches()
            case items.Step():
                image.take_step(source, item)
            case items.Resign():
                self._resign(source, item)
            case items.TakeOver() if source == self.config.primary and image.appointed:
                self.claim.handed_over = True
            case items.TakeOver() | items.RoomOver() if source == self.config.primary:
                self.over = isinstance(item, items.RoomOver)
                self._drop(NOBODY)
        if self.config.epoch > epoch:
            self.claim.restart()
        return self._done()

    def refuse(self, source: Incarnation, image: items.StandbyImage, reason: str) -> list[Action]:
        """The node cannot keep a newer ``image``: it drops the one that it has, if it may."""
        if self.voting:
            self.image.send(source, items.NotHeld(self.room, image.epoch, image.n))
        else:
            self._drop(NOBODY)
            self.image.send(source, items.Resigned(self.room, image.epoch, image.n, reason))
        return self._done()

    def is_in_the_way(self, source: Incarnation, asked: items.VoteAsked) -> bool:
        """Whether the primary, which needs this node's vote in place of a dead witness, would wait
        for ever: this node needs the primary's in the same way, and has all before that.
        """
        is_ours = (source, asked.epoch) == (self.config.primary, self.config.epoch)
        return self.voting and is_ours and self.claim.needs == [source]

    def resign(self, primary: Incarnation) -> list[Action]:
        """The node forgets the image, so that the ``primary`` goes on without it."""
        self._drop(NOBODY)
        self.image.send(primary, items.Resigned(self.room, self.config.epoch, self.last))
        return self._done()

    def leave(self) -> list[Action]:
        """This node ends. It keeps the image until the primary has told it to resign: that may be
        dead, although nobody knows it yet. If it is gone, the room goes on here.
        """
        primary, epoch = self.config.primary, self.config.epoch
        if not self.image.appointed:
            return self._done() if self.voting else self.resign(primary)
        if self._links.is_gone(primary):
            self.claim.wanted = not self.claim.is_answered
        elif not self.claim.waits and self._leaves != epoch:
            self._leaves = epoch
            self.image.send(primary, items.Leaving(self.room, epoch))
        return self._done()

    def wanted(self) -> list[Action]:
        """An api node asks for the room: it is at the primary, unless that has given it up, or may
        have by now. Then the api node asks again.
        """
        self.claim.wanted = not self.claim.is_answered
        if not self.claim.waits:
            self.image.out.append(Elsewhere(self.room, self.config.primary))
        return self._done()

    def gone(self, node: Incarnation) -> list[Action]:
        """``node`` is gone, as the links say."""
        keeps = self.image.appointed or (self.image.named and not self._links.is_dead(node))
        if node == self.config.primary and not keeps:
            self._drop(NOBODY)
        return self._done()

    def linked(self, node: Incarnation) -> list[Action]:
        """There is a new link to ``node``: everything under way on an earlier one is lost."""
        self.claim.ballot.again(node)
        self._leaves = -1
        if node == self.config.primary and not self.image.named:
            self._drop(NOBODY)
        elif node == self.config.primary:
            self.claim.wanted = False
            self.image.confirm(node)
            self.claim.say_whom_it_reaches()
        return self._done()

    def sees(self, view: View) -> list[Action]:
        """The nodes are others now, or some of them drain."""
        self.claim.sees(view)
        return self._done()

    def again(self) -> list[Action]:
        """Asks once more for the votes that are missing; called every few seconds."""
        self.claim.ballot.again()
        return self._done()

    def _resign(self, source: Incarnation, item: items.Resign) -> None:
        if self.voting and self.config.epoch == item.epoch:
            return  # the answer may promote it; the primary asks again
        if self.last <= item.n or self.config.epoch < item.epoch:
            self._drop(NOBODY)
            self.image.send(source, items.Resigned(self.room, item.epoch, item.n))

    def _drop(self, owner: Incarnation) -> None:
        self.image.closed = True
        self.claim.give_back()
        self.image.out.append(Drop(self.room, owner))

    def _done(self) -> list[Action]:
        if not self.image.closed:
            owner = self.claim.seek_votes()
            if owner is not None:
                self._drop(owner)
        if not self.image.closed:
            self.claim.say_standing()
        out, self.image.out = self.image.out, []
        return out
