"""The messages by which a room outlives its node: steps, votes and fences.

Two nodes say them by one link: its caller puts them into requests, and the other one into the feed.
Only :class:`Vote` may come from an api node.

| from | to | items |
|---|---|---|
| primary | standby, candidate | StandbyImage, Step, Resign, TakeOver, RoomOver |
| standby, candidate | primary | StepsKept, Reaches, Leaving, Resigned, NotHeld, Fenced |
| promoted standby | old primary, other standby | Fenced |
| primary, standby | witness; if it is dead, every game node | VoteAsked, VoteReturned |
| witness, game node | primary, standby | Vote |

``room`` and ``epoch`` name the line of history that an item belongs to, and ``n`` a step of it.
:data:`ROUTES` is the table as data. No item says who sent it: the link does.
"""

from __future__ import annotations

import enum
from types import MappingProxyType

import msgspec

from lastcall.ids import Incarnation, RoomId
from lastcall.wire.item import Item


class Config(msgspec.Struct, frozen=True, omit_defaults=True):
    """The holders of the room's images and votes, by incarnation; a part of the image.

    There is one standby, or none, or two while a new one replaces another: then both confirm each
    step. There is one witness, or two while one replaces another: then going on needs both votes,
    asked for in this order. ``former`` may hold earlier images, which nobody can bring to life.
    ``coming`` becomes a standby beside the present one, once that has confirmed this config: else
    it would not name that rival when it asks for a vote.
    ``agreed`` is the last epoch in which all game nodes had to vote in place of a witness.
    """

    epoch: int
    primary: Incarnation
    standbys: tuple[Incarnation, ...] = ()
    witnesses: tuple[Incarnation, ...] = ()
    former: tuple[Incarnation, ...] = ()
    agreed: int = -1
    coming: tuple[Incarnation, ...] = ()


class OfRoom(Item, frozen=True):
    """The base of these items."""

    room: RoomId
    epoch: int


# primary → standby


class StandbyImage(OfRoom, frozen=True, tag="standby"):
    """Part ``part`` (from 0) of ``parts`` of the room's image as of step ``n``, in order.

    After the last part, the node answers with :class:`StepsKept`, or with :class:`Resigned` and the
    reason why it cannot keep the image. The image does not make it a standby: ``config`` does.
    """

    n: int
    config: Config
    part: int = 0
    parts: int = 1
    data: bytes = b""


class Step(OfRoom, frozen=True, tag="step"):
    """Step ``n`` follows on step ``n - 1``; with ``config``, that is the room's from now on."""

    n: int
    data: bytes = b""
    config: Config | None = None


class Resign(OfRoom, frozen=True, tag="resign"):
    """Forget the image as of step ``n`` or earlier; the answer is :class:`Resigned`."""

    n: int


class TakeOver(OfRoom, frozen=True, tag="take_over"):
    """The primary gives the room up: get the votes and become the primary."""


class RoomOver(OfRoom, frozen=True, tag="room_over"):
    """The room has ended, and everybody may hear so: forget its image."""


# standby → primary


class StepsKept(OfRoom, frozen=True, tag="kept"):
    """The image holds all steps up to ``n``."""

    n: int


class Reaches(OfRoom, frozen=True, tag="reaches"):
    """The api nodes that the node could ask for their votes, because it has a link to them."""

    witnesses: tuple[Incarnation, ...] = ()


class Leaving(OfRoom, frozen=True, tag="leaving"):
    """The standby's node ends, and keeps the image until the primary says :class:`Resign`: when
    another node has the image, or if none can have it.
    """


class Resigned(OfRoom, frozen=True, tag="resigned"):
    """The node holds no image of the room up to step ``n``, and will not be promoted by one.

    ``reason`` says why it refused an image, for an operator; it is empty after a :class:`Resign`.
    """

    n: int
    reason: str = ""


class NotHeld(OfRoom, frozen=True, tag="not_held"):
    """The node knows no image on which step ``n`` follows. It may have been promoted long ago."""

    n: int


class Fenced(OfRoom, frozen=True, tag="fenced"):
    """The room goes on in ``epoch`` at ``owner``: older images of it are worth nothing."""

    owner: Incarnation


# holder of an image ↔ witness


class VoteAsked(OfRoom, frozen=True, tag="vote_asked"):
    """Asks for the only vote of ``epoch``; ``rivals`` are the others who may ask for it.

    The answer repeats ``ballot``. A standby may return its vote, and get a new image of the same
    epoch: then it ignores an answer that was meant for the first one.
    """

    rivals: tuple[Incarnation, ...] = ()
    ballot: int = 0


class VoteReturned(OfRoom, frozen=True, tag="vote_returned"):
    """The node holds no image of the room, and asks for no vote of ``epoch`` or before.

    It names no rivals: the owner of a vote has named all who may still ask for it.
    """


class Answer(enum.StrEnum):
    """The answer of a witness."""

    GRANTED = "granted"
    DENIED = "denied"
    """Another node has the vote."""
    LATER = "later"
    """Its memory is full, or it may go on with the room itself: ask again."""


class Vote(OfRoom, frozen=True, tag="vote"):
    """The answer to :class:`VoteAsked`; ``owner`` has the vote of this epoch or of a later one."""

    answer: Answer
    owner: Incarnation = Incarnation(0)
    ballot: int = 0


ToStandby = StandbyImage | Step | Resign | TakeOver | RoomOver
ToPrimary = StepsKept | Reaches | Leaving | Resigned | NotHeld | Fenced
ToWitness = VoteAsked | VoteReturned
SurvivalItem = ToStandby | ToPrimary | ToWitness | Vote
ITEM_BYTES = 64
"""About as many bytes as a :class:`Step` takes without its room, its data and a config."""

ROUTES = MappingProxyType(
    {
        ("primary", "standby"): (StandbyImage, Step, Resign, TakeOver, RoomOver),
        ("standby", "primary"): (StepsKept, Reaches, Leaving, Resigned, NotHeld, Fenced),
        ("holder", "witness"): (VoteAsked, VoteReturned),
        ("witness", "holder"): (Vote,),
    }
)


def diagram() -> str:
    """The table of routes as a Mermaid sequence diagram, for the documentation."""
    lines = ["sequenceDiagram"]
    for (sender, receiver), items in ROUTES.items():
        lines.append(f"    {sender}->>{receiver}: {', '.join(item.__name__ for item in items)}")
    return "\n".join(lines)
