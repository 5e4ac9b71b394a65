"""Places whose link was reset, until the next link to the same process has them again.

After a reset (a feed that stood still, a ring that was too far behind, an api node that was silent
for too long) the link is over, but the rooms are not. So its places are suspended, and each is
reattached on the next link: from the last message that was passed on, and with the inputs that the
room may not have. The clients' sockets stay, and their clients see nothing.

* A few places at a time are asked for, since each answer may bring a whole history.
* If no link stands for ``silence_seconds``, the clients are moved: another api node may reach the
  game node. After ``lost_seconds``, or when another process is there, their rooms are lost.
* If a place cannot get everything that its client missed, the client is closed with 1012, and why:
  it resumes by itself, and is told so. A node that stays tells nobody that it leaves.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

import trio

from lastcall.api.games.calls import ANSWER_SECONDS, SWEEP_SECONDS, GameCalls, give_up
from lastcall.api.sessions.place import Place, PlaceStatus, goodbye
from lastcall.api.sessions.relay import Relays
from lastcall.api.sessions.session import Session
from lastcall.ids import Incarnation
from lastcall.links.link import GameLink, Loss
from lastcall.policy import LinkPolicy
from lastcall.reasons import Close, EndReason
from lastcall.wire import nodes


@dataclass
class _Group:
    """The suspended places of one game process that are not asked for."""

    address: str
    down_since: float = 0.0
    moved: bool = False
    waiting: deque[Place] = field(default_factory=deque)
    leaves: list[nodes.Leave] = field(default_factory=list)
    """Of places that are over, for the next link. Everything else that a link loses is kept in
    the places, or asked for again."""

    def link_lost(self, asked: Iterable[Place], suspended: Iterable[Place]) -> None:
        """The places that were ``asked`` for wait again before the others, ``suspended`` after."""
        places = [*asked, *self.waiting, *suspended]
        self.waiting = deque(place for place in places if place.status is not PlaceStatus.OVER)
        self.moved = False
        self.down_since = trio.current_time()


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
        self._calls: GameCalls[Place, str] = GameCalls(numbers, ANSWER_SECONDS)
        self._policy = policy
        self._move = move
        self._links: dict[Incarnation, GameLink] = {}
        self._groups: dict[Incarnation, _Group] = {}

    def __len__(self) -> int:
        """How many game processes have suspended places, and how many calls are open."""
        return len(self._groups) + len(self._calls)

    def sessions(self, link: GameLink) -> list[Session]:
        """Whose places wait to be reattached on ``link``."""
        group = self._groups.get(link.node.incarnation)
        asked = [call.request for call in self._calls.unanswered(link)]
        return [] if group is None else _sessions([*asked, *group.waiting])

    # From the links.

    def link_up(self, link: GameLink) -> None:
        """A process is there: its places are reattached, another's at this address are lost."""
        own = link.node.incarnation
        self._links[own] = link
        for incarnation, group in list(self._groups.items()):
            if incarnation == own:
                self._ask_next(own)
            elif group.address == link.address:
                self._lose(incarnation)

    def link_down(self, link: GameLink, loss: Loss) -> None:
        """A reset suspends the link's places; any other loss ends them, but not our own detaching.

        The process may be known by another address, and its next link may stand already.
        """
        if loss is Loss.DETACHED:
            return
        incarnation = link.node.incarnation
        if self._links.get(incarnation) is link:
            del self._links[incarnation]
        asked = [call.request for call in self._calls.link_lost(link)]
        if loss is Loss.RESET and link.node.wire >= nodes.RESUMES:
            group = self._groups.setdefault(incarnation, _Group(link.address))
            group.link_lost(asked, self._relays.suspend(link))
            group.leaves += [item for item in link.unsent if isinstance(item, nodes.Leave)]
            self._ask_next(incarnation)
            return
        self._relays.lost(link, EndReason.NODE_LOST)
        for place in asked:
            _end(place)
        if incarnation not in self._links:
            self._lose(incarnation)

    def resumed(self, link: GameLink, item: nodes.Resumed) -> bool:
        """The place is reattached; False if no place waits for this call."""
        place = self._answered(link, item.call)
        if place is None:
            return False
        if place.status is not PlaceStatus.SUSPENDED:
            link.send(goodbye(item, left=place.status is PlaceStatus.LEFT))
        elif place.reattach(link, item) and not item.complete:
            place.session.connection.move_now("messages on their way to you were lost")
        return True

    def refused(self, link: GameLink, item: nodes.Refused) -> bool:
        """The place cannot be reattached; False if no place waits for this call."""
        place = self._answered(link, item.call)
        if place is None:
            return False
        if place.status is PlaceStatus.SUSPENDED:
            if item.code == nodes.TAKEN_OVER:
                place.taken_over()
            elif item.code == nodes.NO_SUCH_PLACE:
                place.seat_gone(partial(place.session.lose, Close.NO_SUCH_PLACE))
            else:
                place.end(EndReason.NODE_LOST)
        return True

    # The clock.

    async def sweep(self) -> None:
        """Moves or gives up clients that have waited too long, until cancelled."""
        while True:
            await trio.sleep(SWEEP_SECONDS)
            now = trio.current_time()
            for call in give_up(self._calls.due(now)):
                _end(call.request)
            for incarnation, group in list(self._groups.items()):
                if incarnation in self._links:
                    self._ask_next(incarnation)
                else:
                    self._move_or_lose(incarnation, group, now - group.down_since)

    def _move_or_lose(self, incarnation: Incarnation, group: _Group, seconds: float) -> None:
        if seconds >= self._policy.lost_seconds:
            self._lose(incarnation)
        elif seconds >= self._policy.silence_seconds and not group.moved:
            group.moved = True
            self._move(_sessions(group.waiting))

    # The steps.

    def _ask_next(self, incarnation: Incarnation) -> None:
        """Asks for as many as may be under way; forgets a group that has no more places."""
        group, link = self._groups.get(incarnation), self._links.get(incarnation)
        if group is None:
            return
        while link and group.waiting and self._under_way(link) < self._policy.resumes_at_once:
            place = group.waiting.popleft()
            if place.status is PlaceStatus.SUSPENDED:
                self._calls.send(place, link, partial(_renewal, place), "place")
            elif place.status is PlaceStatus.LEFT:
                group.leaves.append(place.leave_item())
        if link is not None:
            for leave in group.leaves:
                link.send(leave)
            group.leaves.clear()
        if not (group.waiting or group.leaves or (link and self._under_way(link))):
            del self._groups[incarnation]

    def _under_way(self, link: GameLink) -> int:
        return self._calls.open(link).get("place", 0)

    def _answered(self, link: GameLink, number: int) -> Place | None:
        call = self._calls.answered(link, number)
        if call is None:
            return None
        self._ask_next(link.node.incarnation)
        return call.request

    def _lose(self, incarnation: Incarnation) -> None:
        group = self._groups.pop(incarnation, None)
        for place in [] if group is None else group.waiting:
            _end(place)


def _end(place: Place) -> None:
    if place.status is PlaceStatus.SUSPENDED:
        place.end(EndReason.NODE_LOST)


def _renewal(place: Place, number: int) -> nodes.Renew:
    """The call ``number`` to a game node: for ``place``, from the last message passed on."""
    return nodes.Renew(
        call=number,
        room=place.relay.room,
        player=place.player,
        secret=place.secret,
        seen=place.seen,
        session=place.session_number,
        identity=place.session.guest.identity,
    )


def _sessions(places: Iterable[Place]) -> list[Session]:
    return [place.session for place in places if place.status is PlaceStatus.SUSPENDED]
