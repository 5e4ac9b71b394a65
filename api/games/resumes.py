"""Resumes under way: which game node is asked for a place, who waits, and what a guesser meets.

The node that the ticket hints at is asked first, then the others, one after the other. A place is
declared unknown only when each attached game node has said so and no other can have it. Until then
a resume waits, ``resume_seconds`` at most, for a node that is silent, is just being met, is gone
for a moment, or is named by the ticket and was never met here. That node may have given the room to
one that had refused before: after the wait all are asked again. A node whose version cannot resume
has no places, and neither has one that could not be reached for too long
(:mod:`lastcall.core.edge.missing_nodes`).

A player whose room was given up may get their place at a node that has just refused them
(:mod:`lastcall.core.edge.met_nodes`). So a resume that may be theirs asks all nodes again from time
to time, and is declared unknown only after a refusal that came later than any such place.

A resume may bring a whole history on the feed. So at most ``at_once`` of them are under way on a
link, and the others queue; the time in a living link's queue is not held against them.
"""

from __future__ import annotations

import operator
from collections import OrderedDict
from collections.abc import Callable, Iterator
from functools import partial

import trio

from lastcall.api.games.calls import PendingCalls, give_up
from lastcall.api.games.candidates import LEAVING, PlaceLookup
from lastcall.api.games.moved_rooms import MovedRooms
from lastcall.api.games.pending_resume import PendingResume
from lastcall.api.limits import ClientLimits
from lastcall.api.sessions.place import goodbye
from lastcall.api.sessions.session import Session
from lastcall.core.accounts import ClientCharges
from lastcall.core.edge.calls import Call
from lastcall.core.edge.met_nodes import MetNodes
from lastcall.core.edge.missing_nodes import MissingNodes
from lastcall.core.edge.next_steps import Ask, NotThere, Wait
from lastcall.core.edge.placement import hint
from lastcall.core.lifecycle import Phase
from lastcall.ids import Incarnation, Ticket
from lastcall.links.link import GameLink
from lastcall.reasons import Close, ErrorCode
from lastcall.runtime.batches import each
from lastcall.runtime.rated_log import RatedLog
from lastcall.wire import nodes

ASK_AGAIN_SECONDS = 0.5
"""Between two rounds of one resume to the nodes that may have got its place meanwhile."""


ResumeCall = Call[PendingResume, GameLink, str]
WaitQueue = OrderedDict[PendingResume, None]


class Resumes(PendingCalls[PendingResume, str]):
    """Every resume that is not answered yet; at most ``at_once`` are asked of a link.

    ``missing()`` tells what the game nodes may have that cannot be asked. A place whose room was
    given up is at another node ``regroup_seconds`` later at the latest. ``numbers`` numbers the
    calls.
    """

    def __init__(
        self,
        *,
        numbers: Iterator[int],
        missing: Callable[[], MissingNodes],
        resume_seconds: float,
        regroup_seconds: float,
        limits: ClientLimits,
        at_once: int,
        moved_rooms: MovedRooms,
    ) -> None:
        super().__init__(numbers, moved_rooms)
        self._resume_seconds = resume_seconds
        self._at_once = at_once
        self._limits = limits
        self._unexpected = RatedLog("resume.unexpected_refusal")
        self._endless = RatedLog("room.moves_without_end")
        self._queues: dict[GameLink, WaitQueue] = {}
        self._met = MetNodes(regroup_seconds)
        self._lookup = PlaceLookup(self._met, missing)

    def __len__(self) -> int:
        """How many resumes and calls are not answered."""
        return super().__len__() + sum(map(len, self._queues.values()))

    # From the client.

    def begin(self, session: Session, ticket: Ticket, seen: int) -> None:
        """Finds the place; a ``ticket`` without a room is invalid, and fails as a guess does.

        Either :meth:`seated` returns the session, or its ``lose`` or ``refused`` is called.
        """
        expires_at = trio.current_time() + self._resume_seconds
        failures = ClientCharges(self._limits.failed_resumes, session.guest.accounts)
        pending = PendingResume(
            session, self._pending, expires_at, session.guest.identity, ticket, seen, failures
        )
        if self._lookup.is_attached(to := self._moved_rooms.where(ticket.room)):
            pending.trail.to = to
        self._pending[session] = pending
        self._advance(pending)

    async def sweep(self, now: float) -> None:
        """Ends resumes that have waited for long enough."""
        for call in give_up(self._calls.due(now)):
            call.request.lose(Close.TRY_AGAIN_LATER)
            self._ask_queued(call.link)
        await each(self._due(now), operator.call)

    def _due(self, now: float) -> Iterator[Callable[[], None]]:
        """The steps that are due by the clock, or because a node is certainly gone."""
        missing = self._lookup.missing()
        for pending in list(self._waiting):
            if pending.queue is not self._waiting:
                continue  # a link has changed after an earlier step
            refused = self._lookup.all_in(pending.refused_by)
            if refused and isinstance(self._lookup.next_step(pending, missing, now), NotThere):
                yield partial(self._advance, pending)
            elif pending.expires_at <= now:
                yield partial(pending.lose, Close.TRY_AGAIN_LATER)
            elif pending.ask_again_if_due(now):
                yield partial(self._advance, pending)

    # From the links.

    def link_up(self, link: GameLink) -> None:
        """A game node is there: waiting resumes may be asked for there."""
        self._queues[link] = OrderedDict()
        self._met.meet(link.node.name, trio.current_time())
        self.link_state(link)

    def link_state(self, link: GameLink) -> None:
        """A node fell silent: what it was asked, or is queued for it, goes elsewhere. Or speaks."""
        self._lookup.update(self._queues)
        if link.state.phase == Phase.STOPPED:
            self._met.leave(link.node.name, trio.current_time())
        if link.silent:
            self._ask_elsewhere(give_up(self._calls.abandon(link)), self._queues[link])
        else:
            incarnation = link.node.incarnation
            for pending in [one for one in self._waiting if incarnation not in one.refused_by]:
                self._advance(pending)

    def link_down(self, link: GameLink) -> None:
        """Its calls and its queue go to other nodes."""
        queued = self._queues.pop(link)
        self._lookup.update(self._queues)
        if link.state.phase in LEAVING:
            self._met.leave(link.node.name, trio.current_time())
        self._ask_elsewhere(self._calls.link_lost(link), queued)

    def seated(
        self, link: GameLink, item: nodes.Seated | nodes.Resumed
    ) -> Session | nodes.Leave | nodes.Absent | None:
        """Whose place it is; if they are gone, the item to send to the game node; None if no resume
        has asked. The place of a room that was regrouped is a new seat.
        """
        call = self._calls.answered(link, item.call)
        if call is None:
            return None
        session = None if call.abandoned else call.request.give_back()
        self._ask_queued(link)
        return session or goodbye(item, left=call.request.left)

    # The steps.

    def _ask_elsewhere(self, calls: list[ResumeCall], queued: WaitQueue) -> None:
        """The node that was asked is silent or gone: a node that has refused may have its rooms by
        now, and is asked again.
        """
        for pending in [*(call.request for call in calls), *queued]:
            pending.ask_all_again()
            self._advance(pending)

    def _advance(self, pending: PendingResume) -> None:
        """Queues for the next node to ask; without one it waits, or has failed."""
        if pending.session is None:
            return
        lookup = self._lookup
        match lookup.next_step(pending, lookup.missing(), trio.current_time()):
            case Ask(node):
                link = lookup.link(node)
                pending.move(self._queues[link])
                self._ask_queued(link)
            case Wait(suspect):
                if suspect:
                    pending.charge()
                pending.waited = True
                pending.move(self._waiting)
            case NotThere() if pending.waited:
                pending.ask_all_again()
                self._advance(pending)
            case NotThere():
                if pending.admit(self._limits):
                    pending.charge()
                    pending.lose(Close.NO_SUCH_PLACE)

    def _ask_queued(self, link: GameLink) -> None:
        """Asks for the first in the link's queue, as many as may be under way."""
        queue = self._queues.get(link)
        while queue and self._calls.open(link).get("resume", 0) < self._at_once:
            pending = next(iter(queue))
            if pending.admit(self._limits):
                pending.move(None)
                self._calls.send(pending, link, pending.item, "resume")

    def _refused(self, call: ResumeCall, refusal: nodes.Refused) -> None:
        pending, node = call.request, call.link.node
        if call.abandoned:
            pass
        elif refusal.code == nodes.CANCELLED:
            pending.give_back()
        elif pending.follow(node.incarnation, refusal, trio.current_time()):
            if pending.trail.endless:
                self._endless.warning(room=pending.ticket.room)
                pending.lose(Close.TRY_AGAIN_LATER)
            self._advance(pending)
        elif refusal.code == nodes.NO_SUCH_PLACE:
            self._not_there(pending, node.incarnation, refusal)
        elif refusal.code == ErrorCode.BAD_FRAME:
            if (session := pending.give_back()) is not None:
                session.refused(ErrorCode.BAD_FRAME, refusal.message)
        else:
            if refusal.code != ErrorCode.NO_GAME_NODE:
                self._unexpected.warning(game=node.name, code=refusal.code)
            pending.lose(Close.TRY_AGAIN_LATER)
        self._ask_queued(call.link)

    def _not_there(self, pending: PendingResume, node: Incarnation, refusal: nodes.Refused) -> None:
        pending.refused(node)
        now = trio.current_time()
        if self._met.may_regroup(hint(pending.ticket.room), now):
            pending.again_at = min(pending.again_at, now + ASK_AGAIN_SECONDS)
        pending.ended |= refusal.ended
        if pending.session is None:
            pending.charge()
        else:
            self._advance(pending)
