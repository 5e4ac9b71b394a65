"""Rooms for real-time services whose rolling updates no player notices.

Names are loaded when first used: a node must catch signals before anything else is imported.
"""

from __future__ import annotations

from importlib import import_module

if __name__ != "lastcall":
    raise ImportError(f"the folder rooms/ is the package lastcall: import that, not {__name__!r}")

TYPE_CHECKING = False  # type checkers read it as True, without the 3 ms that `typing` costs
if TYPE_CHECKING:
    from lastcall.author import Room
    from lastcall.decorator import room
    from lastcall.events import Alarm, Away, Back, Draining, Event, Joined, Left, Said
    from lastcall.identity import Handshake, Identity, Refuse
    from lastcall.ids import PlayerId, RoomId
    from lastcall.kind import Kind

    __version__: str

__all__ = ["Alarm", "Away", "Back", "Draining", "Event", "Handshake", "Identity", "Joined", "Kind"]
__all__ += ["Left", "PlayerId", "Refuse", "Room", "RoomId", "Said", "room"]
_HOMES = {"Kind": "lastcall.kind", "Room": "lastcall.author", "room": "lastcall.decorator"}
_HOMES |= dict.fromkeys(["PlayerId", "RoomId"], "lastcall.ids")
_HOMES |= dict.fromkeys(["Handshake", "Identity", "Refuse"], "lastcall.identity")


def __getattr__(name: str) -> object:
    if name == "__version__":
        return import_module("importlib.metadata").version("lastcall")
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES.get(name, "lastcall.events")), name)
