"""Who sits in one room, and what each may say next.

* ``seats_max`` bounds the players; a full room says *full*, a locked one *locked*.
* A player's inputs are taken in order, each once: a repeat and a gap change nothing.
* When an input does not fit into the inbox, the player is *held*: what follows it is neither
  taken nor a gap. He is called once when there is room, and says it and all after it again.
* The session fences: what bears another session than the seat's comes from a socket before.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator
from itertools import islice

from rooms.ids import LinkId, PlayerId
from rooms.reasons import ErrorCode

__all__ = ["Roster", "Seat", "Verdict", "parties"]


class Verdict(enum.Enum):
    """What to do with an input."""

    NEXT = "next"
    """Take it: then call :meth:`Roster.advance`, or :meth:`Roster.hold` if it does not fit."""
    REPEAT = "repeat"
    """The room has it already: ack again, the last ack may be lost."""
    GAP = "gap"
    """One before it is missing: the sender broke the protocol."""
    HELD = "held"
    """It comes after one that did not fit, and will be said again: drop it in silence."""
    STALE = "stale"
    """From an earlier socket of this player: drop it in silence."""
    UNKNOWN = "unknown"
    """No such player here (any more): drop it in silence."""


class Seat:
    """One player's place. ``link`` is the way to him; ``last_n`` the last input that was taken."""

    __slots__ = ("called", "held", "key", "last_n", "link", "name", "player", "secret", "session")

    def __init__(
        self, player: PlayerId, *, link: LinkId, secret: str, name: str = "", key: str = ""
    ) -> None:
        self.player = player
        self.link = link
        self.secret = secret
        self.name = name
        self.key = key
        self.session = 1
        self.last_n = 0
        self.held = False
        self.called = False


class Roster:
    """The seats of one room, in the order of joining."""

    __slots__ = ("_by_key", "_links", "_seats", "locked", "seats_max")

    def __init__(self, seats_max: int) -> None:
        self._seats: dict[PlayerId, Seat] = {}
        self._by_key: dict[str, Seat] = {}
        self._links: dict[LinkId, int] = {}
        self.seats_max = seats_max
        self.locked = False

    def __len__(self) -> int:
        return len(self._seats)

    def __iter__(self) -> Iterator[Seat]:
        return iter(self._seats.values())

    @property
    def players(self) -> tuple[PlayerId, ...]:
        """Who has a seat, in the order of joining."""
        return tuple(self._seats)

    @property
    def links(self) -> dict[LinkId, int]:
        """How many players sit here by way of each link; to be read only."""
        return self._links

    @property
    def refusal(self) -> ErrorCode | None:
        """Why a new player cannot have a seat: ``full``, ``locked``, or None if he can."""
        if len(self._seats) >= self.seats_max:
            return ErrorCode.FULL
        return ErrorCode.LOCKED if self.locked else None

    def find(self, player: PlayerId) -> Seat | None:
        """The seat of ``player``, or None."""
        return self._seats.get(player)

    def find_key(self, key: str) -> Seat | None:
        """The seat that was taken with the client's ``key``; None for an empty one."""
        return self._by_key.get(key)

    def of_link(self, link: LinkId) -> list[Seat]:
        """The seats of those who sit here by way of ``link``."""
        return [seat for seat in self if seat.link == link] if link in self._links else []

    def listed(self, seat: Seat, limit: int) -> list[Seat]:
        """At most ``limit`` seats, the first to join; ``seat`` is one of them all the same."""
        first = list(islice(self, limit))
        return first if seat in first else [*first[:-1], seat]

    def take(self, seat: Seat) -> ErrorCode | None:
        """Gives ``seat`` to a new player; or changes nothing and returns :attr:`refusal`."""
        if (refusal := self.refusal) is None:
            self._seats[seat.player] = seat
            if seat.key:
                self._by_key[seat.key] = seat
            self._count(seat.link, +1)
        return refusal

    def retake(self, seat: Seat, link: LinkId) -> None:
        """The same player from a new socket, by way of ``link``: a raised session, ``n`` from 1."""
        self._count(seat.link, -1)
        self._count(link, +1)
        seat.link = link
        seat.session += 1
        seat.last_n = 0
        seat.held = seat.called = False

    def release(self, player: PlayerId) -> Seat | None:
        """Frees the seat and returns what it was; None if there is no such player."""
        seat = self._seats.pop(player, None)
        if seat is not None:
            self._by_key.pop(seat.key, None)
            self._count(seat.link, -1)
        return seat

    def clear(self) -> None:
        """Frees every seat."""
        self._seats.clear()
        self._by_key.clear()
        self._links.clear()

    def accept(self, player: PlayerId, session: int, n: int) -> Verdict:
        """What input ``n`` of that session is; changes nothing."""
        seat = self._seats.get(player)
        if seat is None:
            return Verdict.UNKNOWN
        if session != seat.session:
            return Verdict.STALE
        if n <= seat.last_n:
            return Verdict.REPEAT
        if n == seat.last_n + 1:
            return Verdict.NEXT
        return Verdict.HELD if seat.held else Verdict.GAP

    @staticmethod
    def advance(seat: Seat) -> None:
        """The next input of ``seat`` is had."""
        seat.last_n += 1
        seat.held = seat.called = False

    @staticmethod
    def hold(seat: Seat) -> None:
        """The next input of ``seat`` did not fit: he is to be called when there is room."""
        seat.held = True
        seat.called = False

    def wanted(self, player: PlayerId | None = None) -> list[tuple[Seat, int]]:
        """Who is to be called now that there is room, and from which input on; each once.

        Given a ``player``, there is room for him alone.
        """
        waiting = [s for s in self._of(player) if s.held and not s.called]
        for seat in waiting:
            seat.called = True
        return [(seat, seat.last_n + 1) for seat in waiting]

    def _of(self, player: PlayerId | None) -> Iterable[Seat]:
        if player is None:
            return self
        seat = self._seats.get(player)
        return () if seat is None else (seat,)

    def _count(self, link: LinkId, change: int) -> None:
        count = self._links.get(link, 0) + change
        if count:
            self._links[link] = count
        else:
            del self._links[link]


def parties(seats: Iterable[Seat], bytes_max: int) -> Iterator[list[Seat]]:
    """``seats`` in order, in lists whose names and keys hold at most ``bytes_max`` bytes each.

    A seat that alone holds more has a list of its own.
    """
    party: list[Seat] = []
    left = bytes_max
    for seat in seats:
        size = len(seat.player) + len(seat.name.encode()) + len(seat.key.encode())
        if party and size > left:
            yield party
            party, left = [], bytes_max
        party.append(seat)
        left -= size
    if party:
        yield party
