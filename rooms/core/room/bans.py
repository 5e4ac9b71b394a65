"""The players who were kicked out of one room and may not join it again yet.

A ban holds an identity. An anonymous player has only the ``key`` of their join, which their client
may change whenever it likes: a ban keeps an honest client away, and nobody else.
"""

from __future__ import annotations

from collections.abc import Iterable

from lastcall.core.room.roster import Seat
from lastcall.identity import Identity
from lastcall.wire.images import BanImage

BANS_MAX = 1_024
"""In one room; beyond that the oldest is forgotten first."""
NOBODY = ("key", "")


class Bans:
    """The bans of one room; times are in seconds of any clock."""

    __slots__ = ("_until",)

    def __init__(self) -> None:
        self._until: dict[tuple[str, str], float] = {}

    def __len__(self) -> int:
        return len(self._until)

    def add(self, seat: Seat, until: float) -> None:
        """The player of ``seat`` may not join before ``until``; replaces an earlier ban.

        An anonymous player without a key cannot be told from any other, and is not banned.
        """
        name = _name(seat.identity, seat.key)
        if name == NOBODY:
            return
        self._until.pop(name, None)
        self._until[name] = until
        if len(self._until) > BANS_MAX:
            del self._until[next(iter(self._until))]

    def capture(self, now: float) -> tuple[BanImage, ...]:
        """All bans; one that is over has no seconds left."""
        return tuple(
            BanImage(max(0.0, until - now), **{sort: name})
            for (sort, name), until in self._until.items()
        )

    @classmethod
    def restore(cls, captured: Iterable[BanImage], now: float) -> Bans | None:
        """The bans again, in the time of another clock; None if there are none."""
        bans = cls()
        for ban in captured:
            name = ("identity", ban.identity) if ban.identity else ("key", ban.key)
            bans._until[name] = now + ban.seconds_left
        return bans if bans._until else None

    def hold(self, identity: Identity | None, key: str, now: float) -> bool:
        """Whether a join with ``key`` by ``identity`` is barred; forgets a ban that is over."""
        name = _name(identity, key)
        until = self._until.get(name)
        if until is not None and until <= now:
            del self._until[name]
            return False
        return until is not None


def _name(identity: Identity | None, key: str) -> tuple[str, str]:
    return ("key", key) if identity is None else ("identity", identity.id)
