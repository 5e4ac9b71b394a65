"""Requests that wait for a seat which another socket has: the clock of the takeovers."""

from __future__ import annotations

from collections.abc import Callable

import trio

from lastcall.core.room.roster import Seat
from lastcall.core.room.takeovers import PendingTakeover, Takeovers
from lastcall.host.disconnect_timer import STALL_SECONDS, UNREAD_SECONDS
from lastcall.host.replies import no_such_place
from lastcall.ids import LinkId, RoomId
from lastcall.reasons import ErrorCode
from lastcall.runtime.batches import STEPS_PER_BATCH
from lastcall.wire import nodes


class TakeoverTimer:
    """All takeovers of a node, in trio's time; see :mod:`lastcall.core.room.takeovers`.

    ``outbox`` sends refusals. With ``takeover_seconds`` of 0 no request waits. A request that a
    method returns is for the caller to carry out.
    """

    def __init__(
        self, takeover_seconds: float, outbox: Callable[[LinkId, nodes.Down], None]
    ) -> None:
        self._takeovers = Takeovers(takeover_seconds)
        self._never_wait = takeover_seconds <= 0
        self._outbox = outbox
        self._sleep = trio.CancelScope()

    def __len__(self) -> int:
        return len(self._takeovers)

    def begin(
        self, link: LinkId, request: nodes.Join | nodes.Resume, *, room: RoomId, seat: Seat
    ) -> bool:
        """Whether ``request`` has to wait for ``seat``, which is live."""
        if self._never_wait:
            return False
        now = trio.current_time()
        replaced = self._takeovers.begin(link, request, room=room, seat=seat, now=now)
        if replaced is not None:
            self._outbox(link, _replaced(replaced))
        self._sleep.deadline = self._takeovers.next_at
        return True

    def cancel(self, link: LinkId, call: int) -> None:
        """The api node does not wait for the answer to ``call``; refuses it if it waits here."""
        if self._takeovers.cancel(link, call) is not None:
            self._outbox(link, nodes.Refused(call, nodes.CANCELLED, "cancelled, as you asked"))

    def drop_link(self, link: LinkId) -> None:
        """The link is gone, and no request by it can be answered."""
        self._takeovers.drop_link(link)

    def confirm(self, seat: Seat) -> None:
        """The seat's socket has the newest secret: refuses requests that show an older one."""
        seat.confirm()
        for takeover in self._takeovers.confirmed(seat):
            self._outbox(takeover.link, no_such_place(takeover.request.call))

    def waits(self, seat: Seat) -> bool:
        """Whether a request waits for ``seat``."""
        return self._takeovers.waits(seat)

    def away(self, seat: Seat) -> PendingTakeover | None:
        """The seat's socket is lost; returns the request that gets the seat now, if any."""
        return self._takeovers.away(seat)

    def ended(self, room: RoomId) -> list[PendingTakeover]:
        """The room is over; returns the requests for its seats."""
        return self._takeovers.ended(room)

    async def watch(self, carry_out: Callable[[PendingTakeover], None]) -> None:
        """Carries out the requests that have waited for long enough, until cancelled.

        After a stall of this process, unread items come first: one may cancel a request.
        """
        while True:
            now = trio.current_time()
            with trio.CancelScope(deadline=max(now, self._takeovers.next_at)) as self._sleep:
                await trio.sleep_forever()
            if trio.current_time() - self._sleep.deadline > STALL_SECONDS:
                await trio.sleep(UNREAD_SECONDS)
            for takeover in self._takeovers.due(trio.current_time(), STEPS_PER_BATCH):
                carry_out(takeover)


def _replaced(takeover: PendingTakeover) -> nodes.Refused:
    """The refusal of a request that a later one by the same link has replaced."""
    if isinstance(takeover.request, nodes.Resume):
        return no_such_place(takeover.request.call)
    why = "a later join with this key waits for the seat"
    return nodes.Refused(takeover.request.call, ErrorCode.NO_GAME_NODE, why)
