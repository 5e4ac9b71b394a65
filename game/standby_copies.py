"""The images of rooms that run on other nodes, decoded by this node's code when they came.

An image that does not fit into the memory for them is refused: the room's node asks another one.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import trio

from lastcall.errors import ImageRefused, RemoteProtocolError
from lastcall.host.standby_copy import StandbyCopy
from lastcall.ids import RoomId
from lastcall.wire.images import Image


class Kept(msgspec.Struct):
    """A copy, and the bytes that it counts for."""

    copy: StandbyCopy
    size: int


class StandbyCopies:
    """The copies of one node, in at most ``limit`` bytes; ``read`` decodes an image."""

    def __init__(self, read: Callable[[bytes], StandbyCopy], limit: int) -> None:
        self._read = read
        self._limit = limit
        self._kept: dict[RoomId, Kept] = {}
        self.bytes = 0
        self.dropped = trio.Event()
        """Set, and replaced, when a copy is forgotten."""

    def __len__(self) -> int:
        return len(self._kept)

    def read(self, room: RoomId, data: bytes) -> StandbyCopy | str:
        """The copy of an image that came; or why it is not kept. It replaces the room's last one,
        once it is put in.
        """
        try:
            copy = self._read(data)
        except (ImageRefused, RemoteProtocolError) as refusal:
            return str(refusal)
        here = self._kept.get(room)
        if self.bytes - (here.size if here else 0) + copy.size > self._limit:
            return self._full
        return copy

    @property
    def _full(self) -> str:
        return f"this node has {self._limit} bytes for images of other nodes' rooms"

    def put(self, room: RoomId, copy: StandbyCopy) -> None:
        """Keeps the copy."""
        self.drop(room)
        self._kept[room] = kept = Kept(copy, copy.size)
        self.bytes += kept.size

    def apply(self, room: RoomId, step: bytes) -> str | None:
        """Applies a step to the room's copy; why it cannot, if so: then the copy is worth nothing.

        An empty step changes nothing but the config.
        """
        if not step:
            return None
        kept = self._kept[room]
        try:
            kept.copy.apply(step)
        except (ImageRefused, RemoteProtocolError) as refusal:
            return str(refusal)
        size = kept.copy.size
        self.bytes += size - kept.size
        kept.size = size
        return self._full if self.bytes > self._limit else None

    def take(self, room: RoomId) -> Image:
        """The room's image, to be run; it is kept no more."""
        image = self._kept[room].copy.image()
        self.drop(room)
        return image

    def drop(self, room: RoomId) -> None:
        """Forgets the copy, if there is one."""
        kept = self._kept.pop(room, None)
        if kept is not None:
            self.bytes -= kept.size
            self.dropped.set()
            self.dropped = trio.Event()
