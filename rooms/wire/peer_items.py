"""The messages between two game nodes, by which a room moves from one to the other.

The node that has the room (the *giver*) calls, and the other (the *taker*) answers on the feed of
that link. The giver alone decides: the taker runs the room only after :class:`Release`. Every item
may be repeated on the next link, and gets the same answer: ``room`` and ``epoch`` name the move.
``epoch`` is always the one that the room will have at the taker.
"""

from __future__ import annotations

from lastcall.ids import RoomId
from lastcall.wire.item import Item


class Move(Item, frozen=True):
    """The base of these items: which move of which room."""

    room: RoomId
    epoch: int


# giver → taker


class Adopt(Move, frozen=True, tag="adopt"):
    """Part ``part`` (from 0) of ``parts`` of the room's image; they come in order.

    The answer to the last part is :class:`Adopted` or :class:`AdoptionRefused`.
    """

    part: int
    parts: int
    data: bytes


class Release(Move, frozen=True, tag="release"):
    """Run the room: it is yours. The answer is :class:`Released`."""


class Withdraw(Move, frozen=True, tag="withdraw"):
    """Forget the image: the room goes on elsewhere. The answer is :class:`Withdrawn`."""


PeerUp = Adopt | Release | Withdraw


# taker → giver


class Adopted(Move, frozen=True, tag="adopted"):
    """The image is decoded and held. The room does not run."""


class AdoptionRefused(Move, frozen=True, tag="adoption_refused"):
    """The image is not held, and ``reason`` says why, for an operator."""

    reason: str


class Released(Move, frozen=True, tag="released"):
    """The room runs here, or has ended here since."""


class Withdrawn(Move, frozen=True, tag="withdrawn"):
    """No image of that move is held here, and none will run."""


PeerDown = Adopted | AdoptionRefused | Released | Withdrawn
