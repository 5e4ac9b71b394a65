"""Places whose link was reset, until the next link to the same process has them again.

A reset (a feed that stood still, a ring that ran over, an api node that was silent for too long)
says that the link is over and not that the rooms are. So its places are suspended, and each is
renewed on the next link: from the last of the room's numbers that it has passed on, and with the
inputs that the room may not have. The clients' sockets stay, and see nothing.

* A few at a time are asked for: each may bring a whole history.
* While no link stands for ``silence_seconds``, their clients are moved: another api node may reach
  the game node. After ``lost_seconds``, or when another process is there, their rooms are lost.
* A renewal that cannot have all that its client missed moves the client: it resumes by itself, and
  is told so.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import trio

from lastcall.api.games.joins import ANSWER_SECONDS, SWEEP_SECONDS
from lastcall.api.games.link import Loss
from lastcall.api.sessions.place import Link, Place, PlaceStatus
from lastcall.api.sessions.relay import Relays
from lastcall.api.sessions.session import Session
from lastcall.ids import Incarnation
from lastcall.policy import LinkPolicy
from lastcall.reasons import EndReason
from lastcall.wire import nodes

__all__ = ["PlaceReattacher", "ReattachLink"]


class ReattachLink(Link, Protocol):
    """A link that knows whose it is; :class:`lastcall.api.games.link.GameLink`."""

    address: str

    @property
    def node(self) -> nodes.Welcome:
        """Who answers there."""

    @property
    def unsent(self) -> list[nodes.Up]:
        """After its loss: what the game node may not have heard."""


class _Group:
    """The suspended places of one game process, in the order in which they are renewed."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.link: ReattachLink | None = None
        self.down_since = 0.0
        self.moved = False
        self.waiting: deque[Place] = deque()
        self.asked: dict[int, tuple[Place, float]] = {}
        """By call: the place, and when its renewal was asked for."""
        self.leaves: list[nodes.Leave] = []
        """Of places that are no more, to be said on the next link; all else that a link loses is
        in the places, or asked for again."""

    @property
    def places(self) -> list[Place]:
        """All of them, those that were asked for first."""
        return [*(place for place, _ in self.asked.values()), *self.waiting]

    def gone_down(self) -> None:
        """No link stands: all that were asked for wait again."""
        self.waiting = deque(place for place in self.places if place.status is not PlaceStatus.OVER)
        self.asked.clear()
        self.link, self.moved = None, False
        self.down_since = trio.current_time()


class PlaceReattacher:
    """Suspends, renews and gives up. ``move`` moves clients to other api nodes, over a moment."""

    def __init__(
        self,
        relays: Relays,
        *,
        calls: Iterator[int],
        policy: LinkPolicy,
        move: Callable[[Sequence[Session]], None],
    ) -> None:
        self._relays = relays
        self._calls = calls
        self._policy = policy
        self._move = move
        self._links: dict[Incarnation, ReattachLink] = {}
        self._groups: dict[Incarnation, _Group] = {}

    def sessions(self, link: ReattachLink) -> list[Session]:
        """Whose places wait to be renewed on ``link``."""
        group = self._groups.get(link.node.incarnation)
        return [] if group is None else _sessions(group.places)

    # From the links.

    def link_up(self, link: ReattachLink) -> None:
        """A process is there: its own places are renewed, another's at this address are lost."""
        mine = link.node.incarnation
        self._links[mine] = link
        for incarnation, group in list(self._groups.items()):
            if incarnation == mine:
                group.link = link
                self._go_on(mine, group)
            elif group.address == link.address:
                self._lose(incarnation)

    def link_down(self, link: ReattachLink, loss: Loss) -> None:
        """A reset suspends the link's places, any other loss ends them; not so our own leaving.

        The process may be known by another address, and its next link may stand already.
        """
        incarnation = link.node.incarnation
        if self._links.get(incarnation) is link:
            del self._links[incarnation]
        if loss is Loss.DETACHED:
            return
        if loss is Loss.RESET and link.node.wire >= nodes.RESUMES:
            self._suspend(incarnation, link)
            return
        self._relays.lost(link, EndReason.NODE_LOST)
        if incarnation not in self._links:
            self._lose(incarnation)

    def _suspend(self, incarnation: Incarnation, link: ReattachLink) -> None:
        suspended = self._relays.suspend(link)
        group = self._groups.setdefault(incarnation, _Group(link.address))
        if group.link is None or group.link is link:
            group.gone_down()
        group.link = self._links.get(incarnation)
        group.waiting.extend(suspended)
        group.leaves += [item for item in link.unsent if isinstance(item, nodes.Leave)]
        self._go_on(incarnation, group)

    def resumed(self, link: ReattachLink, item: nodes.Resumed) -> bool:
        """The answer to a renewal; False if the call was none of ours."""
        place = self._answered(link, item.call)
        if place is None:
            return False
        room, player, number = item.room, item.player, item.session
        match place.status:
            case PlaceStatus.SUSPENDED:
                if place.reattach(link, item) and not item.complete:
                    place.session.connection.move_now()
            case PlaceStatus.LEFT:
                link.send(nodes.Leave(room, player, number))
            case _:
                link.send(nodes.Absent(room, player, number))
        return True

    def refused(self, link: ReattachLink, item: nodes.Refused) -> bool:
        """A renewal is refused; False if the call was none of ours."""
        place = self._answered(link, item.call)
        if place is None:
            return False
        if place.status is PlaceStatus.SUSPENDED:
            if item.code == nodes.TAKEN_OVER:
                place.taken_over()
            elif item.code == nodes.NO_SUCH_PLACE:
                place.seat_gone(place.session.no_such_place)
            else:
                place.end(EndReason.NODE_LOST)
        return True

    # The clock.

    async def sweep(self) -> None:
        """Moves and gives up those who have waited for too long, until cancelled."""
        while True:
            await trio.sleep(SWEEP_SECONDS)
            now = trio.current_time()
            for incarnation, group in list(self._groups.items()):
                if group.link is None:
                    self._look_at(incarnation, group, now - group.down_since)
                else:
                    self._give_up(group, asked_before=now - ANSWER_SECONDS)
                    self._go_on(incarnation, group)

    def _look_at(self, incarnation: Incarnation, group: _Group, seconds: float) -> None:
        if seconds >= self._policy.lost_seconds:
            self._lose(incarnation)
        elif seconds >= self._policy.silence_seconds and not group.moved:
            group.moved = True
            self._move(_sessions(group.waiting))

    @staticmethod
    def _give_up(group: _Group, asked_before: float) -> None:
        late = [call for call, (_, at) in group.asked.items() if at <= asked_before]
        for place in [group.asked.pop(call)[0] for call in late]:
            _end(place)

    # The steps.

    def _go_on(self, incarnation: Incarnation, group: _Group) -> None:
        """Asks for as many as may be under way; forgets a group of which none is left."""
        while group.link and group.waiting and len(group.asked) < self._policy.resumes_at_once:
            place = group.waiting.popleft()
            if place.status is PlaceStatus.SUSPENDED:
                self._ask(group, group.link, place)
            elif place.status is PlaceStatus.LEFT:
                group.leaves.append(
                    nodes.Leave(place.relay.room, place.player, place.session_number)
                )
        if group.link is not None:
            for leave in group.leaves:
                group.link.send(leave)
            group.leaves.clear()
        if not (group.asked or group.waiting or group.leaves):
            del self._groups[incarnation]

    def _ask(self, group: _Group, link: ReattachLink, place: Place) -> None:
        call = next(self._calls)
        group.asked[call] = (place, trio.current_time())
        link.send(
            nodes.Resume(
                call=call,
                room=place.relay.room,
                player=place.player,
                secret=place.secret,
                seen=place.seen,
                session=place.session_number,
            )
        )

    def _answered(self, link: ReattachLink, call: int) -> Place | None:
        """The place that ``call`` asked for, which is under way no more."""
        incarnation = link.node.incarnation
        group = self._groups.get(incarnation)
        if group is None or group.link is not link or call not in group.asked:
            return None
        place, _ = group.asked.pop(call)
        self._go_on(incarnation, group)
        return place

    def _lose(self, incarnation: Incarnation) -> None:
        group = self._groups.pop(incarnation, None)
        for place in [] if group is None else group.places:
            _end(place)


def _end(place: Place) -> None:
    if place.status is PlaceStatus.SUSPENDED:
        place.end(EndReason.NODE_LOST)


def _sessions(places: Sequence[Place] | deque[Place]) -> list[Session]:
    return [place.session for place in places if place.status is PlaceStatus.SUSPENDED]
