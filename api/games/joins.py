"""Joins under way: which game node is asked, and which is asked next.

A join goes to the node that placement chooses. If that node refuses because it drains, is full or
does not know the room, another is chosen, and the client does not notice. While no node takes
rooms a join waits for a moment: a node that is just starting needs less than a second.

A join with a ``key``, or for a player who was regrouped, may repeat an earlier one, for which
placement chose another node. So all other nodes that could have that seat are asked for it first,
at the same time. Only when they have refused, or are gone or silent, the join goes to the chosen
node.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial

import trio

from lastcall.api.games.calls import PendingCalls, give_up
from lastcall.api.games.moved_rooms import MovedRooms
from lastcall.api.games.pending_join import PendingJoin
from lastcall.api.limits import ClientLimits
from lastcall.api.sessions.place import goodbye
from lastcall.api.sessions.session import Session
from lastcall.core.edge.calls import Call
from lastcall.core.edge.missing_nodes import MissingNodes
from lastcall.core.edge.next_steps import Ask, Refuse, Wait, next_join_step, node_for_join
from lastcall.core.edge.placement import Candidate, hint
from lastcall.core.lifecycle import Phase
from lastcall.ids import Incarnation, KindName, RoomId
from lastcall.links.candidates import as_candidate
from lastcall.links.link import GameLink
from lastcall.reasons import ErrorCode
from lastcall.runtime.rated_log import RatedLog
from lastcall.wire import frames, nodes

ASK_ANOTHER = {nodes.DRAINING, nodes.MOVED}
KNOWN_CODES = frozenset(ErrorCode) | ASK_ANOTHER
NO_NODE = Refuse(ErrorCode.NO_GAME_NODE, "no game node takes rooms now; try again in a moment")
NO_ANSWER = Refuse(ErrorCode.NO_GAME_NODE, "the game node does not answer")


JoinCall = Call[PendingJoin, GameLink, tuple[KindName, bool]]


class Joins(PendingCalls[PendingJoin, tuple[KindName, bool]]):
    """The attached game nodes, and every join that is not answered yet.

    ``all_met`` tells whether every game node has been met; before that a *no* may come from the
    wrong ones. ``missing`` tells which nodes cannot be asked now. ``numbers`` numbers the calls. A
    key that another identity's seat has counts as a failed resume in ``limits``.
    """

    def __init__(
        self,
        all_met: Callable[[], bool],
        numbers: Iterator[int],
        limits: ClientLimits,
        missing: Callable[[], MissingNodes],
        moved_rooms: MovedRooms,
    ) -> None:
        super().__init__(numbers, moved_rooms)
        self._missing = missing
        self._all_met = all_met
        self._limits = limits
        self._unexpected = RatedLog("join.unexpected_refusal")
        self._endless = RatedLog("room.moves_without_end")
        self._links: dict[Incarnation, GameLink] = {}

    @property
    def known(self) -> list[Candidate]:
        """The attached game nodes, with the joins that are under way to each."""
        return [as_candidate(link, self._calls.open(link)) for link in self._links.values()]

    # From the client.

    def begin(
        self,
        session: Session,
        request: frames.Join,
        patience_seconds: float,
        former: tuple[str, ...] = (),
    ) -> None:
        """Finds a seat; without a node that takes rooms it waits for ``patience_seconds``.

        ``former`` are the tickets that the client of a regrouped room may still have.
        Either :meth:`seated` returns the session for a seat, or ``session.refused`` is called.
        """
        expires_at = trio.current_time() + patience_seconds
        pending = PendingJoin(session, self._pending, expires_at, request, session.guest, former)
        if (to := self._moved_rooms.where(request.room)) in self._links:
            pending.trail.to = to
        self._pending[session] = pending
        if pending.admit(self._limits):
            self._advance(pending)

    def forget(self, session: Session) -> None:
        """The session is gone. The join of a regrouped player goes on, since they come back to the
        seat, unless they have left.
        """
        pending = self._pending.get(session)
        if pending is not None and (session.leaving or not pending.former):
            super().forget(session)

    async def sweep(self, now: float) -> None:
        """Refuses joins that have waited too long."""
        for pending in [p for p in self._waiting if p.expires_at <= now]:
            pending.refuse(NO_NODE if pending.expected else pending.refusal or NO_NODE)
        for pending in [p for p in self._waiting if p.missing]:
            self._advance(pending)
        for pending in [p for p in self._waiting if p.retry_at <= now]:
            pending.asked_for_key -= pending.retried
            pending.ask_again()
            self._advance(pending)
        for call in give_up(self._calls.due(now)):
            if not self._key_not_there(call):
                call.request.refuse(NO_ANSWER)

    # From the links.

    def link_up(self, link: GameLink) -> None:
        """A game node is there: waiting joins may find a seat there."""
        self._links[link.node.incarnation] = link
        self.link_state(link)

    def link_state(self, link: GameLink) -> None:
        """Waiting joins may find a seat there; the calls to a silent node go to another."""
        if link.silent:
            self._ask_elsewhere(give_up(self._calls.abandon(link)))
        elif link.state.phase == Phase.SERVING:
            seats = link.state.seats
            for pending in list(self._waiting):
                if pending.request.room or pending.request.kind in seats:
                    self._advance(pending)
        else:
            for pending in [p for p in self._waiting if p.trail.to == link.node.incarnation]:
                self._advance(pending)

    def link_down(self, link: GameLink) -> None:
        """Its calls go to another node."""
        if self._links.get(link.node.incarnation) is link:
            del self._links[link.node.incarnation]
        self._ask_elsewhere(self._calls.link_lost(link))

    def seated(self, link: GameLink, seat: nodes.Seated) -> Session | nodes.Leave | nodes.Absent:
        """The session that the seat is for; if it is gone, the item to send to the game node.

        A seat without a key is left, since its player cannot come back to it. A seat with a key
        or a former ticket is kept for a while, unless the client has given it up.
        """
        call = self._calls.answered(link, seat.call)
        if call is not None and not call.abandoned and (session := call.request.end()):
            give_up(self._calls.cancel(call.request))  # else another node could seat it, too
            return session
        kept = call is None or (call.request.returns and not call.request.left)
        return goodbye(seat, left=not kept)

    # The steps.

    def _advance(self, pending: PendingJoin) -> None:
        """Asks for the key's seat, then the best node that has not refused; waits, or refuses."""
        pending.move(None)
        if pending.session is None:
            return
        request, known = pending.request, self.known
        node = node_for_join(
            request, known, pending.refused_by, pending.trail.to, expected=pending.expected
        )
        if pending.returns and not request.room:
            self._ask_for_key(pending, [one for one in known if one is not node])
        pending.missing = self._may_be_missing(request.room, known)
        may_change = bool(pending.questions) or pending.expected or pending.missing
        may_change = may_change or not self._all_met()
        match next_join_step(request, node, known, pending.refusal, may_change=may_change):
            case Ask(chosen):
                if not pending.questions:
                    tag = None if request.room else (request.kind, request.new)
                    self._calls.send(pending, self._links[chosen.incarnation], pending.item, tag)
            case Wait():
                pending.move(self._waiting)
            case Refuse() as refusal:
                pending.refuse(refusal)

    def _may_be_missing(self, room: str, known: list[Candidate]) -> bool:
        """Whether a node that cannot be asked now may have the room, if a request names one."""
        if not room:
            return False
        name = hint(RoomId(room))
        answers = any(node.name == name and not node.silent for node in known)
        return self._missing().may_have(name, hint_answers=answers)

    def _ask_for_key(self, pending: PendingJoin, others: Iterable[Candidate]) -> None:
        """Asks each node that may have the key's seat once; an older version would make one."""
        asked = {call.link.node.incarnation for call in self._calls.cancel(pending)}
        done = pending.asked_for_key | pending.refused_by | asked
        for node in others:
            if node.silent or node.incarnation in done or node.state.phase == Phase.STOPPED:
                continue
            link = self._links[node.incarnation]
            if pending.request.kind in node.state.seats and link.node.wire >= nodes.RESUMES:
                pending.asked_for_key.add(node.incarnation)
                item = partial(pending.item, seated_only=True)
                pending.questions.add(self._calls.send(pending, link, item))

    def _ask_elsewhere(self, calls: list[JoinCall]) -> None:
        """The node that was asked is silent or gone: a node that has refused may have the named
        room by now, and is asked again.
        """
        for call in calls:
            if call.request.room:
                call.request.refused_by.clear()
            if call.request.trail.to == (node := call.link.node.incarnation):
                call.request.asked_for_key.discard(node)
            if not self._key_not_there(call):
                self._advance(call.request)

    def _key_not_there(self, call: JoinCall) -> bool:
        """Whether ``call`` asked for a key's seat; after the last such call the join goes on."""
        questions = call.request.questions
        if call.number not in questions:
            return False
        questions.remove(call.number)
        if not questions:
            self._advance(call.request)
        return True

    def _refused(self, call: JoinCall, refusal: nodes.Refused) -> None:
        if refusal.code == nodes.WRONG_KEY:
            give_up(self._calls.cancel(call.request))
            call.request.wrong_key(self._limits)
            return
        pending, node = call.request, call.link.node
        if not call.abandoned and self._may_be_elsewhere(call, refusal):
            return
        if call.abandoned or self._key_not_there(call):
            return
        pending.refused(node.incarnation)
        code = refusal.code
        if code not in KNOWN_CODES:
            self._unexpected.warning(game=node.name, code=code)
            code = ErrorCode.BAD_INPUT
        if code in ASK_ANOTHER:
            self._advance(pending)
            return
        if code in {ErrorCode.FULL, ErrorCode.LOCKED}:
            pending.charge_guess(self._limits)
        pending.refusal = Refuse(ErrorCode(code), refusal.message)
        if code == (ErrorCode.NO_SUCH_ROOM if pending.request.room else ErrorCode.FULL):
            self._advance(pending)
        else:
            pending.refuse(pending.refusal)

    def _may_be_elsewhere(self, call: JoinCall, refusal: nodes.Refused) -> bool:
        """Whether the refusal says where the room or the key's seat is, or may be soon."""
        pending, node = call.request, call.link.node.incarnation
        pending.trail.refused(node)
        seeks = pending.returns or pending.request.room
        if not (seeks and pending.follow(node, refusal, trio.current_time())):
            return False
        pending.questions.discard(call.number)
        pending.asked_for_key.discard(refusal.to)
        if pending.trail.endless:
            self._endless.warning(room=pending.request.room)
            give_up(self._calls.cancel(pending))
            pending.refuse(NO_ANSWER)
        self._advance(pending)
        return True
