"""A game node hears from others about surviving rooms: who takes what they say."""

from __future__ import annotations

from lastcall.core.survival.actions import Action, Send
from lastcall.core.survival.holders import Holders
from lastcall.core.survival.primary import Primary
from lastcall.core.survival.standby import Standby
from lastcall.core.survival.votes import Votes, answer
from lastcall.ids import Incarnation
from lastcall.wire import survival_items as items
from lastcall.wire.survival_items import Answer, SurvivalItem, Vote

OF_A_LINE = (items.Step, items.StandbyImage, items.Resign)
"""The items of a node that runs a room."""


class Arrivals:
    """Others speak to ``holders``, and ask for the ``votes`` of a node in place of a witness."""

    def __init__(self, holders: Holders, votes: Votes) -> None:
        self._holders = holders
        self._votes = votes

    def receive(self, source: Incarnation, item: SurvivalItem) -> list[Action]:
        """``item`` came from node ``source``."""
        if isinstance(item, items.VoteAsked):
            standby = self._holders.standby(item.room)
            if standby is not None and standby.is_in_the_way(source, item):
                return self._holders.carry(standby.resign(source))
            return self._holders.carry([Send(item.room, source, self._vote(source, item))])
        if isinstance(item, items.VoteReturned):
            self._votes.returned(source, item)
            return []
        dropped = self._make_way(source, item)
        return [*dropped, *self._holders.carry(self._received(source, item))]

    def refuse(self, source: Incarnation, image: items.StandbyImage, reason: str) -> list[Action]:
        """``image`` came from node ``source``, and this node cannot keep it."""
        dropped = self._make_way(source, image)
        holder = self._holders.get(image.room)
        if isinstance(holder, Primary):
            return self.receive(source, image)
        if holder is not None:
            return self._holders.carry(holder.refuse(source, image, reason))
        return [*dropped, self._not_kept(source, image, reason)]

    def _received(self, source: Incarnation, item: SurvivalItem) -> list[Action]:
        holder = self._holders.get(item.room)
        if holder is None and isinstance(item, items.StandbyImage):
            return self._new_image(source, item)
        if holder is None:
            return _answer_of_a_stranger(source, item)
        return holder.receive(source, item)

    def _make_way(self, source: Incarnation, item: SurvivalItem) -> list[Action]:
        """A room that runs here is dropped for the image, or a step, of a later epoch."""
        if not isinstance(item, OF_A_LINE):
            return []
        primary = self._holders.primary(item.room)
        if primary is None or item.epoch <= primary.config.epoch:
            return []
        return self._holders.carry(primary.outdated(source))

    def _new_image(self, source: Incarnation, image: items.StandbyImage) -> list[Action]:
        if self._holders.me in image.config.standbys:
            return [self._not_kept(source, image)]
        if self._votes.forbid(image.room, image.config):
            reason = "this node has voted for another primary of the room"
            return [self._not_kept(source, image, reason)]
        return self._holders.keep(source, image)

    def _not_kept(self, to: Incarnation, image: items.StandbyImage, reason: str = "") -> Send:
        """A node that is a standby already has held an image, and may have been promoted by it."""
        room, epoch, n = image.room, image.epoch, image.n
        if self._holders.me in image.config.standbys:
            return Send(room, to, items.NotHeld(room, epoch, n))
        return Send(room, to, items.Resigned(room, epoch, n, reason))

    def _vote(self, asker: Incarnation, asked: items.VoteAsked) -> Vote:
        """The answer of a game node, which is asked in place of a dead witness."""
        holder, me = self._holders.get(asked.room), self._holders.me
        if holder is not None and asker != me:
            config = holder.config
            if config.epoch > asked.epoch:
                return answer(asked, Answer.DENIED, config.primary)
            is_rival = config.epoch == asked.epoch and me in (config.primary, *config.standbys)
            concedes = isinstance(holder, Standby) and not holder.voting
            if is_rival and not (concedes and asker == config.primary):
                return answer(asked, Answer.LATER)
        return self._votes.ask(asker, asked)


def _answer_of_a_stranger(source: Incarnation, item: SurvivalItem) -> list[Action]:
    """The answer of a node that does not know the room.

    It may have been promoted, and have forgotten that: so it never says that it resigned. If it ran
    the room, and the room is over or was fenced, the standby has to find out: the votes tell.
    """
    answer: SurvivalItem
    match item:
        case items.Step() | items.Resign():
            answer = items.NotHeld(item.room, item.epoch, item.n)
        case items.StepsKept():
            answer = items.TakeOver(item.room, item.epoch)
        case _:
            return []
    return [Send(item.room, source, answer)]
