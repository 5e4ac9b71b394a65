"""Who sits in one room, and what each may say next.

* ``seats_max`` bounds the players; a full room says *full*, a locked one *locked*.
* A player's inputs are taken in order, each once: a repeat and a gap change nothing.
* When an input does not fit into the inbox, the player is *held*: what follows it is neither
  taken nor a gap. He is called once when there is room, and says it and all after it again.
* The session fences: what bears another session than the seat's comes from a socket before.
* A player whose socket is lost is *away*: his seat stays taken, and no link counts him.
* A ticket's secret changes at each resume; the one before it is good until he has confirmed.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Iterator
from itertools import islice

from lastcall.core.sequence import SequenceCheck
from lastcall.ids import LinkId, PlayerId
from lastcall.reasons import ErrorCode

__all__ = ["NOWHERE", "Roster", "Seat"]

NOWHERE = LinkId(0)
"""The link of a player who is away; no real one has this number."""


class Seat:
    """One player's place. ``link`` is the way to him; ``last_n`` the last input that was taken.

    ``joined_seq`` is the room's number when he sat down, ``away_at`` when he was lost last.
    """

    __slots__ = (
        "away_at",
        "blocked",
        "confirmed",
        "joined_seq",
        "key",
        "last_n",
        "link",
        "name",
        "notified",
        "player",
        "previous_secret",
        "secret",
        "session",
    )

    def __init__(
        self,
        player: PlayerId,
        *,
        link: LinkId,
        secret: str,
        name: str = "",
        key: str = "",
        joined_seq: int = 0,
    ) -> None:
        self.player = player
        self.link = link
        self.secret = secret
        self.previous_secret = ""
        """The secret before, while he may not know of the new one; else empty."""
        self.name = name
        self.key = key
        self.joined_seq = joined_seq
        self.session = 1
        self.last_n = 0
        self.blocked = False
        self.notified = False
        self.confirmed = False
        """Whether he has ever shown that he knows of his seat."""
        self.away_at = 0.0

    @property
    def away(self) -> bool:
        """Whether his socket is lost and no other has come yet."""
        return self.link == NOWHERE

    def expects(self, session: int, n: int) -> bool:
        """Whether it is the next input of its session, which nearly all are."""
        return n == self.last_n + 1 and session == self.session and self.link != NOWHERE

    def judge(self, session: int, n: int) -> SequenceCheck:
        """What input ``n`` of that session is; changes nothing."""
        if self.expects(session, n):
            return SequenceCheck.NEXT
        if session != self.session or self.away:
            return SequenceCheck.STALE
        if n <= self.last_n:
            return SequenceCheck.REPEAT
        return SequenceCheck.BLOCKED if self.blocked else SequenceCheck.GAP

    def accepts(self, secret: str) -> bool:
        """Whether ``secret`` is one of the two that are good; takes the same time for any."""
        shown = secret.encode()
        newest = hmac.compare_digest(shown, self.secret.encode())
        before = hmac.compare_digest(shown, self.previous_secret.encode())
        return newest or (before and self.previous_secret != "")

    def accepts_previous(self, secret: str) -> bool:
        """Whether ``secret`` is the one before, and good still."""
        shown = secret.encode()
        return self.accepts(secret) and not hmac.compare_digest(shown, self.secret.encode())

    def renew(self, shown: str, secret: str) -> None:
        """He has shown a good secret and gets a new one; what he has shown stays good for now.

        So a resume whose answer was lost can be said again; and the secret of that answer, which
        nobody has confirmed, is good no more.
        """
        if hmac.compare_digest(shown.encode(), self.secret.encode()):
            self.previous_secret = self.secret
        self.secret = secret
        self.confirmed = True

    def confirm(self) -> None:
        """He has the newest secret: the one before is used up."""
        self.previous_secret = ""
        self.confirmed = True


class Roster:
    """The seats of one room, in the order of joining."""

    __slots__ = ("_by_key", "_seats", "links", "locked", "seats_max")

    def __init__(self, seats_max: int) -> None:
        self._seats: dict[PlayerId, Seat] = {}
        self._by_key: dict[str, Seat] = {}
        self.links: dict[LinkId, int] = {}
        """How many players sit here by way of each link, without the away; to be read only."""
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
        return [seat for seat in self if seat.link == link] if link in self.links else []

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

    def rebind(self, seat: Seat, link: LinkId, *, same_socket: bool = False) -> None:
        """The same player by way of ``link``, from a new socket: a raised session.

        From the same socket it stays: the answer may be lost with the link, and asked for again.
        """
        self._count(seat.link, -1)
        self._count(link, +1)
        seat.link = link
        seat.session += not same_socket
        seat.blocked = seat.notified = False

    def lose(self, seat: Seat, now: float) -> None:
        """The player is away: his seat stays, and nothing is for his link any more."""
        self._count(seat.link, -1)
        seat.link = NOWHERE
        seat.away_at = now
        seat.blocked = seat.notified = False

    def release(self, player: PlayerId) -> Seat | None:
        """Frees the seat and returns what it was; None if there is no such player."""
        seat = self._seats.pop(player, None)
        if seat is not None:
            self._by_key.pop(seat.key, None)
            self._count(seat.link, -1)
        return seat

    @property
    def present(self) -> int:
        """How many players are not away."""
        return sum(self.links.values())

    @staticmethod
    def advance(seat: Seat) -> None:
        """The next input of ``seat`` is had."""
        seat.last_n += 1
        seat.blocked = seat.notified = False

    @staticmethod
    def block(seat: Seat) -> None:
        """The next input of ``seat`` did not fit: he is to be called when there is room."""
        seat.blocked = True
        seat.notified = False

    def to_notify(self, player: PlayerId | None = None) -> list[tuple[Seat, int]]:
        """Who is to be called now that there is room, and from which input on; each once.

        Given a ``player``, there is room for him alone.
        """
        waiting = [s for s in self._of(player) if s.blocked and not s.notified]
        for seat in waiting:
            seat.notified = True
        return [(seat, seat.last_n + 1) for seat in waiting]

    def _of(self, player: PlayerId | None) -> Iterable[Seat]:
        if player is None:
            return self
        seat = self._seats.get(player)
        return () if seat is None else (seat,)

    def _count(self, link: LinkId, change: int) -> None:
        if link == NOWHERE:
            return
        count = self.links.get(link, 0) + change
        if count:
            self.links[link] = count
        else:
            del self.links[link]
