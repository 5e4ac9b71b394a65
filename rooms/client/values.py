"""What a place tells its player."""

from __future__ import annotations

import enum
from typing import Any

import msgspec

from lastcall.reasons import EndReason, ErrorCode

__all__ = ["Ended", "InputRefused", "Message", "Picture", "PlaceState"]


class PlaceState(enum.StrEnum):
    """How a place is; from ``joined`` on."""

    HERE = "here"
    """There is a socket, and the room is heard."""
    AWAY = "away"
    """The socket is lost, and the client is on its way back."""
    OVER = "over"
    """The place has ended, or it is lost for good."""


class Message(msgspec.Struct, frozen=True):
    """From the room. ``seq`` rises strictly; a hole is another player's private message."""

    seq: int
    data: Any


class Picture(msgspec.Struct, frozen=True):
    """The room as it is now for this player, in place of messages that it no longer remembers.

    Comes after an absence that was longer than the room's history. ``data`` is what the room's
    author draws (``state_for``), or None if he draws nothing; messages go on after ``seq``.
    """

    seq: int
    data: Any = None


class Ended(msgspec.Struct, frozen=True):
    """How a place ended; ``result`` is what the room's function returned, if it did."""

    reason: EndReason
    result: Any = None


class InputRefused(msgspec.Struct, frozen=True):
    """The room did not see input ``n``; ``retry`` if the same may pass later."""

    n: int
    code: ErrorCode
    message: str
    retry: bool
