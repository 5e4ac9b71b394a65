"""The queues of suspended places, by the game process that is asked for them.

A few places at a time are asked for on a link that was reset, since each answer may bring a whole
history. Places whose rooms are at another process have missed little, and more of them are asked
for: if they were as few, the last of thousands would wait longer than its seat is kept.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from functools import partial

import trio

from lastcall.api.games.suspended_places import RenewalCall, Suspended, SuspendedPlaces
from lastcall.api.sessions.place import Place, PlaceStatus, leave_of
from lastcall.ids import Incarnation
from lastcall.links.link import GameLink
from lastcall.policy import LinkPolicy
from lastcall.wire import nodes


@dataclass
class Group:
    """The suspended places of one game process that are not asked for."""

    address: str
    """Where it is; empty if it was never attached here."""
    down_since: float
    moved: bool = False
    """Whether its clients have been moved to other api nodes."""
    level: deque[Suspended] = field(default_factory=deque)
    behind: deque[Suspended] = field(default_factory=deque)
    """Those that wait, by :attr:`Suspended.behind`; with some that have gone to another group, and
    are passed over.
    """
    leaves: list[nodes.Leave] = field(default_factory=list)
    """Of places that are over, for the next link. Everything else that a link loses is kept in
    the places, or asked for again."""

    def queue(self, *, behind: bool) -> deque[Suspended]:
        """The queue of such places."""
        return self.behind if behind else self.level


class PlaceQueues:
    """Which of ``places`` wait for which process, and how many are asked for at once on a link."""

    def __init__(self, places: SuspendedPlaces, policy: LinkPolicy) -> None:
        self._places = places
        self._at_once = {True: policy.resumes_at_once, False: policy.renewals_at_once}
        """By whether the places are behind."""
        self.links: dict[Incarnation, GameLink] = {}
        self.groups: dict[Incarnation, Group] = {}

    @property
    def answering(self) -> list[Incarnation]:
        """The attached processes that may have places, and are not silent."""
        return [
            incarnation
            for incarnation, link in self.links.items()
            if link.node.wire >= nodes.RESUMES and not link.silent
        ]

    def unreachable(self, incarnation: Incarnation) -> bool:
        """Whether the clients of the process's places have been moved to other api nodes."""
        link, group = self.links.get(incarnation), self.groups.get(incarnation)
        return link.silent if link is not None else group is not None and group.moved

    def group(self, incarnation: Incarnation) -> Group:
        """The group of a process; without one, a new group."""
        if incarnation not in self.groups:
            link = self.links.get(incarnation)
            address = "" if link is None else link.address
            self.groups[incarnation] = Group(address, trio.current_time())
        return self.groups[incarnation]

    def put(self, one: Suspended, incarnation: Incarnation) -> None:
        """Has ``one`` wait for the process, after the others."""
        one.waits_for = incarnation
        self.group(incarnation).queue(behind=one.behind).append(one)

    def renew_at(self, one: Suspended, incarnation: Incarnation) -> None:
        """The process has the room: nothing changes if it is being asked for the place already."""
        calls = self._places.calls.cancel(one)
        for call in calls:
            call.abandoned = call.link.node.incarnation != incarnation
        if any(not call.abandoned for call in calls):
            one.waits_for = None
        elif one.waits_for != incarnation:
            one.trail.follow(incarnation)
            self.put(one, incarnation)

    def waiting(self, incarnation: Incarnation) -> list[Suspended]:
        """The places that wait in the process's queue."""
        group = self.groups.get(incarnation)
        queued = (*group.behind, *group.level) if group else ()
        return [one for one in queued if one.waits_for == incarnation]

    def ask_next(self, incarnation: Incarnation) -> None:
        """Asks for as many as may be under way; forgets a group that has no more places."""
        group, link = self.groups.get(incarnation), self.links.get(incarnation)
        if group is None:
            return
        for behind in (True, False):
            queue = group.queue(behind=behind)
            while link and queue and self._may_ask(link, behind=behind):
                one = queue.popleft()
                if one.waits_for == incarnation:
                    self._ask(one, link, group)
        if link is not None:
            for leave in group.leaves:
                link.send(leave)
            group.leaves.clear()
        asked = link and any(self._places.calls.open(link).values())
        if not (group.behind or group.level or group.leaves or asked):
            del self.groups[incarnation]

    def _ask(self, one: Suspended, link: GameLink, group: Group) -> None:
        one.waits_for = None
        place = one.place
        searched = one.search is not None and place.status is PlaceStatus.LEFT
        if place.status is PlaceStatus.SUSPENDED or searched:
            self._places.calls.send(one, link, partial(_renewal, place), one.behind)
            return
        if place.status is PlaceStatus.LEFT:
            group.leaves.append(leave_of(place))
        self._places.forget(one)

    def _may_ask(self, link: GameLink, *, behind: bool) -> bool:
        return self._places.calls.open(link).get(behind, 0) < self._at_once[behind]

    # The answers.

    def answered(self, link: GameLink, number: int) -> RenewalCall | None:
        """The renewal that is answered, and the next ones are asked for; None: no renewal."""
        call = self._places.calls.answered(link, number)
        if call is not None:
            self.ask_next(link.node.incarnation)
        return call

    def link_lost(self, link: GameLink) -> list[Suspended]:
        """The link is over; returns the places that it was asked for."""
        incarnation = link.node.incarnation
        if self.links.get(incarnation) is link:
            del self.links[incarnation]
        return [call.request for call in self._places.calls.link_lost(link)]

    def link_reset(self, link: GameLink, asked: list[Suspended], more: list[Place]) -> None:
        """The places that were ``asked`` for wait again before the others, and ``more`` after.

        The clients of ``more``, which were live on the link, may have missed a whole history: its
        feed did not arrive.
        """
        incarnation = link.node.incarnation
        group = self.group(incarnation)
        group.address = link.address
        group.moved = False
        group.down_since = trio.current_time()
        for one in reversed(asked):
            one.waits_for = incarnation
            group.queue(behind=one.behind).appendleft(one)
        for one in map(self._places.of, more):
            one.behind = True
            self.put(one, incarnation)
        group.leaves += [item for item in link.unsent if isinstance(item, nodes.Leave)]


def _renewal(place: Place, number: int) -> nodes.Renew:
    """The call ``number`` to a game node: for ``place``, from the last message passed on."""
    return nodes.Renew(
        call=number,
        room=place.room,
        player=place.player,
        secret=place.secret,
        seen=place.seen,
        session=place.session_number,
        identity=place.session.guest.identity,
    )
