"""The seats of one room, and which input of each player is next.

* ``seats_max`` bounds the players; a full room answers *full*, a locked one *locked*.
* A player's inputs are accepted in order, each once: a repeat or a gap changes nothing.
* A player whose input does not fit into the inbox is *blocked*: what follows it is neither accepted
  nor a gap. They are notified once when there is room, and send it and all after it again.
* Items of another session than the seat's are fenced off: they come from an earlier socket. So are
  items by another link than the seat's: ids are public, and a link's id is not.
* A player whose socket is lost is *away*: the seat stays taken, and no link counts the player.
* Each resume changes a ticket's secret; the previous one is accepted until the player confirms. So
  are the former tickets of a player whose previous room was regrouped.
* A seat that was taken with an identity is that identity's alone: no ticket or key helps another.
* With ``one_seat_each``, an identity has at most one seat.
"""

from __future__ import annotations

import copy
import hmac
from collections.abc import Iterator
from itertools import islice

import msgspec

from lastcall.core.sequence import SequenceCheck
from lastcall.identity import Identity
from lastcall.ids import LinkId, PlayerId, Ticket
from lastcall.reasons import ErrorCode

NOWHERE = LinkId(0)
"""The link of a player who is away; no real link has this number."""


class Seat(msgspec.Struct, eq=False):
    """One player's seat, reached by ``link``; ``last_n`` is the last input that was accepted."""

    player: PlayerId
    link: LinkId
    secret: str
    # These are asked for with each input: in the first two cache lines of the seat.
    session: int = 1
    last_n: int = 0
    blocked: bool = False
    notified: bool = False
    confirmed: bool = False
    """Whether the player has ever shown that they know of the seat."""
    previous_secret: str = ""
    """Empty as soon as the player has shown that they know of the new one."""

    former: tuple[Ticket, ...] = ()
    """The tickets of a regrouped player's previous rooms; empty like ``previous_secret``."""
    name: str = ""
    key: str = ""
    address: str = ""
    """By which the node's limits count the seat."""
    identity: Identity | None = None
    """None for an anonymous player: anyone who has the ticket or the key has the seat."""
    joined_seq: int = 0
    """The number of the room's last message when the player joined."""
    away_at: float = 0.0
    """When the socket was lost last."""
    expected: bool = False
    """Whether the player is away only because the room has moved: their node renews the place."""

    @property
    def away(self) -> bool:
        """Whether the socket is lost and the player has not come back yet."""
        return self.link == NOWHERE

    def is_for(self, identity: Identity | None) -> bool:
        """Whether a client with ``identity`` may have the seat, if they show its ticket or key."""
        own = self.identity
        return own is None or (identity is not None and identity.id == own.id)

    def refresh(self, identity: Identity | None) -> None:
        """The seat's identity has come again: with newer claims, or another end of its token."""
        if self.identity is not None:
            self.identity = identity

    def expects(self, link: LinkId, session: int, n: int) -> bool:
        """Whether this is the next input of the seat's link and session, as nearly all are."""
        return n == self.last_n + 1 and session == self.session and link == self.link

    def judge(self, link: LinkId, session: int, n: int) -> SequenceCheck:
        """Says how to treat input ``n`` of that session by ``link``; changes nothing."""
        if self.expects(link, session, n):
            return SequenceCheck.NEXT
        if session != self.session or link != self.link:
            return SequenceCheck.STALE
        if n <= self.last_n:
            return SequenceCheck.REPEAT
        return SequenceCheck.BLOCKED if self.blocked else SequenceCheck.GAP

    def advance(self) -> None:
        """The next input is accepted."""
        self.last_n += 1
        self.blocked = self.notified = False

    def block(self) -> None:
        """The next input did not fit: the player must be notified when there is room."""
        self.blocked = True
        self.notified = False

    def accepts(self, secret: str) -> bool:
        """Whether ``secret`` is the newest, the previous or a former one.

        Takes the same time for any.
        """
        shown = secret.encode()
        newest = hmac.compare_digest(shown, self.secret.encode())
        previous = hmac.compare_digest(shown, self.previous_secret.encode())
        former = [hmac.compare_digest(shown, ticket.secret.encode()) for ticket in self.former]
        return newest or (previous and self.previous_secret != "") or any(former)

    def accepts_previous(self, secret: str) -> bool:
        """Whether ``secret`` is the previous or a former one, and still accepted."""
        shown = secret.encode()
        return self.accepts(secret) and not hmac.compare_digest(shown, self.secret.encode())

    def renew(self, shown: str, secret: str) -> None:
        """The player has ``shown`` an accepted secret and gets a new one.

        The shown one stays accepted, so that a resume whose answer was lost can be repeated. The
        secret in a lost answer was never confirmed, and is not accepted any more.
        """
        if hmac.compare_digest(shown.encode(), self.secret.encode()):
            self.previous_secret = self.secret
        self.secret = secret
        self.confirmed = True

    def confirm(self) -> None:
        """The player has the newest secret: no earlier one is accepted any more."""
        self.previous_secret = ""
        self.former = ()
        self.confirmed = True


class Roster:
    """The seats of one room, in the order of joining."""

    __slots__ = (
        "_by_identity",
        "_by_key",
        "by_player",
        "links",
        "locked",
        "one_seat_each",
        "seats_max",
    )

    def __init__(self, seats_max: int, *, one_seat_each: bool = False) -> None:
        self.by_player: dict[PlayerId, Seat] = {}
        """For reading only, as :attr:`links`. Both stay the same objects: an input goes by them and
        need not fetch the roster.
        """
        self._by_key: dict[str, Seat] = {}
        self._by_identity: dict[str, Seat] = {}
        """Empty without ``one_seat_each``."""
        self.one_seat_each = one_seat_each
        self.links: dict[LinkId, int] = {}
        """How many players are present by each link, for reading only."""
        self.seats_max = seats_max
        self.locked = False

    def __len__(self) -> int:
        return len(self.by_player)

    def __iter__(self) -> Iterator[Seat]:
        return iter(self.by_player.values())

    @property
    def players(self) -> tuple[PlayerId, ...]:
        """The players who have a seat, in the order of joining."""
        return tuple(self.by_player)

    @property
    def present(self) -> int:
        """How many players are not away."""
        return sum(self.links.values())

    @property
    def refusal(self) -> ErrorCode | None:
        """Why a new player cannot have a seat: ``full`` or ``locked``; None if they can."""
        if len(self.by_player) >= self.seats_max:
            return ErrorCode.FULL
        return ErrorCode.LOCKED if self.locked else None

    def find(self, player: PlayerId) -> Seat | None:
        """The seat of ``player``, or None."""
        return self.by_player.get(player)

    def find_own(self, key: str, identity: Identity | None = None) -> Seat | None:
        """The seat that a join with ``key`` by ``identity`` has already; it may be another's.

        That is the key's, or else with ``one_seat_each`` the identity's. An empty key has no seat.
        """
        seat = self._by_key.get(key)
        if seat is None and identity is not None:
            return self._by_identity.get(identity.id)
        return seat

    def of_link(self, link: LinkId) -> list[Seat]:
        """The seats of the players who are present by ``link``."""
        return [seat for seat in self if seat.link == link] if link in self.links else []

    def add(self, seat: Seat) -> ErrorCode | None:
        """Gives ``seat`` to a new player; or changes nothing and returns :attr:`refusal`."""
        if (refusal := self.refusal) is None:
            self.by_player[seat.player] = seat
            if seat.key:
                self._by_key[seat.key] = seat
            if self.one_seat_each and seat.identity is not None:
                self._by_identity[seat.identity.id] = seat
            _count(self.links, seat.link, +1)
        return refusal

    def rekey(self, seat: Seat, key: str) -> None:
        """A client with another key has taken the seat; the previous key finds it no more."""
        self._by_key.pop(seat.key, None)
        seat.key = key
        self._by_key[key] = seat

    def rebind(self, seat: Seat, link: LinkId, *, same_socket: bool = False) -> None:
        """The player is present by ``link`` now; a new socket raises the session.

        From the same socket the session stays, since the answer may be lost with the link and the
        renewal repeated.
        """
        _count(self.links, seat.link, -1)
        _count(self.links, link, +1)
        seat.link = link
        seat.session += not same_socket
        seat.blocked = seat.notified = seat.expected = False

    def lose(self, seat: Seat, now: float) -> None:
        """The player's socket is lost: the seat stays taken, and nothing goes to its link."""
        _count(self.links, seat.link, -1)
        seat.link = NOWHERE
        seat.away_at = now
        seat.blocked = seat.notified = False

    def release(self, player: PlayerId) -> Seat | None:
        """Frees the seat and returns what it was; None if there is no such player."""
        seat = self.by_player.pop(player, None)
        if seat is not None:
            self._by_key.pop(seat.key, None)
            if seat.identity is not None:
                self._by_identity.pop(seat.identity.id, None)
            _count(self.links, seat.link, -1)
        return seat

    def move_out(self) -> Roster:
        """Returns a roster with all seats of this one, which is empty after that."""
        moved = copy.copy(self)
        moved.by_player, moved.links = self.by_player.copy(), self.links.copy()
        self.by_player.clear()
        self.links.clear()
        self._by_key, self._by_identity = {}, {}
        return moved


def listed(roster: Roster, seat: Seat, limit: int) -> list[Seat]:
    """At most ``limit`` seats, the first to join, but always with ``seat``."""
    first = list(islice(roster, limit))
    return first if seat in first else [*first[:-1], seat]


def to_notify(roster: Roster, player: PlayerId | None = None) -> list[tuple[Seat, int]]:
    """The blocked players to notify now, and the input that each has to send; each only once.

    Given a ``player``, there is room for that one alone.
    """
    seats = list(roster) if player is None else filter(None, [roster.find(player)])
    waiting = [seat for seat in seats if seat.blocked and not seat.notified]
    for seat in waiting:
        seat.notified = True
    return [(seat, seat.last_n + 1) for seat in waiting]


def _count(links: dict[LinkId, int], link: LinkId, change: int) -> None:
    """One player more or less is present by ``link``."""
    if link == NOWHERE:
        return
    count = links.get(link, 0) + change
    if count:
        links[link] = count
    else:
        del links[link]
