"""The actions that the survival of a room asks of its node, in the order in which to do them."""

from __future__ import annotations

import enum

import msgspec

from lastcall.ids import Incarnation, RoomId
from lastcall.wire.survival_items import Config, SurvivalItem


class ToDo(msgspec.Struct, frozen=True):
    """The base of all actions."""

    room: RoomId


class Send(ToDo, frozen=True):
    """Send ``item`` to ``to``; without a link to that node, drop it: it is said again later."""

    to: Incarnation
    item: SurvivalItem


class SendImage(ToDo, frozen=True):
    """Send the room's image as it is now, all steps included, as step ``n``."""

    to: Incarnation
    epoch: int
    n: int
    config: Config


class SendStep(ToDo, frozen=True):
    """Send step ``n``: what ``step_made`` numbered so, or nothing but ``config``."""

    to: Incarnation
    epoch: int
    n: int
    config: Config | None


class Leave(ToDo, frozen=True):
    """The words of all steps up to ``upto`` may leave; those steps are never sent again."""

    upto: int


class Keep(ToDo, frozen=True):
    """The item in hand (an image or a step) is now a part of the standby image here."""


class Promote(ToDo, frozen=True):
    """Call the room's function with the standby image; tell the api nodes that the room is here."""

    config: Config


class Drop(ToDo, frozen=True):
    """Forget the room's image, and mute the room if it runs: ``owner`` has it now.

    An owner of 0 is unknown: the primary takes an image back, or a witness has denied a vote since
    it gave one of a later epoch, and that has come back to it unused.
    """

    owner: Incarnation


class Elsewhere(ToDo, frozen=True):
    """The answer to ``wanted``: the room is at ``owner``, which this node still hears."""

    owner: Incarnation


class Finished(ToDo, frozen=True):
    """The room has ended, everything it said may leave, and survival knows it no more."""


class LeftToStandby(ToDo, frozen=True):
    """Mute the room, and forget it: its node ends, and the room goes on at a standby once that has
    its votes. Words that have not left are dropped.
    """


class Protection(enum.StrEnum):
    """How a surviving room stands."""

    PROTECTED = "protected"
    WAITING = "waiting"
    """Its words wait for the standby's answer, or for a vote."""
    UNPROTECTED = "unprotected"


class Standing(ToDo, frozen=True):
    """The room's protection has changed; ``why`` is a sentence for ``status.why``."""

    protection: Protection
    why: str = ""


Action = (
    Send
    | SendImage
    | SendStep
    | Leave
    | Keep
    | Promote
    | Drop
    | Elsewhere
    | Finished
    | LeftToStandby
    | Standing
)
