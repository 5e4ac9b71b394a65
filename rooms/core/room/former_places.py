"""Where regrouped players are now, for those who have only the ticket of their previous room.

A second ``joined`` may be lost with its socket, and the node that gave up the previous room may be
gone when the player returns. So the node that has the new seat knows it by its former tickets too,
until the player confirms the new one.
"""

from __future__ import annotations

from collections.abc import Iterable

from lastcall.core.room.roster import Seat
from lastcall.ids import PlayerId, RoomId, Ticket
from lastcall.wire import nodes

PLACES_MAX = 65_536
"""On one node; beyond that the oldest is forgotten first."""
TICKETS_MAX = 8
"""Of one player, the newest ones: enough for six rooms in a row of which they never learned."""


class FormerResume(nodes.Resume, frozen=True, tag="resume"):
    """A resume by a former ticket; ``room`` and ``player`` are those of the present seat.

    The player has seen nothing of the present room, and is answered as by their join.
    """


class FormerPlaces:
    """The present place (room, player) for each former one."""

    def __init__(self, places_max: int = PLACES_MAX) -> None:
        self._max = places_max
        self._present: dict[tuple[RoomId, PlayerId], tuple[RoomId, PlayerId]] = {}

    def __len__(self) -> int:
        return len(self._present)

    def add(self, room: RoomId, seat: Seat) -> None:
        """The seat in ``room`` is found by its former tickets from now on."""
        for ticket in seat.former:
            self._present[ticket.room, ticket.player] = room, seat.player
        while len(self._present) > self._max:
            del self._present[next(iter(self._present))]

    def forget(self, seat: Seat) -> None:
        """The player knows of the seat."""
        for ticket in seat.former:
            self._present.pop((ticket.room, ticket.player), None)

    def find(self, tickets: Iterable[Ticket]) -> tuple[RoomId, PlayerId] | None:
        """The place that a player has instead of one of the former ones; checks no secret."""
        found = (self._present.get((ticket.room, ticket.player)) for ticket in tickets)
        return next(filter(None, found), None)

    def translate(self, resume: nodes.Resume) -> nodes.Resume:
        """The resume itself or, of a former place, the one of the present place."""
        present = self._present.get((resume.room, resume.player))
        if present is None:
            return resume
        return FormerResume(
            resume.call, *present, secret=resume.secret, seen=0, identity=resume.identity
        )


def read_tickets(texts: Iterable[str]) -> tuple[Ticket, ...]:
    """The tickets of a join; a text that is none is left out."""
    return tuple(filter(None, map(Ticket.read, texts)))[:TICKETS_MAX]


def tickets_of(room: RoomId, seat: Seat) -> tuple[str, ...]:
    """The tickets that the player of ``seat`` may have, the newest first."""
    secrets = filter(None, (seat.secret, seat.previous_secret))
    own = [Ticket(room, seat.player, secret) for secret in secrets]
    return tuple(map(str, [*own, *seat.former][:TICKETS_MAX]))
