"""The actions of a hand-off: its drivers carry them out in the order of their lists."""

from __future__ import annotations

import msgspec

from lastcall.ids import Incarnation, KindName, RoomId
from lastcall.wire.peer_items import PeerDown, PeerUp

# The giver's.


class Freeze(msgspec.Struct, frozen=True):
    """Freeze the room, and say how that went."""

    room: RoomId


class Thaw(msgspec.Struct, frozen=True):
    """Run the frozen room here again."""

    room: RoomId


class Send(msgspec.Struct, frozen=True):
    """Send ``item`` to the node ``to``, if a link to it stands."""

    to: Incarnation
    item: PeerUp


class Commit(msgspec.Struct, frozen=True):
    """The room is the taker's from now on: tell the api nodes. The release follows."""

    room: RoomId
    epoch: int
    to: Incarnation


class Refused(msgspec.Struct, frozen=True):
    """A node does not take the room, or no node that could take it is left (``node`` None)."""

    room: RoomId
    kind: KindName
    node: Incarnation | None
    reason: str


class Moved(msgspec.Struct, frozen=True):
    """The room runs at its taker."""

    room: RoomId
    to: Incarnation


class Lost(msgspec.Struct, frozen=True):
    """The room was the taker's, and nobody knows that it runs there."""

    room: RoomId
    kind: KindName
    to: Incarnation
    reason: str


Giving = Freeze | Thaw | Send | Commit | Refused | Moved | Lost

# The taker's.


class Reply(msgspec.Struct, frozen=True):
    """Send ``item`` to the node ``to`` that gives the room, if its link stands."""

    to: Incarnation
    item: PeerDown


class Run(msgspec.Struct, frozen=True):
    """Run the room that is held."""

    room: RoomId


class Drop(msgspec.Struct, frozen=True):
    """Forget the room that is held. ``reason`` is empty if its giver asked for that."""

    room: RoomId
    reason: str


Taking = Reply | Run | Drop
