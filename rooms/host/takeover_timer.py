"""Who waits for a seat that another socket has: wakes when one has waited for long enough."""

from __future__ import annotations

from collections.abc import Callable

import trio

from lastcall.core.room.roster import Seat
from lastcall.core.room.takeovers import Claim, Contests
from lastcall.host.disconnect_timer import STALL_SECONDS, UNREAD_SECONDS
from lastcall.host.replies import no_such_place
from lastcall.ids import LinkId, RoomId
from lastcall.reasons import ErrorCode
from lastcall.wire import nodes

__all__ = ["Claimants"]

AT_ONCE = 64
"""Claims between two turns of the loop; each may bring a whole history."""


class Claimants:
    """All of a node's, in trio's time; see :mod:`lastcall.core.room.takeovers`.

    ``carry_out`` does what a claim asks for, without another contest; ``outbox`` takes refusals.
    With ``contest_seconds`` of 0 nobody waits.
    """

    def __init__(
        self,
        contest_seconds: float,
        carry_out: Callable[[LinkId, nodes.Join | nodes.Resume], None],
        outbox: Callable[[LinkId, nodes.Down], None],
    ) -> None:
        self._contests = Contests(contest_seconds)
        self._at_once = contest_seconds <= 0
        self._carry_out = carry_out
        self._outbox = outbox
        self._nap = trio.CancelScope()

    def __len__(self) -> int:
        return len(self._contests)

    def begin(
        self, link: LinkId, ask: nodes.Join | nodes.Resume, *, room: RoomId, seat: Seat
    ) -> bool:
        """Whether ``ask`` has to wait for ``seat``, which is live; it is answered later then."""
        if self._at_once:
            return False
        replaced = self._contests.begin(link, ask, room=room, seat=seat, now=trio.current_time())
        if replaced is not None:
            self._outbox(link, _replaced(replaced))
        self._nap.deadline = self._contests.next_at
        return True

    def cancel(self, link: LinkId, call: int) -> None:
        """Nobody waits for the answer to ``call`` any more; if it waits here, that is the end."""
        if self._contests.cancel(link, call) is not None:
            self._outbox(link, nodes.Refused(call, nodes.CANCELLED, "cancelled, as you asked"))

    def drop_link(self, link: LinkId) -> None:
        """The link is gone, and nobody can be answered by way of it."""
        self._contests.drop_link(link)

    def confirmed(self, seat: Seat) -> None:
        """The seat's socket has the newest secret: who shows one of before has none."""
        for claim in self._contests.confirmed(seat):
            self._outbox(claim.link, no_such_place(claim.ask.call))

    def waits(self, seat: Seat) -> bool:
        """Whether somebody waits for ``seat``."""
        return self._contests.waits(seat)

    def away(self, seat: Seat) -> None:
        """The seat's socket is lost: who waits for it has it."""
        if (claim := self._contests.away(seat)) is not None:
            self._carry_out(claim.link, claim.ask)

    def ended(self, room: RoomId) -> None:
        """The room is over: who waits for a seat in it is answered as anybody who asks now."""
        for claim in self._contests.ended(room):
            self._carry_out(claim.link, claim.ask)

    async def watch(self) -> None:
        """Carries out what has waited for long enough, until cancelled.

        After a stall of our own what lies unread comes first: it may be that a claim is cancelled.
        """
        while True:
            now = trio.current_time()
            with trio.CancelScope(deadline=max(now, self._contests.next_at)) as self._nap:
                await trio.sleep_forever()
            if trio.current_time() - self._nap.deadline > STALL_SECONDS:
                await trio.sleep(UNREAD_SECONDS)
            for claim in self._contests.due(trio.current_time(), AT_ONCE):
                self._carry_out(claim.link, claim.ask)


def _replaced(claim: Claim) -> nodes.Refused:
    """To a claim on whose seat another has come by the same link, later."""
    if isinstance(claim.ask, nodes.Resume):
        return no_such_place(claim.ask.call)
    why = "a later join with this key waits for the seat"
    return nodes.Refused(claim.ask.call, ErrorCode.NO_GAME_NODE, why)
