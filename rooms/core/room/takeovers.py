"""Requests for a seat that another live socket has: how long each one waits, and what ends that.

A player gives up an api node that does not answer, and takes their place through another one; the
request to the first node may arrive after that. So a request for a seat that is not away has to
wait if it may be the older one: a join with the seat's key, or a resume that shows the previous
secret, since each resume changes it. (A resume with the newest secret is the latest one and does
not wait: the clients of an api node that was killed are back at once.) While it waits:

* The api node cancels it, for a player who does not wait any more: it is dropped.
* The seat's socket shows that it has the newest secret, and so the waiting one is no longer
  accepted: it is refused.
* The seat's socket is lost: the last request to arrive is carried out. The others wait on, since
  the seat is live again.
* The room ends, or ``seconds`` are over: it is carried out. So a newer socket still wins.

One request waits for each seat by each link: the last one.
"""

from __future__ import annotations

from collections import OrderedDict
from itertools import islice, takewhile
from math import inf

import msgspec

from lastcall.core.room.roster import Seat
from lastcall.ids import LinkId, RoomId
from lastcall.wire import nodes


class PendingTakeover(msgspec.Struct, frozen=True, eq=False):
    """``request`` has come by ``link`` for ``seat``; it waits until ``due_at``."""

    link: LinkId
    request: nodes.Join | nodes.Resume
    room: RoomId
    seat: Seat
    due_at: float

    @property
    def accepted(self) -> bool:
        """Whether the seat still accepts the request's secret; a key is always accepted."""
        return isinstance(self.request, nodes.Join) or self.seat.accepts(self.request.secret)


class Takeovers:
    """All requests of a node that wait; times are in seconds, of any clock.

    A request that a method returns no longer waits. Bounded by the seats and the links.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._pending: OrderedDict[tuple[LinkId, int], PendingTakeover] = OrderedDict()
        """By link and call; all wait equally long, so the first one is due first."""
        self._by_seat: dict[Seat, dict[LinkId, PendingTakeover]] = {}

    def __len__(self) -> int:
        return len(self._pending)

    @property
    def next_at(self) -> float:
        """When the first request is due; ``inf`` if none waits."""
        return next(iter(self._pending.values())).due_at if self._pending else inf

    def begin(
        self,
        link: LinkId,
        request: nodes.Join | nodes.Resume,
        *,
        room: RoomId,
        seat: Seat,
        now: float,
    ) -> PendingTakeover | None:
        """``request`` waits for ``seat``; returns the one that it replaces, if any."""
        self.cancel(link, request.call)  # a repeated request waits once
        replaced = self._by_seat.get(seat, {}).get(link)
        if replaced is not None:
            self._remove(replaced)
        pending = PendingTakeover(link, request, room, seat, now + self._seconds)
        self._pending[link, request.call] = pending
        self._by_seat.setdefault(seat, {})[link] = pending
        return replaced

    def cancel(self, link: LinkId, call: int) -> PendingTakeover | None:
        """Drops the request numbered ``call``; None if it does not wait here."""
        pending = self._pending.get((link, call))
        if pending is not None:
            self._remove(pending)
        return pending

    def drop_link(self, link: LinkId) -> None:
        """Drops all requests by ``link``, which is gone: none could be answered."""
        self._removed([pending for pending in self._pending.values() if pending.link == link])

    def confirmed(self, seat: Seat) -> list[PendingTakeover]:
        """The seat's socket has the newest secret; returns the requests to be refused for that."""
        waiting = self._by_seat.get(seat, {}).values()
        return self._removed([pending for pending in waiting if not pending.accepted])

    def waits(self, seat: Seat) -> bool:
        """Whether a request waits for ``seat``."""
        return seat in self._by_seat

    def away(self, seat: Seat) -> PendingTakeover | None:
        """The seat's socket is lost; returns the request that gets the seat now, if any."""
        waiting = self._by_seat.get(seat)
        if waiting is None:
            return None
        pending = next(reversed(waiting.values()))
        self._remove(pending)
        return pending

    def ended(self, room: RoomId) -> list[PendingTakeover]:
        """The room has ended; returns the requests for its seats, in order."""
        return self._removed(
            [pending for pending in self._pending.values() if pending.room == room]
        )

    def due(self, now: float, at_most: int) -> list[PendingTakeover]:
        """Up to ``at_most`` requests that have waited for long enough, in order."""
        ready = takewhile(lambda pending: pending.due_at <= now, self._pending.values())
        return self._removed(list(islice(ready, at_most)))

    def _removed(self, chosen: list[PendingTakeover]) -> list[PendingTakeover]:
        for pending in chosen:
            self._remove(pending)
        return chosen

    def _remove(self, pending: PendingTakeover) -> None:
        del self._pending[pending.link, pending.request.call]
        of_seat = self._by_seat[pending.seat]
        del of_seat[pending.link]
        if not of_seat:
            del self._by_seat[pending.seat]
