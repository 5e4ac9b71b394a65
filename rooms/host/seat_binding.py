"""Which link may speak for a seat.

Ids of rooms and players are public, and sessions are small numbers: they name a seat, and prove
nothing. A node believes the link (its id is 63 random bits, which only its two nodes know) or a
secret of the seat:

========= ===================================================================================
item      applied if
========= ===================================================================================
Say       its link holds the seat, in the seat's session
Confirm   the same; also in an ended room
Absent    the same; also in an ended room
Leave     the same, or it shows the seat's secret: after a reset the player may be gone before
          the next link has the seat
Join      it is a new seat; or it shows the seat's ``key``, which is as secret as a ticket
Resume    it shows the seat's secret, 128 random bits, the newest or the previous one
Renew     the same, and it bears the seat's session: an api node whose link was reset knows both
Cancel    its call waits here by the same link
Unknown   never
Adopt     never: only game nodes ask each other for that
Release   the same
Withdraw  the same
OfRoom    never: these items are about the images of rooms, and a witness's vote is one of them
========= ===================================================================================

A late item of an earlier socket is dropped in silence, as ever. One that bears the seat's session
by a link that does not hold the seat is counted and logged: our api nodes send none.
"""

from __future__ import annotations

from lastcall.core.room.roster import Roster, Seat
from lastcall.ids import LinkId
from lastcall.runtime.rated_log import RatedLog
from lastcall.wire import nodes


class SeatBinding:
    """Finds the seat that an item may speak for, and counts the items that may not."""

    def __init__(self) -> None:
        self._foreign = RatedLog("link.foreign_item")

    @property
    def foreign(self) -> int:
        """How many items spoke for a seat that another link holds."""
        return self._foreign.count

    def find(
        self, roster: Roster, link: LinkId, item: nodes.Confirm | nodes.Absent | nodes.Leave
    ) -> Seat | None:
        """The seat that ``item``, by ``link``, may speak for; or None."""
        seat = roster.find(item.player)
        if seat is None or (seat.link == link and seat.session == item.session):
            return seat
        if isinstance(item, nodes.Leave) and item.secret:
            return seat if seat.session == item.session and seat.accepts(item.secret) else None
        self.check(seat, link, item)
        return None

    def check(
        self, seat: Seat, link: LinkId, item: nodes.Say | nodes.Confirm | nodes.Absent | nodes.Leave
    ) -> None:
        """Counts ``item``, which was dropped, if our api nodes send no such item."""
        if seat.link != link and not seat.away and item.session >= seat.session:
            name = type(item).__name__.lower()
            hint = (
                "its link does not hold the seat; find out who reaches --listen: docs/security.md"
            )
            self._foreign.warning(item=name, room=item.room, player=item.player, hint=hint)
