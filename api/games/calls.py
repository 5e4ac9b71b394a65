"""Calls to game nodes, as joins, resumes and reattachments make them, and who waits for an answer.

A node that nobody waits for any more is told so with ``Cancel``. A call that reaches it late,
because it or the link stood still, must not take a seat that the player has by then through
another api node.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field
from math import inf
from typing import Generic, Protocol, Self, TypeVar

import trio

from lastcall.api.games.moved_rooms import MovedRooms
from lastcall.api.sessions.session import Session
from lastcall.core.edge.calls import Call, Calls
from lastcall.core.edge.moved_rooms import Trail
from lastcall.core.edge.place_search import RETRY_SECONDS
from lastcall.ids import Incarnation, RoomId
from lastcall.links.link import GameLink
from lastcall.runtime.ticks import next_tick
from lastcall.wire import nodes

SWEEP_SECONDS = 0.1
ANSWER_SECONDS = 10.0
"""A game node whose link lives answers at once. One that has not answered by then never will."""

Item = Callable[[int], nodes.Up]
"""Makes the item that asks the call of that number."""
Request = TypeVar("Request", bound=Hashable)
Tag = TypeVar("Tag", bound=Hashable)


class GameCalls(Calls[Request, GameLink, Tag]):
    """:class:`lastcall.core.edge.calls.Calls` with links that carry them."""

    def send(self, request: Request, link: GameLink, item: Item, tag: Tag | None = None) -> int:
        """Sends ``item(number)`` for ``request``, and returns the number."""
        number = self.ask(request, link, trio.current_time(), tag)
        link.send(item(number))
        return number


def give_up(calls: list[Call[Request, GameLink, Tag]]) -> list[Call[Request, GameLink, Tag]]:
    """Tells the nodes that nobody waits for these calls any more; returns the calls."""
    for call in calls:
        call.link.send(nodes.Cancel(call.number))
    return calls


class Sweeper(Protocol):
    """Has work that is due by the clock."""

    async def sweep(self, now: float) -> None:
        """Does what is due."""


async def sweep_often(*sweepers: Sweeper) -> None:
    """Sweeps each again and again, until cancelled: one task for all, as most have no work.

    The time is taken for each: the sweep before may have been long.
    """
    while True:
        await next_tick(SWEEP_SECONDS)
        for sweeper in sweepers:
            await sweeper.sweep(trio.current_time())


@dataclass(eq=False)
class Pending(ABC):
    """A join or resume; ``session`` is None once it is answered, or the client is gone."""

    session: Session | None
    pending: dict[Session, Self]
    """All joins, or all resumes, that are not over."""
    expires_at: float
    left: bool = field(default=False, init=False)
    """The client has given up the place before it got it, and is gone."""
    refused_by: set[Incarnation] = field(default_factory=set, init=False)
    trail: Trail = field(default_factory=Trail, init=False)
    retried: set[Incarnation] = field(default_factory=set, init=False)
    """The nodes that may have the place soon: they have refused, and are asked again."""
    retry_at: float = field(default=inf, init=False)
    queue: OrderedDict[Self, None] | None = field(default=None, init=False)
    """An OrderedDict: a plain dict finds its first entry slowly after many have left."""

    @property
    @abstractmethod
    def room(self) -> RoomId | str:
        """The room that it names; empty if it names none."""

    def move(self, queue: OrderedDict[Self, None] | None) -> None:
        """Leaves its queue and goes to the end of ``queue``."""
        if self.queue is not None:
            del self.queue[self]
        self.queue = queue
        if queue is not None:
            queue[self] = None

    @property
    def expected(self) -> bool:
        """Whether a node has said that it has the place, or may have it soon, or who has it."""
        return self.trail.to is not None or bool(self.retried)

    def retry(self, node: Incarnation, now: float) -> None:
        """``node`` may have the place soon."""
        self.refused_by.add(node)
        self.retried.add(node)
        self.retry_at = min(self.retry_at, now + RETRY_SECONDS)

    def ask_again(self) -> None:
        """The nodes that may have the place by now have not refused it yet."""
        self.retry_at = inf
        self.refused_by -= self.retried
        self.retried.clear()

    def refused(self, node: Incarnation) -> None:
        """``node`` does not have the place."""
        self.refused_by.add(node)
        self.trail.refused(node)

    def follow(self, node: Incarnation, refusal: nodes.Refused, now: float) -> bool:
        """Whether ``node`` has said who has the room, or that it may have the place soon.

        The one that has the room is asked next, even if it has refused before.
        """
        if refusal.code == nodes.MOVED:
            self.refused_by.add(node)
            self.refused_by.discard(refusal.to)
            if refusal.retry:  # it keeps the room's image: nothing has moved
                self.retry(node, now)
                self.trail.to = refusal.to
            else:
                self.trail.follow(refusal.to)
        elif refusal.retry:
            self.retry(node, now)
        else:
            return False
        return True

    def end(self) -> Session | None:
        """It is over; returns its session, if that is still there."""
        self.move(None)
        session, self.session = self.session, None
        if session is not None:
            del self.pending[session]
        return session


P = TypeVar("P", bound=Pending)


class PendingCalls(ABC, Generic[P, Tag]):
    """All joins, or all resumes, that are not answered yet; bounded by the sockets."""

    def __init__(self, numbers: Iterator[int], moved_rooms: MovedRooms) -> None:
        self._moved_rooms = moved_rooms
        self._calls: GameCalls[P, Tag] = GameCalls(numbers, ANSWER_SECONDS)
        self._pending: dict[Session, P] = {}
        self._waiting: OrderedDict[P, None] = OrderedDict()
        """Those that no node can be asked for now."""

    def __len__(self) -> int:
        """How many joins or resumes, and calls, are not answered."""
        return len(self._pending) + len(self._calls) + len(self._waiting)

    def forget(self, session: Session) -> None:
        """The session is gone. A call for it still counts until the node has answered."""
        if (pending := self._pending.get(session)) is not None:
            pending.left = session.leaving
            pending.end()
            give_up(self._calls.cancel(pending))

    def refused(self, link: GameLink, refusal: nodes.Refused) -> bool:
        """Asks another node where that can help, else tells the client. False: not a call here."""
        call = self._calls.answered(link, refusal.call)
        if call is not None:
            self._refused(call, refusal)
        return call is not None

    def moved(self, item: nodes.Moved) -> None:
        """The room runs at another node now: that one is asked for it, even if it has refused, and
        although another one has not answered.
        """
        for pending in [one for one in self._pending.values() if one.room == item.room]:
            pending.refused_by.discard(item.to)
            calls = self._calls.cancel(pending)
            if all(call.link.node.incarnation != item.to for call in calls):
                pending.trail.to = item.to
                give_up(calls)
                self._calls.abandon_request(pending)
                self._advance(pending)

    @abstractmethod
    def _advance(self, pending: P) -> None:
        """Takes the next step of a join or a resume that is not asked for."""

    @abstractmethod
    def _refused(self, call: Call[P, GameLink, Tag], refusal: nodes.Refused) -> None:
        """A call, abandoned or not, is refused."""
