"""The ids that travel between nodes and to clients.

Each is made from random bits of the caller: ``rng`` is a :class:`random.SystemRandom` in a node
and a seeded :class:`random.Random` in a test.
"""

from __future__ import annotations

import base64
import random
from typing import NewType

import msgspec

RoomId = NewType("RoomId", str)
PlayerId = NewType("PlayerId", str)
KindName = NewType("KindName", str)
NodeName = NewType("NodeName", str)
LinkId = NewType("LinkId", int)
"""64 random bits, made by the api node at each attach."""
Incarnation = NewType("Incarnation", int)
"""64 random bits, made once by each process: unlike a name, it never comes back."""

__all__ = [
    "Incarnation",
    "KindName",
    "LinkId",
    "NodeName",
    "PlayerId",
    "RoomId",
    "Ticket",
    "new_incarnation",
    "new_link",
    "new_player",
    "new_room",
    "new_secret",
]


def _text(rng: random.Random, bits: int) -> str:
    raw = rng.getrandbits(bits).to_bytes(bits // 8, "big")
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode().replace("-", "x").replace("_", "y")


def new_link(rng: random.Random) -> LinkId:
    """An id for one attach of an api node to a game node; never 0."""
    return LinkId(rng.getrandbits(63) + 1)


def new_incarnation(rng: random.Random) -> Incarnation:
    """An id for this process; never 0, which stands for *unknown*."""
    return Incarnation(rng.getrandbits(63) + 1)


def new_player(rng: random.Random) -> PlayerId:
    """An id for one seat in one room. All players of the room see it: it is not a secret."""
    return PlayerId("p" + _text(rng, 48))


def new_room(rng: random.Random, node: NodeName) -> RoomId:
    """An id for a room, ``NODE.RANDOM``; the node's name is a hint where the room was opened."""
    return RoomId(f"{node}.{_text(rng, 72)}")


def new_secret(rng: random.Random) -> str:
    """128 random bits for a ticket; only the roster and the player's client know them."""
    return f"{rng.getrandbits(128):032x}"


class Ticket(msgspec.Struct, frozen=True):
    """The capability to resume a player's place; as text ``ROOM/PLAYER/SECRET``."""

    room: RoomId
    player: PlayerId
    secret: str

    def __str__(self) -> str:
        return f"{self.room}/{self.player}/{self.secret}"

    @classmethod
    def read(cls, text: str) -> Ticket | None:
        """Parses a ticket; returns None if ``text`` does not have its form."""
        room, _, rest = text.partition("/")
        player, _, secret = rest.partition("/")
        if not (room and player and secret) or "/" in secret:
            return None
        return cls(RoomId(room), PlayerId(player), secret)
