"""Claims on seats that another live socket has: how long each waits, and what ends it.

A player gives up an api node that does not answer, and has his place through another; what he has
asked the first one may come then. So a claim on a seat that is not away is *contested* if it may
be older than that: a join with the seat's key, or a resume that shows the secret before, since each
resume changes it. (Who shows the newest has asked last, and waits for nothing: so the clients of an
api node that was killed are back at once.) It waits:

* Its asker cancels it: it is dropped. An api node does that for whoever does not wait any more.
* The seat's socket shows that it has the newest secret, and what the claim shows is good no more:
  it is refused.
* The seat's socket is lost: the last claim to come is carried out. The others wait on, since the
  seat is live again.
* The room ends, or ``seconds`` are over: it is carried out. So a newer socket still wins.

One claim waits on each seat by way of each link, the last one.
"""

from __future__ import annotations

from collections import OrderedDict
from itertools import islice, takewhile
from math import inf

from lastcall.core.room.roster import Seat
from lastcall.ids import LinkId, RoomId
from lastcall.wire import nodes

__all__ = ["PendingTakeover", "Takeovers"]


class PendingTakeover:
    """``ask`` has come by way of ``link`` for ``seat``; it waits until ``due_at``."""

    __slots__ = ("ask", "due_at", "link", "room", "seat")

    def __init__(
        self,
        link: LinkId,
        ask: nodes.Join | nodes.Resume,
        *,
        room: RoomId,
        seat: Seat,
        due_at: float,
    ) -> None:
        self.link = link
        self.ask = ask
        self.room = room
        self.seat = seat
        self.due_at = due_at

    @property
    def good(self) -> bool:
        """Whether what it shows is good still; a key always is."""
        return isinstance(self.ask, nodes.Join) or self.seat.accepts(self.ask.secret)


class Takeovers:
    """All claims of a node that wait; times are in seconds, of any clock.

    What comes out of a method waits no more. Bounded by the seats and the links.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._claims: OrderedDict[tuple[LinkId, int], PendingTakeover] = OrderedDict()
        """By link and call; all wait equally long, so the first one is the next."""
        self._of: dict[Seat, dict[LinkId, PendingTakeover]] = {}

    def __len__(self) -> int:
        return len(self._claims)

    @property
    def next_at(self) -> float:
        """When :meth:`due` has something to say; ``inf`` if never."""
        return next(iter(self._claims.values())).due_at if self._claims else inf

    def begin(
        self,
        link: LinkId,
        ask: nodes.Join | nodes.Resume,
        *,
        room: RoomId,
        seat: Seat,
        now: float,
    ) -> PendingTakeover | None:
        """``ask`` waits for ``seat``; returns the claim that it takes the turn of, if any."""
        self.cancel(link, ask.call)  # said twice, it is one
        replaced = self._of.get(seat, {}).get(link)
        if replaced is not None:
            self._remove(replaced)
        claim = PendingTakeover(link, ask, room=room, seat=seat, due_at=now + self._seconds)
        self._claims[link, ask.call] = claim
        self._of.setdefault(seat, {})[link] = claim
        return replaced

    def cancel(self, link: LinkId, call: int) -> PendingTakeover | None:
        """Its asker waits no more; None if it does not wait here."""
        claim = self._claims.get((link, call))
        if claim is not None:
            self._remove(claim)
        return claim

    def drop_link(self, link: LinkId) -> None:
        """The link is gone, and nobody can be answered by way of it."""
        for claim in [claim for claim in self._claims.values() if claim.link == link]:
            self._remove(claim)

    def confirmed(self, seat: Seat) -> list[PendingTakeover]:
        """His socket knows of the newest secret: those that show one of before, to be refused."""
        used = [claim for claim in self._of.get(seat, {}).values() if not claim.good]
        for claim in used:
            self._remove(claim)
        return used

    def waits(self, seat: Seat) -> bool:
        """Whether somebody waits for ``seat``."""
        return seat in self._of

    def away(self, seat: Seat) -> PendingTakeover | None:
        """His socket is lost: who is to have the seat now, if anybody waits for it."""
        claims = self._of.get(seat)
        if claims is None:
            return None
        claim = next(reversed(claims.values()))
        self._remove(claim)
        return claim

    def ended(self, room: RoomId) -> list[PendingTakeover]:
        """The room is over: those who wait for its seats, in order."""
        claims = [claim for claim in self._claims.values() if claim.room == room]
        for claim in claims:
            self._remove(claim)
        return claims

    def due(self, now: float, at_most: int) -> list[PendingTakeover]:
        """Who has waited for long enough, in order, ``at_most`` so many."""
        ready = takewhile(lambda claim: claim.due_at <= now, self._claims.values())
        claims = list(islice(ready, at_most))
        for claim in claims:
            self._remove(claim)
        return claims

    def _remove(self, claim: PendingTakeover) -> None:
        del self._claims[claim.link, claim.ask.call]
        of_seat = self._of[claim.seat]
        del of_seat[claim.link]
        if not of_seat:
            del self._of[claim.seat]
