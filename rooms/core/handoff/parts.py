"""An image in parts, so that a large one lets the items of others through."""

from __future__ import annotations

from collections.abc import Iterator

from lastcall.ids import RoomId
from lastcall.wire.images import in_parts
from lastcall.wire.peer_items import Adopt


def split(room: RoomId, epoch: int, image: bytes) -> Iterator[Adopt]:
    """The parts of ``image``, in order; there is at least one."""
    parts = in_parts(image)
    for part, data in enumerate(parts):
        yield Adopt(room, epoch, part, len(parts), data)


class Assembly:
    """The parts of one image that have come. They come in order, or not at all."""

    __slots__ = ("_parts", "expected", "size")

    def __init__(self, expected: int) -> None:
        self.expected = expected
        self.size = 0
        self._parts: list[bytes] = []

    def fits(self, item: Adopt) -> bool:
        """Whether ``item`` is the next part of this image."""
        return item.part == len(self._parts) < item.parts == self.expected

    def add(self, item: Adopt) -> None:
        """Adds the next part."""
        self._parts.append(item.data)
        self.size += len(item.data)

    @property
    def whole(self) -> bool:
        """Whether all parts have come."""
        return len(self._parts) == self.expected

    def image(self) -> bytes:
        """The whole image."""
        return b"".join(self._parts)
