"""Where the rooms of suspended places are, as game processes tell, and what they answer.

If a place cannot get everything that its client missed, the client is closed with 1012, and why: it
resumes by itself, and is told so. A node that stays tells nobody that it leaves.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import structlog

from lastcall.api.games.calls import give_up
from lastcall.api.games.place_queues import PlaceQueues
from lastcall.api.games.place_searches import PlaceSearches
from lastcall.api.games.suspended_places import Suspended, SuspendedPlaces, sessions_of
from lastcall.api.sessions.place import Place, PlaceStatus, goodbye
from lastcall.api.sessions.session import Session
from lastcall.ids import Incarnation
from lastcall.links.link import GameLink
from lastcall.reasons import Close, ErrorCode
from lastcall.runtime.rated_log import RatedLog
from lastcall.wire import nodes

log = structlog.get_logger()


class Renewals:
    """Takes each place to where its room is. ``move`` moves clients to other api nodes."""

    def __init__(
        self,
        places: SuspendedPlaces,
        queues: PlaceQueues,
        searches: PlaceSearches,
        move: Callable[[Sequence[Session]], None],
    ) -> None:
        self._places = places
        self._queues = queues
        self._searches = searches
        self._move = move
        self._unexpected = RatedLog("renewal.unexpected_refusal")

    def renew(self, places: Sequence[Place]) -> None:
        """The rooms of these suspended places are at other processes than those that they used."""
        for place in places:
            one, owner = self._places.of(place), place.relay.owner
            one.search = None
            self._queues.renew_at(one, owner)
        late = [place for place in places if self._queues.unreachable(place.relay.owner)]
        if late:
            self._move(sessions_of(map(self._places.of, late)))
        for owner in {place.relay.owner for place in places}:
            self._queues.ask_next(owner)

    def resumed(self, link: GameLink, item: nodes.Resumed) -> bool:
        """The place is reattached; False if no place waits for this call."""
        call = self._queues.answered(link, item.call)
        if call is None:
            return False
        one, place = call.request, call.request.place
        if place.status in {PlaceStatus.OVER, PlaceStatus.LEFT}:
            self._places.forget(one)
            link.send(goodbye(item, left=place.status is PlaceStatus.LEFT))
        elif call.abandoned:
            pass  # the room has moved on since
        elif item.epoch < place.relay.epoch:
            self._follow(one, link.node.incarnation, place.relay.owner)
        else:
            self._places.forget(one)
            if place.reattach(link, item) and not item.complete:
                place.session.connection.move_now("messages on their way to you were lost")
            self.renew(place.relay.rise(item.epoch, link.node.incarnation, link))
        return True

    def refused(self, link: GameLink, item: nodes.Refused) -> bool:
        """The place cannot be reattached there; False if no place waits for this call."""
        call = self._queues.answered(link, item.call)
        if call is None:
            return False
        if not call.abandoned:
            self._refused(call.request, link.node.incarnation, item)
        return True

    def give_up_late(self, now: float) -> None:
        """Waits no longer for answers that should have come by ``now``."""
        for call in give_up(self._places.calls.due(now)):
            self._come_again(call.request, "the room's node has not answered in time")

    # The steps.

    def _refused(self, one: Suspended, node: Incarnation, item: nodes.Refused) -> None:
        place, code = one.place, item.code
        if place.status is PlaceStatus.OVER:
            self._places.forget(one)
        elif code == nodes.MOVED:
            self._follow(one, node, item.to, retry=item.retry)
        elif code == nodes.TAKEN_OVER:
            self._places.end(one, place.taken_over)
        elif one.search is not None or item.retry:
            self._searches.refused(one, node, retry=item.retry)
        elif code == ErrorCode.NO_GAME_NODE:  # the room is about to move, and too many wait for it
            self._come_again(one, "too many wait for a room that moves")
        elif code == nodes.NO_SUCH_PLACE and (item.ended or not one.trail.moves):
            lose = partial(place.session.lose, Close.NO_SUCH_PLACE)
            self._places.end(one, partial(place.seat_gone, lose))
        elif code == nodes.NO_SUCH_PLACE:
            self._places.end(one)
        else:
            why = repr(item.message)[:200]
            self._unexpected.warning(room=place.room, code=code[:64], why=why)
            self._come_again(one, "the room's node has refused its place")

    def _come_again(self, one: Suspended, why: str) -> None:
        """The client resumes on another socket, and learns there what has become of its place."""
        self._places.end(one, partial(one.place.session.connection.move_now, why))

    def _follow(
        self, one: Suspended, node: Incarnation, to: Incarnation, *, retry: bool = False
    ) -> None:
        """``node`` has said that the room is at the process ``to``; see ``nodes.Refused``."""
        if one.search is not None:
            self._searches.follow(one, node, to, retry=retry)
            return
        one.trail.follow(to)
        if one.trail.endless:
            log.warning("room.moves_without_end", room=one.place.room)
            self._places.end(one)
            return
        self._queues.put(one, to)
        if self._queues.unreachable(to):
            self._move(sessions_of([one]))
        self._queues.ask_next(to)
