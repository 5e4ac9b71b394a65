"""What a client has said and the room has not acknowledged, as frames that can be said again."""

from __future__ import annotations

from collections import deque

from lastcall.bench.load.frame_builder import TEXT, masked

__all__ = ["Inputs"]


class Inputs:
    """The inputs of one place; ``n`` counts from 1."""

    __slots__ = ("_unacked", "n")

    def __init__(self) -> None:
        self._unacked: deque[tuple[int, bytes]] = deque()
        self.n = 0
        """The number of the last one."""

    def __len__(self) -> int:
        return len(self._unacked)

    def add(self, body: bytes) -> bytes:
        """The frame of the next input; ``body`` is JSON."""
        self.n += 1
        frame = masked(TEXT, b'{"t":"say","n":%d,"d":%b}' % (self.n, body))
        self._unacked.append((self.n, frame))
        return frame

    def acked(self, n: int) -> None:
        """The room has all up to ``n``."""
        unacked = self._unacked
        while unacked and unacked[0][0] <= n:
            unacked.popleft()

    def again(self) -> bytes:
        """All that were not acknowledged, in their order."""
        return b"".join(frame for _, frame in self._unacked)
