"""Places that have lost their room's link, until the game process that has the room has them again.

After a reset (a feed that stood still, a ring that was too far behind, an api node that was silent
for too long) the link is over, but the rooms are not. And a room may move to another game node. So
its places are suspended, and each is reattached on the next link to the process that has the room:
from the last message that was passed on, and with the inputs that the room may not have. The
clients' sockets stay, and their clients see nothing.

* If no link stands for ``silence_seconds``, the clients are moved: another api node may reach the
  game node. After ``lost_seconds``, or when another process is there, their rooms are lost.
* :mod:`lastcall.api.games.renewals` takes the answers of the processes.
* A room may survive its game process. And a room that can move may have moved before its process
  was gone, if that was about to leave, or was not heard until its end. All game nodes that answer
  are asked for the places of such rooms in turn, for ``lost_seconds``
  (:mod:`lastcall.core.edge.place_search`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

from lastcall.api.games.candidates import LEAVING
from lastcall.api.games.place_queues import Group, PlaceQueues
from lastcall.api.games.place_searches import PlaceSearches
from lastcall.api.games.renewals import Renewals
from lastcall.api.games.suspended_places import Suspended, SuspendedPlaces, sessions_of
from lastcall.api.sessions.place import Place, PlaceStatus
from lastcall.api.sessions.relays import Relays
from lastcall.api.sessions.session import Session
from lastcall.ids import Incarnation
from lastcall.links.link import GameLink
from lastcall.links.link_counts import Loss
from lastcall.policy import LinkPolicy
from lastcall.reasons import EndReason
from lastcall.wire import nodes


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
        self._places = SuspendedPlaces(numbers)
        self._queues = PlaceQueues(self._places, policy)
        self._searches = PlaceSearches(self._places, self._queues, policy=policy, move=move)
        self.renewals = Renewals(self._places, self._queues, self._searches, move)
        """Where the rooms are now, as game processes say."""

    def __len__(self) -> int:
        """How many suspended places there are, game processes that have some, and open calls."""
        return len(self._places) + len(self._queues.groups)

    def sessions(self, link: GameLink) -> list[Session]:
        """Whose places wait to be reattached on ``link``, and are not searched for elsewhere."""
        waiting = self._queues.waiting(link.node.incarnation)
        asked = [call.request for call in self._places.calls.unanswered(link)]
        return sessions_of(one for one in [*asked, *waiting] if one.search is None)

    @property
    def leaves_unheard(self) -> bool:
        """Whether a game node has not heard yet that a client has left; nobody else will say it."""
        queues = self._queues
        return (
            self._places.any_left
            or any(group.leaves for group in queues.groups.values())
            or any(
                isinstance(item, nodes.Leave)
                for link in queues.links.values()
                for item in link.unsent
            )
        )

    # From the links.

    def link_up(self, link: GameLink) -> None:
        """A process is there: its places are reattached, another's at this address are lost."""
        own = link.node.incarnation
        self._queues.links[own] = link
        for incarnation, group in list(self._queues.groups.items()):
            if incarnation == own:
                group.address = link.address
                self._queues.ask_next(own)
            elif group.address == link.address and incarnation not in self._queues.links:
                self._lose_group(incarnation, moved=True)

    def link_silent(self, link: GameLink) -> None:
        """Rooms that survive may go on elsewhere by now, or soon: their places are searched for.

        The silent process may still have them, and is asked, too, if it answers again.
        """
        for place in self._relays.suspend(link, lambda place: place.survives):
            self._searches.begin(self._places.of(place))

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
        searched = self._relays.suspend(link, partial(_may_go_on, moved=leaving))
        self._relays.lost(link, EndReason.NODE_LOST)
        self._lose([*asked, *map(self._places.of, searched)], moved=leaving)
        if incarnation not in self._queues.links:
            self._lose_group(incarnation, moved=leaving)

    def moved(self, link: GameLink, item: nodes.Moved) -> None:
        """A room has moved: its places here are renewed where it is, and leaves said again there.

        The room may have been at rest when the leaves came, and then nobody has applied them.
        """
        leaves = self._relays.leaves(link, item.room)
        if leaves:
            self._queues.group(item.to).leaves += leaves
            self._queues.ask_next(item.to)
        self.renewals.renew(self._relays.take(link, item))

    # The clock.

    async def sweep(self, now: float) -> None:
        """Moves or gives up clients that have waited too long."""
        self.renewals.give_up_late(now)
        for incarnation, group in list(self._queues.groups.items()):
            if incarnation in self._queues.links:
                self._queues.ask_next(incarnation)
            else:
                self._move_or_lose(incarnation, group, now - group.down_since)
        await self._searches.go_on(now)

    def _move_or_lose(self, incarnation: Incarnation, group: Group, seconds: float) -> None:
        if seconds >= self._policy.lost_seconds:
            self._lose_group(incarnation, moved=True)
        elif seconds >= self._policy.silence_seconds and not group.moved:
            group.moved = True
            self._move(sessions_of(self._queues.waiting(incarnation)))

    def _lose_group(self, incarnation: Incarnation, *, moved: bool) -> None:
        lost = self._queues.waiting(incarnation)
        self._queues.groups.pop(incarnation, None)
        self._lose(lost, moved=moved)

    def _lose(self, lost: Sequence[Suspended], *, moved: bool) -> None:
        """The process that had the places is gone, and may have ``moved`` their rooms unheard."""
        for one in lost:
            if one.place.status is not PlaceStatus.OVER and _may_go_on(one.place, moved=moved):
                self._searches.begin(one)
            else:
                self._places.end(one)


def _may_go_on(place: Place, *, moved: bool) -> bool:
    """Whether its room may go on without its process, which may have ``moved`` it unheard."""
    return place.survives or (moved and place.can_move)
