"""All rooms that a node gives away: which are under way, and which node is asked for each.

* A bounded number of rooms is under way, and a bounded number of bytes: small rooms go first, so
  that a large one delays nobody. A room is not frozen while no node could take it.
* Everything that has no answer is asked again on the next link to the same node.
* A node that may still hold the image of a room that was taken back *owes* its word that it has
  forgotten it. Until then it is not asked for that room: a late answer cannot be mistaken for one
  to a newer question.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Collection, Iterable, Iterator

from msgspec.structs import replace

from lastcall.core.edge.placement import Candidate, choose
from lastcall.core.handoff.actions import Commit, Freeze, Giving, Lost, Moved, Refused, Send, Thaw
from lastcall.core.handoff.offer import OWED, Event, Movable, Offer, State
from lastcall.core.handoff.parts import split
from lastcall.ids import Incarnation, KindName, RoomId
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
Nodes = Collection[Candidate]


class Offers:
    """The offers of one node. Times are in seconds of any clock; ``nodes`` are the other ones.

    Each method returns what to do, in order.
    """

    def __init__(self, policy: HandOffPolicy) -> None:
        self._policy = policy
        self._waiting: deque[Movable] = deque()
        self._offers: dict[RoomId, Offer] = {}
        self._owed: dict[Incarnation, set[tuple[RoomId, int]]] = {}
        self._promised: Counter[tuple[Incarnation, KindName]] = Counter()
        """The rooms that each node is asked for, which its state does not show yet."""
        self._refused_by: dict[RoomId, set[Incarnation]] = {}
        """The nodes that are not asked again for a room until :meth:`add` names it anew."""
        self._stopped = False

    def __len__(self) -> int:
        """How many rooms wait or are under way."""
        return len(self._waiting) + len(self._offers)

    def committed(self) -> int:
        """How many rooms are a taker's that has not said that it runs them."""
        return sum(offer.state is State.COMMITTED for offer in self._offers.values())

    def add(self, rooms: Iterable[Movable], *, anew: bool = False) -> None:
        """Puts ``rooms`` in the queue. With ``anew``, nodes that have refused are asked again.

        A room that waits or is under way already is not added twice, and none after :meth:`stop`.
        """
        if self._stopped:
            return
        if anew:
            self._refused_by.clear()
        known = {room.room for room in self._waiting} | self._offers.keys()
        fresh = [room for room in rooms if room.room not in known]
        self._waiting = deque(sorted([*self._waiting, *fresh], key=lambda room: room.size))

    def begin(self, nodes: Nodes) -> list[Giving]:
        """Begins with as many rooms as may be under way."""
        actions: list[Giving] = []
        while self._waiting and self._may_begin(self._waiting[0].size):
            room = self._waiting.popleft()
            offer = Offer(room.room, room.kind, room.size)
            if self._taker(offer, nodes) is None:
                actions += self._untaken(offer, Event.NO_TAKER)
            else:
                self._offers[room.room] = offer
                actions.append(Freeze(room.room))
        return actions

    def _may_begin(self, size: int) -> bool:
        held = [o.size for o in self._offers.values() if o.state is not State.COMMITTED]
        if self._stopped or len(held) >= self._policy.rooms_at_once:
            return False
        return not held or sum(held) + size <= self._policy.bytes_at_once

    def frozen(
        self, room: RoomId, image: bytes | None, epoch: int, now: float, nodes: Nodes
    ) -> list[Giving]:
        """The room is frozen, and ``image`` is what a taker would run with ``epoch``.

        Without an image it could not be frozen: it runs on, or has ended.
        """
        offer = self._offers[room]
        if image is None:
            return self._finish(offer, Event.NOT_FROZEN)
        offer.image, offer.epoch, offer.size = image, epoch, len(image)
        offer.on(Event.FROZEN)
        return self._seek(offer, now, nodes)

    def answered(
        self, taker: Incarnation, item: PeerDown, now: float, nodes: Nodes
    ) -> list[Giving]:
        """A node has answered; an answer that nobody waits for changes nothing."""
        offer = self._offers.get(item.room)
        if (item.room, item.epoch) in self._owed.get(taker, ()):
            if isinstance(item, Withdrawn):  # a refusal may answer an earlier question
                self._settle(taker, item.room, item.epoch)
            return []
        event = ANSWERS[type(item)]
        asked = offer and (offer.taker, offer.epoch) == (taker, item.epoch)
        if offer is None or not asked or not offer.knows(event):
            return []
        refusal: list[Giving] = []
        if isinstance(item, AdoptionRefused):
            self._refused_by.setdefault(offer.room, set()).add(taker)
            refusal = [Refused(offer.room, offer.kind, taker, item.reason)]
        return refusal + self._on(offer, event, now, nodes)

    def link_up(self, node: Incarnation) -> list[Giving]:
        """A link to ``node`` stands anew: what it has not answered is asked again."""
        actions: list[Giving] = [
            Send(node, Withdraw(room, epoch)) for room, epoch in sorted(self._owed.get(node, ()))
        ]
        for offer in self._offers.values():
            if offer.taker == node:
                actions += _question(offer)
        return actions

    def gone(self, node: Incarnation, now: float, nodes: Nodes) -> list[Giving]:
        """The process ``node`` has ended: whatever it held is gone with it."""
        self._owed.pop(node, None)
        actions: list[Giving] = []
        for offer in [offer for offer in self._offers.values() if offer.taker == node]:
            if offer.knows(Event.GONE):
                actions += self._on(offer, Event.GONE, now, nodes)
        return actions

    def due(self, now: float, nodes: Nodes) -> list[Giving]:
        """Gives up waiting for answers that are late."""
        actions: list[Giving] = []
        for offer in [offer for offer in self._offers.values() if offer.expires_at <= now]:
            actions += self._on(offer, Event.LATE, now, nodes)
        return actions

    def stop(self, now: float) -> list[Giving]:
        """No room is given away from now on, but for those that are a taker's already."""
        self._stopped = True
        self._waiting.clear()
        actions: list[Giving] = []
        for offer in [offer for offer in self._offers.values() if offer.knows(Event.STOP)]:
            actions += self._on(offer, Event.STOP, now, ())
        return actions

    # The steps.

    def _on(self, offer: Offer, event: Event, now: float, nodes: Nodes) -> list[Giving]:
        before, taker = offer.state, offer.taker
        state = offer.on(event)
        self._unpromise(offer)
        actions: list[Giving] = []
        if before is State.ASKED and event in OWED and taker is not None:
            self._owed.setdefault(taker, set()).add((offer.room, offer.epoch))
            actions.append(Send(taker, Withdraw(offer.room, offer.epoch)))
        if state is State.SEEKING:
            return actions + self._seek(offer, now, nodes)
        if state is State.COMMITTED and taker is not None:
            offer.image, offer.expires_at = b"", now + self._policy.release_seconds
            return [Commit(offer.room, offer.epoch, taker), *_question(offer)]
        return actions + self._end(offer, event)

    def _seek(self, offer: Offer, now: float, nodes: Nodes) -> list[Giving]:
        """Asks the next node; without one, the room thaws."""
        taker = self._taker(offer, nodes)
        if taker is None:
            return self._finish(offer, Event.NO_TAKER)
        offer.on(Event.TAKER)
        offer.taker, offer.expires_at = taker, now + self._policy.answer_seconds
        offer.tried.add(taker)
        self._promised[taker, offer.kind] += 1
        return list(_question(offer))

    def _taker(self, offer: Offer, nodes: Nodes) -> Incarnation | None:
        if self._stopped or len(offer.tried) >= self._policy.takers_max:
            return None
        without = offer.tried | self._refused_by.get(offer.room, set())
        without |= {node for node, owed in self._owed.items() if _owes(owed, offer.room)}
        taker = choose(map(self._expected, nodes), offer.kind, new=True, without=without)
        return None if taker is None else taker.incarnation

    def _expected(self, node: Candidate) -> Candidate:
        """``node`` with the rooms that it is asked for, so that not all go to the emptiest."""
        asked = {
            (kind, True): count
            for (incarnation, kind), count in self._promised.items()
            if incarnation == node.incarnation
        }
        return replace(node, asked=asked) if asked else node

    def _unpromise(self, offer: Offer) -> None:
        if offer.taker is not None and offer.state is not State.COMMITTED:
            self._promised[offer.taker, offer.kind] -= 1
            self._promised += Counter()  # drops what is at zero

    def _finish(self, offer: Offer, event: Event) -> list[Giving]:
        offer.on(event)
        return self._end(offer, event)

    def _end(self, offer: Offer, event: Event) -> list[Giving]:
        del self._offers[offer.room]
        taker = offer.taker
        if offer.state is State.THAWED:
            return [Thaw(offer.room), *self._untaken(offer, event)]
        if offer.state is State.MOVED and taker is not None:
            return [Moved(offer.room, taker)]
        if offer.state is State.LOST and taker is not None:
            return [Lost(offer.room, offer.kind, taker, REASONS[event])]
        return []

    def _untaken(self, offer: Offer, event: Event) -> list[Giving]:
        """Why nobody has the room, unless a node has said why."""
        if event is Event.STOP or self._stopped:
            return [Refused(offer.room, offer.kind, None, TOO_LATE)]
        if offer.room in self._refused_by:
            return []
        return [Refused(offer.room, offer.kind, None, NOBODY)]

    def _settle(self, taker: Incarnation, room: RoomId, epoch: int) -> None:
        self._owed[taker].discard((room, epoch))
        if not self._owed[taker]:
            del self._owed[taker]


REASONS = {
    Event.GONE: "the node that took it has died",
    Event.FORGOTTEN: "the node that took it had forgotten it",
    Event.LATE: "the node that took it has not confirmed it",
}
"""Why a room is lost."""


def _owes(owed: Iterable[tuple[RoomId, int]], room: RoomId) -> bool:
    return any(one == room for one, _ in owed)


def _question(offer: Offer) -> Iterator[Giving]:
    """The questions that the taker has not answered."""
    if offer.taker is None:
        return
    if offer.state is State.ASKED:
        for part in split(offer.room, offer.epoch, offer.image):
            yield Send(offer.taker, part)
    elif offer.state is State.COMMITTED:
        yield Send(offer.taker, Release(offer.room, offer.epoch))
