"""Joins under way: which game node is asked, and what is asked again.

A join goes to the node that placement chooses. A node that refuses because it drains, is full or
does not know the room costs a second choice, and the client sees nothing of it. While no node takes
rooms a join waits for a moment: a node that is just coming up is worth less than a second.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterable

import structlog
import trio

from api.session import Session
from rooms.core.lifecycle import Phase
from rooms.core.placement import GameNode, choose, holders, knows_kind
from rooms.ids import Incarnation, KindName
from rooms.reasons import ErrorCode
from rooms.runtime.link_api import ApiLink
from rooms.wire import frames, nodes

__all__ = ["SWEEP_SECONDS", "Joins"]

log = structlog.get_logger()

SWEEP_SECONDS = 0.1
ANSWER_SECONDS = 10.0
"""A game node whose link lives answers a join at once; one that does not has no answer for it."""
UnderWay = Counter[tuple[KindName, bool]]
"""Joins that a link has not answered yet: how many of each kind, and of its own room."""
KNOWN_CODES = frozenset(ErrorCode) | {nodes.DRAINING}


class _Asking:
    """One join under way: with a node (``link``), or waiting for one."""

    __slots__ = ("call", "expires_at", "last_refusal", "link", "refused_by", "request", "session")

    def __init__(self, session: Session, request: frames.Join, expires_at: float) -> None:
        self.session = session
        self.request = request
        self.expires_at = expires_at
        self.link: ApiLink | None = None
        self.call = 0
        self.refused_by: set[Incarnation] = set()
        self.last_refusal: nodes.Refused | None = None


class Joins:
    """The attached game nodes, and every join that is not answered yet."""

    def __init__(self, heard: Callable[[], bool]) -> None:
        self._heard = heard
        """Whether every game node has been met: before, a *no* may come from the wrong ones."""
        self._calls = itertools.count(1)
        self._links: dict[ApiLink, UnderWay] = {}
        self._asking: dict[Session, _Asking] = {}
        self._asked: dict[int, _Asking] = {}
        self._waiting: dict[Session, _Asking] = {}

    @property
    def known(self) -> list[GameNode]:
        """The game nodes that are attached, with the joins that are under way to each."""
        return [_seen(link, under_way) for link, under_way in self._links.items()]

    # from the client

    def begin(self, session: Session, request: frames.Join, patience_seconds: float) -> None:
        """Seeks a seat; without a node that takes rooms it waits for so many seconds.

        Either :meth:`seated` returns the session for a seat, or ``session.refused`` is called.
        """
        expires_at = trio.current_time() + patience_seconds
        asking = self._asking[session] = _Asking(session, request, expires_at)
        self._seek(asking, self.known)

    def forget(self, session: Session) -> None:
        """The session is gone: a seat that still comes for it is nobody's."""
        if (asking := self._asking.pop(session, None)) is not None:
            self._waiting.pop(session, None)
            self._answered(asking.call)

    async def sweep(self) -> None:
        """Refuses what has waited for too long, until cancelled."""
        while True:
            await trio.sleep(SWEEP_SECONDS)
            now = trio.current_time()
            for asking in [a for a in self._waiting.values() if a.expires_at <= now]:
                self._give_up(asking)
            late = now - ANSWER_SECONDS
            for asking in [a for a in self._asked.values() if a.expires_at <= late]:
                self._refuse(asking, ErrorCode.NO_GAME_NODE, "the game node does not answer")

    def _give_up(self, asking: _Asking) -> None:
        if (refusal := asking.last_refusal) is not None:
            self._refuse(asking, ErrorCode(refusal.code), refusal.message)
        else:
            message = "no game node takes rooms now; try again in a moment"
            self._refuse(asking, ErrorCode.NO_GAME_NODE, message)

    # from the links

    def link_up(self, link: ApiLink) -> None:
        """A game node is there."""
        self._links[link] = Counter()

    def link_state(self, link: ApiLink) -> None:
        """What waits may find a place there now; what was asked of a silent one goes elsewhere."""
        if link.silent:
            self._seek_again(a for a in self._asked.values() if a.link is link)
        elif link.state.phase == Phase.SERVING:
            seats = link.state.seats
            self._seek_again(
                asking
                for asking in self._waiting.values()
                if asking.request.room or asking.request.kind in seats
            )

    def link_down(self, link: ApiLink) -> None:
        """What was asked there goes elsewhere."""
        del self._links[link]
        self._seek_again(a for a in self._asked.values() if a.link is link)

    def seated(self, link: ApiLink, seat: nodes.Seated) -> Session | None:
        """Whose seat it is, or None if nobody waits for it any more."""
        asking = self._answered(seat.call)
        if asking is None or asking.link is not link:
            return None
        del self._asking[asking.session]
        return asking.session

    def refused(self, link: ApiLink, refusal: nodes.Refused) -> None:
        """A second choice where that can help, else the client is told."""
        asking = self._answered(refusal.call)
        if asking is None:
            return
        asking.refused_by.add(link.node.incarnation)
        elsewhere = {nodes.DRAINING} | ({"no_such_room"} if asking.request.room else {"full"})
        if refusal.code not in KNOWN_CODES:
            log.warning("join.strange_refusal", node=link.node.name, code=refusal.code)
            refusal = nodes.Refused(refusal.call, ErrorCode.BAD_INPUT, refusal.message)
        if refusal.code != nodes.DRAINING:
            asking.last_refusal = refusal
        if refusal.code in elsewhere:
            self._seek(asking, self.known)
        else:
            self._refuse(asking, ErrorCode(refusal.code), refusal.message)

    # the steps

    def _seek(self, asking: _Asking, known: list[GameNode]) -> None:
        """Asks the best of ``known`` that has not refused; without one waits, or refuses."""
        request = asking.request
        if request.room:
            rest = [
                n for n in holders(known, request.room) if n.incarnation not in asking.refused_by
            ]
            node = rest[0] if rest else None
        else:
            node = choose(known, request.kind, new=request.new, without=asking.refused_by)
        if node is not None:
            self._ask(asking, node)
        elif not self._heard():
            self._wait(asking)
        elif asking.last_refusal is not None:
            refusal = asking.last_refusal
            self._refuse(asking, ErrorCode(refusal.code), refusal.message)
        elif known and not request.room and not knows_kind(known, request.kind):
            self._refuse(asking, ErrorCode.NO_SUCH_KIND, f"no game node has {request.kind!r}")
        else:
            self._wait(asking)

    def _wait(self, asking: _Asking) -> None:
        asking.link = None
        self._waiting[asking.session] = asking

    def _ask(self, asking: _Asking, node: GameNode) -> None:
        link = next(link for link in self._links if link.node.incarnation == node.incarnation)
        asking.link, asking.call = link, next(self._calls)
        self._asked[asking.call] = asking
        request = asking.request
        if not request.room:
            self._links[link][request.kind, request.new] += 1
        link.send(
            nodes.Join(
                call=asking.call,
                kind=request.kind,
                room=request.room,
                new=request.new,
                options=bytes(request.options),
                name=request.name,
                key=request.key,
            )
        )

    def _answered(self, call: int) -> _Asking | None:
        """The join numbered ``call``, which is under way no more; None if there is none."""
        if (asking := self._asked.pop(call, None)) is None:
            return None
        request = asking.request
        if not request.room and asking.link in self._links:
            self._links[asking.link][request.kind, request.new] -= 1
        return asking

    def _refuse(self, asking: _Asking, code: ErrorCode, message: str) -> None:
        self.forget(asking.session)
        asking.session.refused(code, message)

    def _seek_again(self, askings: Iterable[_Asking]) -> None:
        for asking in list(askings):
            self._answered(asking.call)
            self._waiting.pop(asking.session, None)
            self._seek(asking, self.known)


def _seen(link: ApiLink, asked: UnderWay) -> GameNode:
    return GameNode(
        address=link.address,
        name=link.node.name,
        incarnation=link.node.incarnation,
        version=link.node.version,
        born=link.node.born,
        state=link.state,
        asked=asked,
        silent=link.silent,
    )
