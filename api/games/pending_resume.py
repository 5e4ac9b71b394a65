"""One resume, from the client's request to its end."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf

import trio

from lastcall.api.games.calls import Pending
from lastcall.api.limits import ClientLimits
from lastcall.api.sessions.session import Session
from lastcall.core.accounts import ClientCharges
from lastcall.identity import Identity
from lastcall.ids import RoomId, Ticket
from lastcall.reasons import Close
from lastcall.wire import nodes

TOO_MANY_FAILED = "too many resumes have failed from here"


@dataclass(eq=False)
class PendingResume(Pending):
    """One resume: in a ``queue``, or asked of a node; and what the limits say of it."""

    identity: Identity | None
    ticket: Ticket
    seen: int
    failures: ClientCharges
    admitted: bool = field(default=False, init=False)
    """Whether the limits have let it go."""
    charged: bool = field(default=False, init=False)
    """Whether it counts as a failure already."""
    ended: bool = field(default=False, init=False)
    """Whether a game node has said that it had the place, which is over. Nobody guesses those."""
    waited: bool = field(default=False, init=False)
    """Whether it has waited for a node that could not be asked since all were asked."""
    again_at: float = field(default=inf, init=False)
    """When all nodes are asked again, since one that has refused may get the place."""

    @property
    def room(self) -> RoomId:
        """The room of the ticket."""
        return self.ticket.room

    def item(self, number: int) -> nodes.Resume:
        """The call ``number`` to a game node."""
        ticket = self.ticket
        place = ticket.room, ticket.player, ticket.secret
        return nodes.Resume(number, *place, self.seen, identity=self.identity)

    def ask_again_if_due(self, now: float) -> bool:
        """Whether nodes that have refused are asked again by now: all, or those that said so."""
        if min(self.again_at, self.retry_at) > now:
            return False
        if self.again_at <= now:
            self.ask_all_again()
        else:
            self.ask_again()
        return True

    def ask_all_again(self) -> None:
        """Nodes that have refused may have got the place since."""
        self.again_at, self.waited = inf, False
        self.refused_by.clear()

    def admit(self, limits: ClientLimits) -> bool:
        """Whether it may be asked for; the limits decide once. If not, it is over.

        Asked as late as possible: of a thousand guesses in one instant, those that queue are
        judged by how the first have failed.
        """
        if not self.admitted:
            self.admitted = limits.may_fail(self.failures)
            if not self.admitted:
                self.lose(Close.TRY_AGAIN_LATER, TOO_MANY_FAILED)
        return self.admitted

    def charge(self) -> None:
        """It has failed, or looks as if it will."""
        if not (self.charged or self.ended):
            self.charged = True
            self.failures.charge(trio.current_time())

    def give_back(self) -> Session | None:
        """Ends it as one that has not failed, as far as is known."""
        if self.charged:
            self.charged = False
            self.failures.give_back(trio.current_time())
        return self.end()

    def lose(self, close: Close, why: str = "") -> None:
        """Ends it without a place."""
        if (session := self.end()) is not None:
            session.lose(close, why)
