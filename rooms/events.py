"""The events that a room gets; authors import them from :mod:`lastcall`."""

from __future__ import annotations

from typing import Any, TypeAlias

import msgspec

from lastcall.ids import PlayerId

__all__ = ["Alarm", "Away", "Back", "Draining", "Event", "Joined", "Left", "Said"]


class Joined(msgspec.Struct, frozen=True):
    """A player has taken a seat."""

    player: PlayerId


class Left(msgspec.Struct, frozen=True):
    """A player left, was kicked, or was away for too long; the seat is free again."""

    player: PlayerId


class Away(msgspec.Struct, frozen=True):
    """A player's socket is lost; the seat is kept for ``resume_seconds``."""

    player: PlayerId


class Back(msgspec.Struct, frozen=True):
    """A player who was away is back, and has received what they missed."""

    player: PlayerId


class Said(msgspec.Struct, frozen=True):
    """A player's input, decoded and validated as the kind's ``inputs`` type."""

    player: PlayerId
    input: Any


class Draining(msgspec.Struct, frozen=True):
    """The node is draining: a room that still runs after ``seconds`` is cancelled."""

    seconds: float


class Alarm(msgspec.Struct, frozen=True):
    """One of the room's alarms is due; see :meth:`lastcall.Room.alarm`."""

    name: str


Event: TypeAlias = Joined | Left | Away | Back | Said | Alarm | Draining
