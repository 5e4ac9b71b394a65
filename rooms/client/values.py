"""The values that a place gives to its player."""

from __future__ import annotations

import enum
from typing import Any

import msgspec

from lastcall.reasons import EndReason, ErrorCode


class PlaceState(enum.StrEnum):
    """The state of a place, from ``joined`` on."""

    HERE = "here"
    """The place has a socket, and the room's messages come."""
    AWAY = "away"
    """The socket is lost, and the client is reconnecting."""
    OVER = "over"
    """The place has ended, or it is lost for good."""


class Message(msgspec.Struct, frozen=True):
    """A message from the room. ``seq`` rises; a skipped number is another's private message."""

    seq: int
    data: Any


class Picture(msgspec.Struct, frozen=True):
    """The room's current state for this player, in place of messages that it no longer has.

    It comes after an absence that was longer than the room's history. ``data`` is what the author's
    ``state_for`` returned, or None if there is none; messages go on after ``seq``.
    """

    seq: int
    data: Any = None


class Ended(msgspec.Struct, frozen=True):
    """How a place ended; ``result`` is what the room's function returned, if it returned."""

    reason: EndReason
    result: Any = None


class InputRefused(msgspec.Struct, frozen=True):
    """Input ``n`` was refused before the room saw it; ``retry``: the same may pass later."""

    n: int
    code: ErrorCode
    message: str
    retry: bool
