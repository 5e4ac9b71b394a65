"""The steps of a node's rooms that their standbys have not confirmed yet."""

from __future__ import annotations

from collections.abc import Iterator

import trio

from lastcall.ids import RoomId


class UncommittedSteps:
    """By room and number: the bytes of each step, and when it was made."""

    def __init__(self) -> None:
        self._rooms: dict[RoomId, dict[int, tuple[bytes, float]]] = {}

    def add(self, room: RoomId, n: int, data: bytes) -> None:
        """A room that runs here has made step ``n``."""
        self._rooms.setdefault(room, {})[n] = data, trio.current_time()

    def data(self, room: RoomId, n: int) -> bytes:
        """The bytes of a step."""
        return self._rooms.get(room, {}).get(n, (b"", 0.0))[0]

    def commit(self, room: RoomId, upto: int) -> Iterator[float]:
        """All steps up to ``upto`` are committed; for each, how many seconds that took."""
        steps, now = self._rooms.get(room, {}), trio.current_time()
        while steps and (n := next(iter(steps))) <= upto:
            _, made_at = steps.pop(n)
            yield now - made_at

    def forget(self, room: RoomId) -> None:
        """The room is over, or gone."""
        self._rooms.pop(room, None)
