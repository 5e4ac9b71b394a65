"""Images on their way to a standby: in parts, so that a large one lets other items through."""

from __future__ import annotations

from collections.abc import Iterator

from lastcall.ids import Incarnation, RoomId
from lastcall.wire.images import in_parts
from lastcall.wire.survival_items import Config, StandbyImage


def split(room: RoomId, n: int, config: Config, image: bytes) -> Iterator[StandbyImage]:
    """The parts of the image as of step ``n``, in order; there is at least one."""
    parts = in_parts(image)
    for part, data in enumerate(parts):
        yield StandbyImage(room, config.epoch, n, config, part, len(parts), data)


class Assembly:
    """Puts the parts of images together. The parts of one image come from a node without a gap.

    So at most one image of each node is incomplete. One of more than ``limit`` bytes is passed on
    without its data, to be refused.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._parts: dict[Incarnation, list[StandbyImage]] = {}

    @property
    def size(self) -> int:
        """The bytes of all parts that wait for others."""
        return sum(len(part.data) for parts in self._parts.values() for part in parts)

    def add(
        self, source: Incarnation, item: StandbyImage
    ) -> tuple[StandbyImage, bytes | None] | None:
        """The last part with the data of the whole image; None if more has to come, or if the
        part does not follow on the one before. The data is None if it is over the limit.
        """
        parts = self._parts.setdefault(source, [])
        if item.part == 0:
            parts.clear()
        if not _follows(parts, item):
            del self._parts[source]
            return None
        parts.append(item)
        size = sum(len(part.data) for part in parts)
        if size <= self._limit and item.part < item.parts - 1:
            return None
        del self._parts[source]
        whole = b"".join(part.data for part in parts) if size <= self._limit else None
        return item, whole

    def drop(self, source: Incarnation) -> None:
        """The link to ``source`` is over: the other parts will not come."""
        self._parts.pop(source, None)


def _follows(parts: list[StandbyImage], item: StandbyImage) -> bool:
    if not parts:
        return item.part == 0 < item.parts
    last = parts[-1]
    same = (last.room, last.epoch, last.n, last.parts) == (
        item.room,
        item.epoch,
        item.n,
        item.parts,
    )
    return same and item.part == last.part + 1
