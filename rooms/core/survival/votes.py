"""A witness's memory: one vote for each room and epoch, never given twice.

The first node that asks has it, and gets the same answer again. A vote for a later epoch replaces
that of an earlier one, and from then on all earlier epochs are denied. A room's entry goes when
nobody is left who could ask in vain: each rival is dead or has returned its right to ask. So it
outlives the room as long as a stopped node may wake up with an old image of it.
"""

from __future__ import annotations

import msgspec

from lastcall.core.survival.links import Links
from lastcall.ids import Incarnation, RoomId
from lastcall.wire.survival_items import Answer, Config, Vote, VoteAsked, VoteReturned

LIMIT = 65_536
NOBODY = Incarnation(0)


class Voted(msgspec.Struct):
    """The last vote for a room: ``owner`` has the vote of ``epoch``; ``rivals`` may still ask.

    Once the owner has returned it, nobody has that of the epoch before, and the vote is free.
    """

    epoch: int
    owner: Incarnation
    rivals: set[Incarnation]


class Votes:
    """The votes that a node has given, for ``limit`` rooms.

    When it is full, it gives no vote for a room that it does not know, and forgets none. ``links``
    says who is dead. A game node has none: it is asked in place of a dead witness, and remembers
    such a vote for as long as it runs, because it does not know who else could ask.
    """

    def __init__(self, links: Links | None = None, limit: int = LIMIT) -> None:
        self._links = links
        self._limit = limit
        self._voted: dict[RoomId, Voted] = {}

    def __len__(self) -> int:
        return len(self._voted)

    def last(self, room: RoomId) -> Voted | None:
        """The last vote that was given for ``room``, if it is still remembered."""
        return self._voted.get(room)

    def forbid(self, room: RoomId, config: Config) -> bool:
        """Whether an image with ``config`` may be of a line that this vote has to end.

        It is of the line that the vote was given to, if that has needed the vote.
        """
        voted = self._voted.get(room)
        if voted is None or voted.owner == config.primary:
            return False
        return config.agreed < voted.epoch <= config.epoch

    def ask(self, asker: Incarnation, asked: VoteAsked) -> Vote:
        """The answer to ``asker``."""
        voted = self._voted.get(asked.room)
        if voted is None and len(self._voted) >= self._limit:
            return answer(asked, Answer.LATER)
        if voted is None or voted.epoch < asked.epoch:
            earlier = voted.rivals | {voted.owner} - {NOBODY} if voted else set()
            rivals = self._alive((earlier | {*asked.rivals}) - {asker})
            voted = self._voted[asked.room] = Voted(asked.epoch, asker, rivals)
            if self._links is not None and not rivals:
                del self._voted[asked.room]
        elif voted.epoch == asked.epoch:  # this config may name others than the owner's did
            voted.rivals |= self._alive({*asked.rivals} - {voted.owner})
        granted = voted.epoch == asked.epoch and voted.owner == asker
        return answer(asked, Answer.GRANTED if granted else Answer.DENIED, voted.owner)

    def returned(self, node: Incarnation, item: VoteReturned) -> None:
        """``node`` asks no more for votes of this epoch or before."""
        voted = self._voted.get(item.room)
        if voted is None or voted.epoch > item.epoch:
            return
        if (voted.owner, voted.epoch) == (node, item.epoch):  # it has not used the vote
            voted.epoch, voted.owner = voted.epoch - 1, NOBODY
            if self._links is None:
                del self._voted[item.room]
        self._without(item.room, voted, node)

    def close(self, room: RoomId, config: Config) -> None:
        """The room has ended: the former holders of its images get no vote any more."""
        if config.former and len(self._voted) < self._limit:
            self._voted[room] = Voted(config.epoch, config.primary, {*config.former})

    def dead(self, node: Incarnation) -> None:
        """``node`` is certain to be dead, and so asks no more."""
        for room, voted in list(self._voted.items()):
            self._without(room, voted, node)

    def _alive(self, nodes: set[Incarnation]) -> set[Incarnation]:
        links = self._links
        return set() if links is None else {node for node in nodes if not links.is_dead(node)}

    def _without(self, room: RoomId, voted: Voted, node: Incarnation) -> None:
        if node in voted.rivals:
            voted.rivals.discard(node)
            if not voted.rivals:
                del self._voted[room]


def answer(asked: VoteAsked, given: Answer, owner: Incarnation = NOBODY) -> Vote:
    """The answer to ``asked``."""
    return Vote(asked.room, asked.epoch, given, owner, asked.ballot)
