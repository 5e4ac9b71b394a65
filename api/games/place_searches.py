"""Places whose game process is gone, while their rooms may go on at another one.

:mod:`lastcall.core.edge.place_search` decides which process is asked next, and when the room is
lost. A place in the queue of a process that falls silent, or whose link is over, goes to the next.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import trio

from lastcall.api.games.place_queues import PlaceQueues
from lastcall.api.games.suspended_places import Suspended, SuspendedPlaces, sessions_of
from lastcall.api.sessions.place import PlaceStatus
from lastcall.api.sessions.session import Session
from lastcall.core.edge.place_search import PlaceSearch
from lastcall.ids import Incarnation
from lastcall.links.link import GameLink
from lastcall.policy import LinkPolicy
from lastcall.runtime.batches import each


class PlaceSearches:
    """Asks one process after the other. ``move`` moves clients to other api nodes."""

    def __init__(
        self,
        places: SuspendedPlaces,
        queues: PlaceQueues,
        *,
        policy: LinkPolicy,
        move: Callable[[Sequence[Session]], None],
    ) -> None:
        self._places = places
        self._queues = queues
        self._policy = policy
        self._move = move

    def begin(self, one: Suspended) -> PlaceSearch:
        """Looks for ``one`` at all processes, from the next :meth:`go_on`."""
        if one.search is None:
            one.waits_for = None
            one.search = PlaceSearch(
                trio.current_time(),
                move_seconds=self._policy.silence_seconds,
                lost_seconds=self._policy.lost_seconds,
            )
        return one.search

    async def go_on(self, now: float) -> None:
        """Moves the clients that have waited for long enough, and takes each search a step on."""
        searching = self._places.searched
        answering = self._queues.answering
        for one in searching:
            if one.search is not None:
                one.search.look(now, answering)
        late = [one for one in searching if one.search and one.search.moves_client(now)]
        if late:
            self._move(sessions_of(late))
        await each(searching, self._step)

    def refused(self, one: Suspended, node: Incarnation, *, retry: bool) -> None:
        """The process ``node`` does not have the place; with ``retry``, it may have it soon."""
        self.begin(one).refused(node, trio.current_time(), retry=retry)
        self._step(one)

    def follow(
        self, one: Suspended, node: Incarnation, to: Incarnation, *, retry: bool = False
    ) -> None:
        """``node`` has said that the room is at ``to``, which may be the one that is gone; with
        ``retry``, ``node`` may have it soon.
        """
        search, now = self.begin(one), trio.current_time()
        search.refused(node, now, retry=retry)
        first = [to] if to in self._queues.answering else []
        self._ask(one, search.ask(first, now))
        self._step(one)

    def without(self, link: GameLink, suspended: list[Suspended]) -> list[Suspended]:
        """No answer comes from ``link``: those of ``suspended`` that are not searched for."""
        for one in suspended:
            if one.search is not None:
                one.search.gone(link.node.incarnation)
                one.waits_for = None
        return [one for one in suspended if one.search is None]

    def _step(self, one: Suspended) -> None:
        search, answering, now = one.search, self._queues.answering, trio.current_time()
        if search is None:
            return  # it was found meanwhile
        if one.place.status is PlaceStatus.OVER:
            self._places.forget(one)
        elif search.over(now):
            self._places.end(one)
        else:
            if one.waits_for is not None and one.waits_for not in answering:
                search.gone(one.waits_for)
                one.waits_for = None
            self._ask(one, search.ask(answering, now))

    def _ask(self, one: Suspended, node: Incarnation | None) -> None:
        if node is not None:
            self._queues.put(one, node)
            self._queues.ask_next(node)
