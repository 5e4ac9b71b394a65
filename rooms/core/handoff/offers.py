"""All rooms that a node gives away: which are under way, and which node is asked for each.

* :mod:`lastcall.core.handoff.room_queue` says which room begins next. It is not frozen while no
  node could take it.
* Everything that has no answer is asked again on the next link to the same node.
* :mod:`lastcall.core.handoff.takers` says which node is asked next, and which ones have to forget
  an image first.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from math import inf

from lastcall.core.handoff.actions import Commit, Freeze, Giving, Lost, Moved, Refused, Send, Thaw
from lastcall.core.handoff.offer import OWED, Event, Movable, Nodes, Offer, State
from lastcall.core.handoff.pace import Pace
from lastcall.core.handoff.parts import split
from lastcall.core.handoff.room_queue import RoomQueue
from lastcall.core.handoff.takers import Takers
from lastcall.ids import Incarnation, RoomId
from lastcall.policy import HandOffPolicy
from lastcall.wire.peer_items import (
    Adopted,
    AdoptionRefused,
    PeerDown,
    Release,
    Released,
    Withdraw,
    Withdrawn,
)

ANSWERS = {
    Adopted: Event.ADOPTED,
    AdoptionRefused: Event.REFUSED,
    Released: Event.RELEASED,
    Withdrawn: Event.FORGOTTEN,
}
NOBODY = "no other game node can take it"
TOO_LATE = "it was not taken in time"


class Offers:
    """The offers of one node. Times are in seconds of any clock; ``nodes`` are the other ones.

    Each method returns what to do, in order.
    """

    def __init__(self, policy: HandOffPolicy) -> None:
        self._policy = policy
        self._offers: dict[RoomId, Offer] = {}
        self._takers = Takers(policy.takers_max)
        self._pace = Pace(policy)
        self._queue = RoomQueue(policy, self._pace)
        self._stopped = False

    def __len__(self) -> int:
        """How many rooms wait or are under way."""
        return len(self._queue) + len(self._offers)

    def committed(self) -> int:
        """How many rooms are a taker's that has not said that it runs them."""
        return sum(offer.state is State.COMMITTED for offer in self._offers.values())

    def add(self, rooms: Iterable[Movable], *, until: float = inf, anew: bool = False) -> None:
        """Puts ``rooms`` in the queue; all should have left at ``until``. With ``anew``, nodes that
        have refused are asked again.

        A room that waits or is under way already is not added twice, and none after :meth:`stop`.
        """
        if self._stopped:
            return
        self._pace.hurry(until)
        if anew:
            self._takers.forgive()
        self._queue.add(room for room in rooms if room.room not in self._offers)

    def begin(self, now: float, nodes: Nodes) -> list[Giving]:
        """Begins with as many rooms as may be under way."""
        actions: list[Giving] = []
        while (room := self._queue.take(self._offers.values(), now)) is not None:
            offer = Offer(room.room, room.kind, room.size)
            if self._takers.choose(offer, nodes) is None:
                actions += self._untaken(offer, Event.NO_TAKER)
            else:
                self._offers[room.room] = offer
                self._pace.begin(room.room, now)
                actions.append(Freeze(room.room))
        return actions

    def frozen(
        self, room: RoomId, image: bytes | None, epoch: int, now: float, nodes: Nodes
    ) -> list[Giving]:
        """The room is frozen, and ``image`` is what a taker would run with ``epoch``.

        Without an image it could not be frozen: it runs on, or has ended.
        """
        offer = self._offers[room]
        if image is None:
            return self._on(offer, Event.NOT_FROZEN, now, nodes)
        offer.image, offer.epoch, offer.size = image, epoch, len(image)
        self._pace.silent(room, now)
        return self._on(offer, Event.FROZEN, now, nodes)

    def answered(
        self, taker: Incarnation, item: PeerDown, now: float, nodes: Nodes
    ) -> list[Giving]:
        """A node has answered; an answer that nobody waits for changes nothing."""
        offer = self._offers.get(item.room)
        move = item.room, item.epoch
        if move in self._takers.owed(taker):
            if isinstance(item, Withdrawn):  # a refusal may answer an earlier question
                self._takers.settled(taker, move)
            return []
        event = ANSWERS[type(item)]
        asked = offer and (offer.taker, offer.epoch) == (taker, item.epoch)
        if offer is None or not asked or not offer.knows(event):
            return []
        refusal: list[Giving] = []
        if isinstance(item, AdoptionRefused):
            self._takers.refused(taker, offer.room)
            refusal = [Refused(offer.room, offer.kind, taker, item.reason)]
        return refusal + self._on(offer, event, now, nodes)

    def told(self, room: RoomId, now: float) -> None:
        """The api nodes of the room's players have read that it has moved."""
        self._pace.told(room, now)

    def link_up(self, node: Incarnation) -> list[Giving]:
        """A link to ``node`` stands anew: what it has not answered is asked again."""
        actions: list[Giving] = [Send(node, Withdraw(*move)) for move in self._takers.owed(node)]
        for offer in self._offers.values():
            if offer.taker == node:
                actions += _question(offer)
        return actions

    def gone(self, node: Incarnation, now: float, nodes: Nodes) -> list[Giving]:
        """The process ``node`` has ended: whatever it held is gone with it."""
        self._takers.gone(node)
        actions: list[Giving] = []
        for offer in [offer for offer in self._offers.values() if offer.taker == node]:
            if offer.knows(Event.GONE):
                actions += self._on(offer, Event.GONE, now, nodes)
        return actions

    def due(self, now: float, nodes: Nodes) -> list[Giving]:
        """Gives up waiting for answers that are late."""
        self._pace.due(now)
        actions: list[Giving] = []
        for offer in [offer for offer in self._offers.values() if offer.expires_at <= now]:
            if offer.knows(Event.LATE):
                actions += self._on(offer, Event.LATE, now, nodes)
        return actions

    def stop(self, now: float) -> list[Giving]:
        """No room is given away from now on, but for those that are a taker's already."""
        self._stopped = True
        self._queue.clear()
        actions: list[Giving] = []
        for offer in [offer for offer in self._offers.values() if offer.knows(Event.STOP)]:
            actions += self._on(offer, Event.STOP, now, ())
        return actions

    # The steps.

    def _on(self, offer: Offer, event: Event, now: float, nodes: Nodes) -> list[Giving]:
        before, taker = offer.state, offer.taker
        state = offer.on(event)
        actions: list[Giving] = []
        if taker is not None and state is not State.COMMITTED:
            offer.taker = None
            self._takers.over(taker, offer.kind)
            if before is State.ASKED and event in OWED:
                self._takers.owe(taker, (offer.room, offer.epoch))
                actions.append(Send(taker, Withdraw(offer.room, offer.epoch)))
        match state:
            case State.SEEKING:
                return actions + self._seek(offer, now, nodes)
            case State.COMMITTED if taker is not None:
                offer.image, offer.expires_at = b"", now + self._policy.release_seconds
                return [Commit(offer.room, offer.epoch, taker), *_question(offer)]
        del self._offers[offer.room]
        if state is State.MOVED:
            self._pace.released(offer.room, now)
        else:
            self._pace.stays(offer.room)
        if state is State.THAWED:
            return [*actions, Thaw(offer.room), *self._untaken(offer, event)]
        return actions if taker is None else [*actions, *_end(offer, event, taker)]

    def _seek(self, offer: Offer, now: float, nodes: Nodes) -> list[Giving]:
        """Asks the next node; without one, the room thaws."""
        taker = None if self._stopped else self._takers.choose(offer, nodes)
        if taker is None:
            return self._on(offer, Event.NO_TAKER, now, nodes)
        self._takers.asked(taker, offer.kind)
        offer.tried.add(taker)
        offer.on(Event.TAKER)
        offer.taker, offer.expires_at = taker, now + self._policy.answer_seconds
        return list(_question(offer))

    def _untaken(self, offer: Offer, event: Event) -> list[Giving]:
        """Why nobody has the room, unless a node has said why."""
        if event is Event.STOP or self._stopped:
            return [Refused(offer.room, offer.kind, None, TOO_LATE)]
        if self._takers.has_refused(offer.room):
            return []
        return [Refused(offer.room, offer.kind, None, NOBODY)]


REASONS = {
    Event.GONE: "the node that took it has died",
    Event.FORGOTTEN: "the node that took it had forgotten it",
    Event.LATE: "the node that took it has not confirmed it",
}
"""Why a room is lost."""


def _end(offer: Offer, event: Event, taker: Incarnation) -> Iterator[Giving]:
    """How the room of a taker has left."""
    if offer.state is State.MOVED:
        yield Moved(offer.room, taker)
    elif offer.state is State.LOST:
        yield Lost(offer.room, offer.kind, taker, REASONS[event])


def _question(offer: Offer) -> Iterator[Giving]:
    """The questions that the taker has not answered."""
    if offer.taker is None:
        return
    if offer.state is State.ASKED:
        for part in split(offer.room, offer.epoch, offer.image):
            yield Send(offer.taker, part)
    elif offer.state is State.COMMITTED:
        yield Send(offer.taker, Release(offer.room, offer.epoch))
