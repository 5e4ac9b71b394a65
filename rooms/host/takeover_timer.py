"""Who waits for a seat that another socket has: wakes when one has waited for long enough."""

from __future__ import annotations

from collections.abc import Callable

import trio

from lastcall.core.room.roster import Seat
from lastcall.core.room.takeovers import PendingTakeover, Takeovers
from lastcall.host.disconnect_timer import STALL_SECONDS, UNREAD_SECONDS
from lastcall.host.replies import no_such_place
from lastcall.ids import LinkId, RoomId
from lastcall.reasons import ErrorCode
from lastcall.wire import nodes

__all__ = ["TakeoverTimer"]

STEPS_PER_BATCH = 64
"""Claims between two turns of the loop; each may bring a whole history."""


class TakeoverTimer:
    """All of a node's, in trio's time; see :mod:`lastcall.core.room.takeovers`.

    ``proceed`` does what a claim asks for, without another contest; ``outbox`` takes refusals.
    With ``takeover_seconds`` of 0 nobody waits.
    """

    def __init__(
        self,
        takeover_seconds: float,
        proceed: Callable[[LinkId, nodes.Join | nodes.Resume], None],
        outbox: Callable[[LinkId, nodes.Down], None],
    ) -> None:
        self._takeovers = Takeovers(takeover_seconds)
        self._at_once = takeover_seconds <= 0
        self._proceed = proceed
        self._outbox = outbox
        self._nap = trio.CancelScope()

    def __len__(self) -> int:
        return len(self._takeovers)

    def begin(
        self, link: LinkId, ask: nodes.Join | nodes.Resume, *, room: RoomId, seat: Seat
    ) -> bool:
        """Whether ``ask`` has to wait for ``seat``, which is live; it is answered later then."""
        if self._at_once:
            return False
        replaced = self._takeovers.begin(link, ask, room=room, seat=seat, now=trio.current_time())
        if replaced is not None:
            self._outbox(link, _replaced(replaced))
        self._nap.deadline = self._takeovers.next_at
        return True

    def cancel(self, link: LinkId, call: int) -> None:
        """Nobody waits for the answer to ``call`` any more; if it waits here, that is the end."""
        if self._takeovers.cancel(link, call) is not None:
            self._outbox(link, nodes.Refused(call, nodes.CANCELLED, "cancelled, as you asked"))

    def drop_link(self, link: LinkId) -> None:
        """The link is gone, and nobody can be answered by way of it."""
        self._takeovers.drop_link(link)

    def confirmed(self, seat: Seat) -> None:
        """The seat's socket has the newest secret: who shows one of before has none."""
        for claim in self._takeovers.confirmed(seat):
            self._outbox(claim.link, no_such_place(claim.ask.call))

    def waits(self, seat: Seat) -> bool:
        """Whether somebody waits for ``seat``."""
        return self._takeovers.waits(seat)

    def away(self, seat: Seat) -> None:
        """The seat's socket is lost: who waits for it has it."""
        if (claim := self._takeovers.away(seat)) is not None:
            self._proceed(claim.link, claim.ask)

    def ended(self, room: RoomId) -> None:
        """The room is over: who waits for a seat in it is answered as anybody who asks now."""
        for claim in self._takeovers.ended(room):
            self._proceed(claim.link, claim.ask)

    async def watch(self) -> None:
        """Carries out what has waited for long enough, until cancelled.

        After a stall of our own what lies unread comes first: it may be that a claim is cancelled.
        """
        while True:
            now = trio.current_time()
            with trio.CancelScope(deadline=max(now, self._takeovers.next_at)) as self._nap:
                await trio.sleep_forever()
            if trio.current_time() - self._nap.deadline > STALL_SECONDS:
                await trio.sleep(UNREAD_SECONDS)
            for claim in self._takeovers.due(trio.current_time(), STEPS_PER_BATCH):
                self._proceed(claim.link, claim.ask)


def _replaced(claim: PendingTakeover) -> nodes.Refused:
    """To a claim on whose seat another has come by the same link, later."""
    if isinstance(claim.ask, nodes.Resume):
        return no_such_place(claim.ask.call)
    why = "a later join with this key waits for the seat"
    return nodes.Refused(claim.ask.call, ErrorCode.NO_GAME_NODE, why)
