"""Rooms for real-time services whose rolling updates no player notices.

Names are loaded when first used: a node must catch signals before anything else is imported.
"""

from __future__ import annotations

from importlib import import_module

TYPE_CHECKING = False  # what type checkers take for True, without the 3 ms that `typing` costs
if TYPE_CHECKING:
    from rooms.author import Away, Back, Draining, Joined, Kind, Left, Room, Said, room

__all__ = ["Away", "Back", "Draining", "Joined", "Kind", "Left", "Room", "Said", "room"]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("rooms.author"), name)
