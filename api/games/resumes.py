"""Resumes under way: who is asked for a place, who waits, and what a guesser meets.

The node that the ticket hints at is asked first, then the others, one after the other. A place is
declared unknown only when each attached game node has said so and no other can be there: until
then a resume waits, ``resume_seconds`` at the most, for a node that is silent, just being met, gone
for a moment, or hinted at by the ticket and not heard of here before. A node whose version cannot
resume holds no place.

A resume may bring a whole history on the feed, so a link has at most ``at_once`` of them under
way, and the others stand in line: the time in a living link's line is not held against them.

A node that is not waited for any more is told so: a resume that reached it late, since it or the
link stood still, must not take the place that the player has by then through another api node.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator

import structlog
import trio

from lastcall.api.games.candidates import PlaceLookup
from lastcall.api.games.joins import ANSWER_SECONDS, SWEEP_SECONDS
from lastcall.api.games.link import GameLink
from lastcall.api.sessions.session import Session
from lastcall.core.edge.ticket_rate_limit import FailedResumeLimiter
from lastcall.ids import Incarnation, Ticket
from lastcall.policy import SocketPolicy
from lastcall.reasons import ErrorCode
from lastcall.runtime.batches import each
from lastcall.wire import nodes

__all__ = ["Resumes"]

log = structlog.get_logger()


WaitQueue = OrderedDict["PendingResume", None]
"""A line or a room to wait in. (The first of a plain dict is found slowly after many have left.)"""
_Step = Callable[["PendingResume"], None]
_Due = tuple["PendingResume", WaitQueue, _Step]
"""Whom something is to be done with, if he is still in that spot; and what."""


class PendingResume:
    """One resume under way: in a ``spot`` or with a node; ``session`` is None when it is over."""

    __slots__ = (
        "address",
        "admitted",
        "asked",
        "charged",
        "expires_at",
        "ready_at",
        "refused_by",
        "seen",
        "session",
        "spot",
        "ticket",
    )

    def __init__(self, session: Session, ticket: Ticket, seen: int, expires_at: float) -> None:
        self.session: Session | None = session
        self.address = session.address
        self.ticket = ticket
        self.seen = seen
        self.expires_at = expires_at
        self.ready_at = 0.0
        self.asked: tuple[int, GameLink] | None = None
        """The call that is not answered yet."""
        self.admitted = False
        """Whether its turn among its address's attempts has come."""
        self.charged = False
        """Whether it counts as a failure already."""
        self.refused_by: set[Incarnation] = set()
        self.spot: WaitQueue | None = None

    def move(self, spot: WaitQueue | None) -> None:
        """To the end of ``spot``, out of where it was."""
        if self.spot is not None:
            del self.spot[self]
        self.spot = spot
        if spot is not None:
            spot[self] = None


class LinkQueue:
    """What one link has to answer, how many, and who waits for that."""

    __slots__ = ("asked", "queue")

    def __init__(self) -> None:
        self.asked = 0
        self.queue: WaitQueue = OrderedDict()


class _Call:
    __slots__ = ("expires_at", "link", "seeking")

    def __init__(self, seeking: PendingResume, link: GameLink) -> None:
        self.seeking = seeking
        self.link = link
        self.expires_at = trio.current_time() + ANSWER_SECONDS


class Resumes:
    """Every resume that is not answered yet; bounded by the sockets, and ``at_once`` a link.

    ``calls`` numbers the calls, of joins too. ``everyone()``: each known game node is attached now
    or is certainly not there, and it is known which there are.
    """

    def __init__(
        self,
        *,
        calls: Iterator[int],
        everyone: Callable[[], bool],
        policy: SocketPolicy,
        at_once: int,
    ) -> None:
        self._calls = calls
        self._everyone = everyone
        self._resume_seconds = policy.resume_seconds
        self._at_once = at_once
        self._failed_resumes = FailedResumeLimiter(
            policy.burst_failed_resumes, policy.failed_resumes_per_second
        )
        self._lines: dict[GameLink, LinkQueue] = {}
        self._lookup = PlaceLookup()
        self._seeking: dict[Session, PendingResume] = {}
        self._asked: dict[int, _Call] = {}
        self._waiting: WaitQueue = OrderedDict()
        self._slowed: WaitQueue = OrderedDict()

    # from the client

    def begin(self, session: Session, ticket: Ticket, seen: int) -> None:
        """Seeks the place; a ``ticket`` without a room is none, and fails as a guess does.

        Either :meth:`resumed` returns the session, or one of ``session.no_such_place``,
        ``not_found`` and ``bad_resume`` is called.
        """
        expires_at = trio.current_time() + self._resume_seconds
        seeking = self._seeking[session] = PendingResume(session, ticket, seen, expires_at)
        self._go_on(seeking)

    def forget(self, session: Session) -> None:
        """The session is gone. What a node was asked still counts until it has answered."""
        if (seeking := self._seeking.get(session)) is not None:
            self._end(seeking)
            if seeking.asked is not None:
                number, link = seeking.asked
                link.send(nodes.Cancel(number))

    async def sweep(self) -> None:
        """The clock: slowed guesses go on, and what has waited too long ends; until cancelled."""
        while True:
            await trio.sleep(SWEEP_SECONDS)
            self._sweep_asked(trio.current_time())
            await each(self._due(trio.current_time()), _do_if_still_there)

    def _due(self, now: float) -> list[_Due]:
        """Whom the clock, or a node that is certainly gone, gives something to do."""
        due: list[_Due] = []
        due += [(one, self._slowed, self._go_on) for one in self._slowed if one.ready_at <= now]
        settled = bool(self._waiting and self._lines and self._everyone())
        for seeking in self._waiting:
            if (
                settled
                and self._lookup.all_in(seeking.refused_by)
                and not self._may_appear(seeking, now)
            ):
                due.append((seeking, self._waiting, self._go_on))
            elif seeking.expires_at <= now:
                due.append((seeking, self._waiting, self._not_found))
        return due

    def _sweep_asked(self, now: float) -> None:
        for number, call in [(n, c) for n, c in self._asked.items() if c.expires_at <= now]:
            if (seeking := self._answered(call.link, number)) is not None:
                call.link.send(nodes.Cancel(number))
                self._not_found(seeking)
                self._advance(call.link)

    # from the links

    def link_up(self, link: GameLink) -> None:
        """A game node is there: who waits may be asked for there."""
        self._lines[link] = LinkQueue()
        self._lookup.meet(link.node.name)
        self.link_state(link)

    def link_state(self, link: GameLink) -> None:
        """A node fell silent: who was asked there, or waits for it, goes elsewhere. Or speaks."""
        self._lookup.look(self._lines)
        if link.silent:
            self._ask_elsewhere(link, self._lines[link])
        else:
            incarnation = link.node.incarnation
            for seeking in [s for s in self._waiting if incarnation not in s.refused_by]:
                self._seek(seeking)

    def link_down(self, link: GameLink) -> None:
        """Who was asked there goes elsewhere."""
        line = self._lines.pop(link)
        self._lookup.look(self._lines)
        self._ask_elsewhere(link, line)

    def resumed(self, link: GameLink, item: nodes.Resumed) -> Session | None:
        """Whose place it is, or None: nobody's any more."""
        seeking = self._answered(link, item.call)
        if seeking is None:
            return None
        self._give_back(seeking)
        session = self._end(seeking)
        self._advance(link)
        return session

    def refused(self, link: GameLink, item: nodes.Refused) -> bool:
        """The next is asked where that can help, else the client is told. False: not a resume's."""
        seeking = self._answered(link, item.call)
        if seeking is None:
            return False
        if item.code == nodes.CANCELLED:
            self._give_back(seeking)
        elif item.code == nodes.NO_SUCH_PLACE:
            seeking.refused_by.add(link.node.incarnation)
            if seeking.session is None:
                self._charge(seeking)
            else:
                self._seek(seeking)
        elif item.code == ErrorCode.BAD_FRAME:
            self._give_back(seeking)
            if (session := self._end(seeking)) is not None:
                session.bad_resume(item.message)
        else:
            log.warning("resume.unexpected_refusal", node=link.node.name, code=item.code)
            self._not_found(seeking)
        self._advance(link)
        return True

    # the steps

    def _go_on(self, seeking: PendingResume) -> None:
        if seeking.ticket.room:
            self._seek(seeking)
        elif self._admit(seeking):
            self._no_such_place(seeking)

    def _seek(self, seeking: PendingResume) -> None:
        """Puts it in the line of the next node to ask; without one it waits, or has failed."""
        if seeking.session is None:
            return
        rest = self._lookup.of(seeking.ticket.room, seeking.refused_by)
        for node in rest:
            if not node.silent:
                link = self._lookup.link(node)
                seeking.move(self._lines[link].queue)
                self._advance(link)
                return
        if rest or not (self._lines and self._everyone()):
            seeking.move(self._waiting)
        elif self._may_appear(seeking, trio.current_time()):
            self._charge(seeking)  # until it is found it looks like a guess, and a flood of them
            seeking.move(self._waiting)
        elif self._admit(seeking):
            self._no_such_place(seeking)

    def _may_appear(self, seeking: PendingResume, now: float) -> bool:
        """Whether it is worth waiting for a node that was never met here."""
        return now < seeking.expires_at and self._lookup.may_appear(seeking.ticket.room)

    def _advance(self, link: GameLink) -> None:
        """Asks for the first in line, as many as may be under way."""
        line = self._lines.get(link)
        while line is not None and line.queue and line.asked < self._at_once:
            seeking = next(iter(line.queue))
            if self._admit(seeking):
                seeking.move(None)
                self._ask(seeking, link, line)

    def _admit(self, seeking: PendingResume) -> bool:
        """Whether it is its turn by the guesses of its address; else it waits for it, or is over.

        Looked at as late as can be: of a thousand guesses that come in one instant, those in line
        are judged by how the first ones have failed.
        """
        if seeking.admitted:
            return True
        now = trio.current_time()
        seconds = self._failed_resumes.admit(seeking.address, now)
        if seconds is None:
            self._not_found(seeking)
            return False
        seeking.admitted = True
        if seconds > 0:
            seeking.charged = True
            seeking.ready_at = now + seconds
            seeking.expires_at = max(seeking.expires_at, seeking.ready_at + self._resume_seconds)
            seeking.move(self._slowed)
        return seconds == 0

    def _ask(self, seeking: PendingResume, link: GameLink, line: LinkQueue) -> None:
        number, ticket = next(self._calls), seeking.ticket
        self._asked[number] = _Call(seeking, link)
        seeking.asked = number, link
        line.asked += 1
        link.send(nodes.Resume(number, ticket.room, ticket.player, ticket.secret, seeking.seen))

    def _answered(self, link: GameLink, number: int) -> PendingResume | None:
        """Whose call ``number`` was, which is under way no more; None if it is nobody's."""
        call = self._asked.get(number)
        if call is None or call.link is not link:
            return None
        del self._asked[number]
        self._lines[link].asked -= 1
        call.seeking.asked = None
        return call.seeking

    def _ask_elsewhere(self, link: GameLink, line: LinkQueue) -> None:
        """The link is silent or gone. What it still answers is nobody's."""
        there = [number for number, call in self._asked.items() if call.link is link]
        seekings = [self._asked.pop(number).seeking for number in there]
        line.asked = 0
        for number, seeking in zip(there, seekings, strict=True):
            link.send(nodes.Cancel(number))
            seeking.asked = None
        for seeking in [*seekings, *line.queue]:
            self._seek(seeking)

    def _no_such_place(self, seeking: PendingResume) -> None:
        self._charge(seeking)
        if (session := self._end(seeking)) is not None:
            session.no_such_place()

    def _not_found(self, seeking: PendingResume) -> None:
        """Nobody could say whether there is such a place, so it was no guess that failed."""
        self._give_back(seeking)
        if (session := self._end(seeking)) is not None:
            session.not_found()

    def _end(self, seeking: PendingResume) -> Session | None:
        """It is over; returns its session, if that is still there."""
        seeking.move(None)
        session, seeking.session = seeking.session, None
        if session is not None:
            del self._seeking[session]
        return session

    def _charge(self, seeking: PendingResume) -> None:
        if not seeking.charged:
            seeking.charged = True
            self._failed_resumes.charge(seeking.address, trio.current_time())

    def _give_back(self, seeking: PendingResume) -> None:
        if seeking.charged:
            seeking.charged = False
            self._failed_resumes.give_back(seeking.address, trio.current_time())


def _do_if_still_there(due: _Due) -> None:
    seeking, spot, step = due
    if seeking.spot is spot:
        step(seeking)
