"""Places that have lost their room's link, until the game process that has the room has them again.

After a reset (a feed that stood still, a ring that was too far behind, an api node that was silent
for too long) the link is over, but the rooms are not. And a room may move to another game node. So
its places are suspended, and each is reattached on the next link to the process that has the room:
from the last message that was passed on, and with the inputs that the room may not have. The
clients' sockets stay, and their clients see nothing.

* If no link stands for ``silence_seconds``, the clients are moved: another api node may reach the
  game node. After ``lost_seconds``, or when another process is there, their rooms are lost.
* If a place cannot get everything that its client missed, the client is closed with 1012, and why:
  it resumes by itself, and is told so. A node that stays tells nobody that it leaves.
* A room may survive its game process, and one of a process that was about to leave may have moved
  in its last moment. If such a process is gone, or silent, all game nodes that answer are asked for
  the places in turn, for ``lost_seconds`` (:mod:`lastcall.core.edge.place_search`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import structlog

from lastcall.api.games.calls import give_up
from lastcall.api.games.candidates import LEAVING
from lastcall.api.games.place_queues import Group, PlaceQueues, Suspended, sessions_of
from lastcall.api.games.place_searches import PlaceSearches
from lastcall.api.sessions.place import Place, PlaceStatus, goodbye
from lastcall.api.sessions.relay import Relays
from lastcall.api.sessions.session import Session
from lastcall.ids import Incarnation
from lastcall.links.link import GameLink
from lastcall.links.link_counts import Loss
from lastcall.policy import LinkPolicy
from lastcall.reasons import Close, EndReason, ErrorCode
from lastcall.runtime.rated_log import RatedLog
from lastcall.wire import nodes

log = structlog.get_logger()


class PlaceReattacher:
    """Suspends, reattaches and gives up. ``move`` moves clients to other api nodes."""

    def __init__(
        self,
        relays: Relays,
        *,
        numbers: Iterator[int],
        policy: LinkPolicy,
        move: Callable[[Sequence[Session]], None],
    ) -> None:
        self._relays = relays
        self._policy = policy
        self._move = move
        self._queues = PlaceQueues(numbers, policy)
        self._searches = PlaceSearches(self._queues, policy=policy, move=move)
        self._unexpected = RatedLog("renewal.unexpected_refusal")

    def __len__(self) -> int:
        """How many suspended places there are, game processes that have some, and open calls."""
        return len(self._queues)

    def sessions(self, link: GameLink) -> list[Session]:
        """Whose places wait to be reattached on ``link``, and are not searched for elsewhere."""
        waiting = self._queues.waiting(link.node.incarnation)
        asked = [call.request for call in self._queues.calls.unanswered(link)]
        return sessions_of(one for one in [*asked, *waiting] if one.search is None)

    # From the links.

    def link_up(self, link: GameLink) -> None:
        """A process is there: its places are reattached, another's at this address are lost."""
        own = link.node.incarnation
        self._queues.links[own] = link
        for incarnation, group in list(self._queues.groups.items()):
            if incarnation == own:
                group.address = link.address
                self._queues.ask_next(own)
            elif group.address == link.address:
                self._lose_group(incarnation)

    def link_silent(self, link: GameLink) -> None:
        """Rooms that survive may go on elsewhere by now, or soon: their places are searched for.

        The silent process may still have them, and is asked, too, if it answers again.
        """
        for place in self._relays.suspend(link, surviving=True):
            self._searches.begin(self._queues.of(place))

    def link_down(self, link: GameLink, loss: Loss) -> None:
        """A reset suspends the link's places; any other loss ends them, but not our own detaching.

        The process may be known by another address, and its next link may stand already.
        """
        if loss is Loss.DETACHED:
            return
        incarnation = link.node.incarnation
        asked = self._searches.without(link, self._queues.link_lost(link))
        self._searches.without(link, self._queues.waiting(incarnation))
        if loss is Loss.RESET and link.node.wire >= nodes.RESUMES:
            self._queues.link_reset(link, asked, self._relays.suspend(link))
            self._queues.ask_next(incarnation)
            return
        leaving = link.state.phase in LEAVING
        searched = self._relays.suspend(link, surviving=not leaving)
        self._relays.lost(link, EndReason.NODE_LOST)
        for one in [*asked, *map(self._queues.of, searched)]:
            self._lose(one, leaving=leaving)
        if incarnation not in self._queues.links:
            self._lose_group(incarnation)

    def moved(self, link: GameLink, item: nodes.Moved) -> None:
        """A room has moved: its places here are renewed where it is, and leaves said again there.

        The room may have been at rest when the leaves came, and then nobody has applied them.
        """
        leaves = self._relays.leaves(link, item.room)
        if leaves:
            self._queues.group(item.to).leaves += leaves
            self._queues.ask_next(item.to)
        self.renew(self._relays.take(link, item))

    def renew(self, places: Sequence[Place]) -> None:
        """The rooms of these suspended places are at other processes than those that they used."""
        for place in places:
            one, owner = self._queues.of(place), place.relay.owner
            one.search = None
            self._queues.renew_at(one, owner)
        late = [place for place in places if self._queues.unreachable(place.relay.owner)]
        if late:
            self._move(sessions_of(map(self._queues.of, late)))
        for owner in {place.relay.owner for place in places}:
            self._queues.ask_next(owner)

    def resumed(self, link: GameLink, item: nodes.Resumed) -> bool:
        """The place is reattached; False if no place waits for this call."""
        call = self._queues.answered(link, item.call)
        if call is None:
            return False
        one, place = call.request, call.request.place
        if place.status in {PlaceStatus.OVER, PlaceStatus.LEFT}:
            self._queues.forget(one)
            link.send(goodbye(item, left=place.status is PlaceStatus.LEFT))
        elif call.abandoned:
            pass  # the room has moved on since
        elif item.epoch < place.relay.epoch:
            self._follow(one, link.node.incarnation, place.relay.owner)
        else:
            self._queues.forget(one)
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

    # The clock.

    async def sweep(self, now: float) -> None:
        """Moves or gives up clients that have waited too long."""
        for call in give_up(self._queues.calls.due(now)):
            self._come_again(call.request, "the room's node has not answered in time")
        for incarnation, group in list(self._queues.groups.items()):
            if incarnation in self._queues.links:
                self._queues.ask_next(incarnation)
            else:
                self._move_or_lose(incarnation, group, now - group.down_since)
        await self._searches.go_on(now)

    def _move_or_lose(self, incarnation: Incarnation, group: Group, seconds: float) -> None:
        if seconds >= self._policy.lost_seconds:
            self._lose_group(incarnation)
        elif seconds >= self._policy.silence_seconds and not group.moved:
            group.moved = True
            self._move(sessions_of(self._queues.waiting(incarnation)))

    # The steps.

    def _refused(self, one: Suspended, node: Incarnation, item: nodes.Refused) -> None:
        place, code = one.place, item.code
        if place.status is PlaceStatus.OVER:
            self._queues.forget(one)
        elif code == nodes.MOVED:
            self._follow(one, node, item.to, retry=item.retry)
        elif code == nodes.TAKEN_OVER:
            self._queues.end(one, place.taken_over)
        elif one.search is not None or item.retry:
            self._searches.refused(one, node, retry=item.retry)
        elif code == ErrorCode.NO_GAME_NODE:  # the room is about to move, and too many wait for it
            self._come_again(one, "too many wait for a room that moves")
        elif code == nodes.NO_SUCH_PLACE and (item.ended or not one.trail.moves):
            lose = partial(place.session.lose, Close.NO_SUCH_PLACE)
            self._queues.end(one, partial(place.seat_gone, lose))
        elif code == nodes.NO_SUCH_PLACE:
            self._queues.end(one)
        else:
            why = repr(item.message)[:200]
            self._unexpected.warning(room=place.relay.room, code=code[:64], why=why)
            self._come_again(one, "the room's node has refused its place")

    def _come_again(self, one: Suspended, why: str) -> None:
        """The client resumes on another socket, and learns there what has become of its place."""
        self._queues.end(one, partial(one.place.session.connection.move_now, why))

    def _follow(
        self, one: Suspended, node: Incarnation, to: Incarnation, *, retry: bool = False
    ) -> None:
        """``node`` has said that the room is at the process ``to``; see ``nodes.Refused``."""
        if one.search is not None:
            self._searches.follow(one, node, to, retry=retry)
            return
        one.trail.follow(to)
        if one.trail.endless:
            log.warning("room.moves_without_end", room=one.place.relay.room)
            self._queues.end(one)
            return
        self._queues.put(one, to)
        if self._queues.unreachable(to):
            self._move(sessions_of([one]))
        self._queues.ask_next(to)

    def _lose_group(self, incarnation: Incarnation) -> None:
        lost = self._queues.waiting(incarnation)
        group = self._queues.groups.pop(incarnation, None)
        for one in lost:
            self._lose(one, leaving=group is not None and group.leaving)

    def _lose(self, one: Suspended, *, leaving: bool) -> None:
        """The process that had the place is gone; it may have given the room away if it was
        ``leaving``.
        """
        may_live = leaving or one.place.survives
        if may_live and one.place.status is not PlaceStatus.OVER:
            self._searches.begin(one)
        else:
            self._queues.end(one)
