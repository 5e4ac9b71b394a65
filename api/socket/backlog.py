"""How much may wait for clients that do not read yet, and for how long.

* Each client may have ``backlog_bytes`` waiting, whatever waits for others.
* Beyond that, it must read: if it reads nothing for ``stalled_seconds``, it is too slow.
* Nothing waits without a bound: a client has at most ``backlog_bytes_max``, and what all clients
  of the node have beyond their ``backlog_bytes`` takes at most ``excess_bytes``. A client that
  would exceed one of the two is too slow at once.

So the backlogs of a node take at most ``backlog_bytes`` for each client, and ``excess_bytes``.
A frame that waits for a thousand clients takes memory once, and counts once.
"""

from __future__ import annotations

from collections.abc import Iterable

from lastcall.policy import SocketPolicy

FRAME_BYTES = 140
"""The memory of a frame besides its text: the header of a bytes object, an entry in a dict."""
REFERENCE_BYTES = 8


class Backlog:
    """The bounds of ``policy``, and what waits beyond the clients' own ``backlog_bytes``.

    A node has one, which all its clients share.
    """

    __slots__ = ("_queues", "excess_bytes", "policy")

    def __init__(self, policy: SocketPolicy) -> None:
        self.policy = policy
        self._queues: dict[int, int] = {}
        """In how many queues each frame waits, by ``id``: a frame is alive while it waits."""
        self.excess_bytes = 0
        """About how much memory these frames take."""

    @property
    def full(self) -> bool:
        """Whether the frames take more than ``excess_bytes``."""
        return self.excess_bytes > self.policy.excess_bytes

    def add(self, frames: Iterable[bytes]) -> None:
        """Counts frames that wait in one more queue."""
        queues = self._queues
        for frame in frames:
            others = queues.get(id(frame), 0)
            queues[id(frame)] = others + 1
            self.excess_bytes += REFERENCE_BYTES if others else FRAME_BYTES + len(frame)

    def remove(self, frames: Iterable[bytes]) -> None:
        """The frames have left one queue."""
        queues = self._queues
        for frame in frames:
            others = queues[id(frame)] - 1
            if others:
                queues[id(frame)] = others
                self.excess_bytes -= REFERENCE_BYTES
            else:
                del queues[id(frame)]
                self.excess_bytes -= FRAME_BYTES + len(frame)
