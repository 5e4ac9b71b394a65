"""Joins under way: which game node is asked, and what is asked again.

A join goes to the node that placement chooses. A node that refuses because it drains, is full or
does not know the room costs a second choice, and the client sees nothing of it. While no node takes
rooms a join waits for a moment: a node that is just coming up is worth less than a second.

A join with a ``key`` may be one that was said before, when placement chose another node. So all
others that could hold the key's seat are asked first, at the same time: a seat there is taken. Only
when they have said no, or are gone or silent, the join goes to the chosen one.

A node that is not waited for any more is told so: a join that reached it late, since it or the link
stood still, must not take the seat that the player has by then through another api node.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType

import structlog
import trio

from lastcall.api.games.link import GameLink
from lastcall.api.sessions.session import Session
from lastcall.core.edge.placement import Candidate, choose, holders, knows_kind
from lastcall.core.lifecycle import Phase
from lastcall.ids import Incarnation, KindName
from lastcall.reasons import ErrorCode
from lastcall.wire import frames, nodes

__all__ = ["ANSWER_SECONDS", "SWEEP_SECONDS", "Joins", "as_placed"]

log = structlog.get_logger()

SWEEP_SECONDS = 0.1
ANSWER_SECONDS = 10.0
"""A game node whose link lives answers at once; one that does not by then has no answer."""
UnderWay = Counter[tuple[KindName, bool]]
"""Joins that a link has not answered yet: how many of each kind, and of its own room."""
NOTHING: Mapping[tuple[KindName, bool], int] = MappingProxyType({})
KNOWN_CODES = frozenset(ErrorCode) | {nodes.DRAINING}


class PendingJoin:
    """One join under way: with nodes, or waiting for one; ``session`` is None when it is over."""

    __slots__ = (
        "calls",
        "expires_at",
        "last_refusal",
        "questions",
        "refused_by",
        "request",
        "session",
        "without_key",
    )

    def __init__(self, session: Session, request: frames.Join, expires_at: float) -> None:
        self.session: Session | None = session
        self.request = request
        self.expires_at = expires_at
        self.calls: dict[int, _Call] = {}
        """What no node has answered yet."""
        self.refused_by: set[Incarnation] = set()
        self.without_key: set[Incarnation] = set()
        """Who has been asked for the key's seat."""
        self.questions: set[int] = set()
        """Those questions that are not answered yet."""
        self.last_refusal: nodes.Refused | None = None


class _Call:
    """What one node was asked; ``over`` when its answer is no more waited for."""

    __slots__ = ("asking", "expires_at", "link", "over", "question")

    def __init__(self, asking: PendingJoin, link: GameLink, *, question: bool) -> None:
        self.asking = asking
        self.link = link
        self.question = question
        self.expires_at = trio.current_time() + ANSWER_SECONDS
        self.over = False

    @property
    def live(self) -> bool:
        return not self.over and self.asking.session is not None


class Joins:
    """The attached game nodes, and every join that is not answered yet.

    ``calls`` numbers the calls, of resumes too. What is remembered is bounded by the sockets and,
    for those that went before their answer, by what a link has not answered yet.
    """

    def __init__(self, heard: Callable[[], bool], calls: Iterator[int]) -> None:
        self._heard = heard
        """Whether every game node has been met: before, a *no* may come from the wrong ones."""
        self._calls = calls
        self._links: dict[GameLink, UnderWay] = {}
        self._asking: dict[Session, PendingJoin] = {}
        self._asked: dict[int, _Call] = {}
        self._waiting: dict[PendingJoin, None] = {}

    @property
    def known(self) -> list[Candidate]:
        """The game nodes that are attached, with the joins that are under way to each."""
        return [as_placed(link, under_way) for link, under_way in self._links.items()]

    # from the client

    def begin(self, session: Session, request: frames.Join, patience_seconds: float) -> None:
        """Seeks a seat; without a node that takes rooms it waits for so many seconds.

        Either :meth:`seated` returns the session for a seat, or ``session.refused`` is called.
        """
        expires_at = trio.current_time() + patience_seconds
        asking = self._asking[session] = PendingJoin(session, request, expires_at)
        self._seek(asking)

    def forget(self, session: Session) -> None:
        """The session is gone: a seat that still comes for it is nobody's."""
        if (asking := self._over(session)) is not None:
            for number, call in asking.calls.items():
                call.link.send(nodes.Cancel(number))

    def _over(self, session: Session) -> PendingJoin | None:
        """It is answered, or gone; None if it has asked for nothing."""
        asking = self._asking.pop(session, None)
        if asking is not None:
            self._waiting.pop(asking, None)
            asking.session = None
        return asking

    async def sweep(self) -> None:
        """Refuses what has waited for too long, until cancelled."""
        while True:
            await trio.sleep(SWEEP_SECONDS)
            now = trio.current_time()
            for asking in [a for a in self._waiting if a.expires_at <= now]:
                self._give_up(asking)
            for number, call in [(n, c) for n, c in self._asked.items() if c.expires_at <= now]:
                self._answered(call.link, number)
                call.link.send(nodes.Cancel(number))
                if call.live and call.question:
                    self._no_key_there(call.asking, number)
                elif call.live:
                    message = "the game node does not answer"
                    self._refuse(call.asking, ErrorCode.NO_GAME_NODE, message)

    def _give_up(self, asking: PendingJoin) -> None:
        if (refusal := asking.last_refusal) is not None:
            self._refuse(asking, ErrorCode(refusal.code), refusal.message)
        else:
            message = "no game node takes rooms now; try again in a moment"
            self._refuse(asking, ErrorCode.NO_GAME_NODE, message)

    # from the links

    def link_up(self, link: GameLink) -> None:
        """A game node is there."""
        self._links[link] = Counter()

    def link_state(self, link: GameLink) -> None:
        """What waits may find a place there now; what was asked of a silent one goes elsewhere."""
        if link.silent:
            self._ask_elsewhere(link)
        elif link.state.phase == Phase.SERVING:
            seats = link.state.seats
            for asking in [
                asking
                for asking in self._waiting
                if asking.request.room or asking.request.kind in seats
            ]:
                self._waiting.pop(asking, None)
                self._seek(asking)

    def link_down(self, link: GameLink) -> None:
        """What was asked there goes elsewhere."""
        del self._links[link]
        self._ask_elsewhere(link)
        for number in [n for n, call in self._asked.items() if call.link is link]:
            del self._asked.pop(number).asking.calls[number]

    def seated(self, link: GameLink, seat: nodes.Seated) -> Session | nodes.Leave | nodes.Absent:
        """Whose seat it is; for nobody's, what the game node is to be told.

        Without a key nobody can ever come back to a seat that he has not heard of: it is given
        up. One with a key is kept for a while.
        """
        call = self._answered(link, seat.call)
        session = call.asking.session if call is not None and call.live else None
        if session is not None:
            self._over(session)
            return session
        if call is None or call.asking.request.key:
            return nodes.Absent(seat.room, seat.player, seat.session)
        return nodes.Leave(seat.room, seat.player, seat.session)

    def refused(self, link: GameLink, refusal: nodes.Refused) -> bool:
        """A second choice where that can help, else the client is told. False: not a join's."""
        call = self._answered(link, refusal.call)
        if call is not None and call.live:
            if call.question:
                self._no_key_there(call.asking, refusal.call)
            else:
                self._no_seat_there(call.asking, link, refusal)
        return call is not None

    # the steps

    def _seek(self, asking: PendingJoin) -> None:
        """Asks for the key's seat, then the best node that has not refused; waits, or refuses."""
        known = self.known
        node = self._choose(asking, known)
        if asking.request.key and not asking.request.room:
            self._ask_for_key(asking, [one for one in known if one is not node])
        if node is not None:
            if not asking.questions:
                self._ask(asking, node.incarnation)
        elif asking.questions or not self._heard():
            self._waiting[asking] = None
        elif asking.last_refusal is not None:
            self._give_up(asking)
        elif known and not asking.request.room and not knows_kind(known, asking.request.kind):
            message = f"no game node has {asking.request.kind!r}"
            self._refuse(asking, ErrorCode.NO_SUCH_KIND, message)
        else:
            self._waiting[asking] = None

    def _choose(self, asking: PendingJoin, known: list[Candidate]) -> Candidate | None:
        request, without = asking.request, asking.refused_by
        if not request.room:
            return choose(known, request.kind, new=request.new, without=without)
        rest = (node for node in holders(known, request.room) if node.incarnation not in without)
        return next(rest, None)

    def _ask_for_key(self, asking: PendingJoin, others: Iterable[Candidate]) -> None:
        """Asks those that may hold the key's seat, each once; an older version would make one."""
        done = asking.without_key | asking.refused_by
        for node in others:
            if node.silent or node.incarnation in done or node.state.phase == Phase.STOPPED:
                continue
            if asking.request.kind in node.state.seats:
                link = self._link(node.incarnation)
                if link.node.wire >= nodes.RESUMES:
                    asking.without_key.add(node.incarnation)
                    asking.questions.add(self._call(asking, link, question=True))

    def _ask(self, asking: PendingJoin, incarnation: Incarnation) -> None:
        link, request = self._link(incarnation), asking.request
        if not request.room:
            self._links[link][request.kind, request.new] += 1
        self._call(asking, link, question=False)

    def _call(self, asking: PendingJoin, link: GameLink, *, question: bool) -> int:
        number, request = next(self._calls), asking.request
        call = self._asked[number] = _Call(asking, link, question=question)
        asking.calls[number] = call
        link.send(
            nodes.Join(
                call=number,
                kind=request.kind,
                room=request.room,
                new=request.new,
                options=bytes(request.options),
                name=request.name,
                key=request.key,
                seated_only=question,
            )
        )
        return number

    def _link(self, incarnation: Incarnation) -> GameLink:
        return next(link for link in self._links if link.node.incarnation == incarnation)

    def _answered(self, link: GameLink, number: int) -> _Call | None:
        """The call ``number``, which is under way no more; None if ``link`` was not asked it."""
        call = self._asked.get(number)
        if call is None or call.link is not link:
            return None
        del self._asked[number]
        del call.asking.calls[number]
        request = call.asking.request
        if link in self._links and not call.question and not request.room:
            self._links[link][request.kind, request.new] -= 1
        return call

    def _no_key_there(self, asking: PendingJoin, number: int) -> None:
        asking.questions.discard(number)
        if not asking.questions:
            self._waiting.pop(asking, None)
            self._seek(asking)

    def _no_seat_there(self, asking: PendingJoin, link: GameLink, refusal: nodes.Refused) -> None:
        asking.refused_by.add(link.node.incarnation)
        elsewhere = {nodes.DRAINING} | ({"no_such_room"} if asking.request.room else {"full"})
        if refusal.code not in KNOWN_CODES:
            log.warning("join.unexpected_refusal", node=link.node.name, code=refusal.code)
            refusal = nodes.Refused(refusal.call, ErrorCode.BAD_INPUT, refusal.message)
        if refusal.code != nodes.DRAINING:
            asking.last_refusal = refusal
        if refusal.code in elsewhere:
            self._seek(asking)
        else:
            self._refuse(asking, ErrorCode(refusal.code), refusal.message)

    def _refuse(self, asking: PendingJoin, code: ErrorCode, message: str) -> None:
        if (session := asking.session) is not None:
            self._over(session)
            session.refused(code, message)

    def _ask_elsewhere(self, link: GameLink) -> None:
        """The link is silent or gone. What it still answers is nobody's."""
        there = [(n, call) for n, call in self._asked.items() if call.link is link and call.live]
        for number, call in there:
            call.over = True
            link.send(nodes.Cancel(number))
            if call.question:
                self._no_key_there(call.asking, number)
            else:
                self._seek(call.asking)


def as_placed(link: GameLink, asked: Mapping[tuple[KindName, bool], int] = NOTHING) -> Candidate:
    """A link's game node, as placement sees it; ``asked`` are the joins under way to it."""
    return Candidate(
        address=link.address,
        name=link.node.name,
        incarnation=link.node.incarnation,
        version=link.node.version,
        born=link.node.born,
        state=link.state,
        asked=asked,
        silent=link.silent,
    )
