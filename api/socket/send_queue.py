"""The frames that wait because a client does not read them yet."""

from __future__ import annotations

import trio
import trio.abc

from lastcall.api.socket.backlog import Backlog
from lastcall.api.socket.batch_sizes import CHUNK_BYTES
from lastcall.runtime.stream_errors import WITHOUT_FRAMES


class SendQueue:
    """Frames in order, sent in chunks by one task, the flusher, which exists while any are queued.

    The queue does not enforce the bounds of ``backlog``; its owner does, with :meth:`drop_unsent`.
    """

    __slots__ = ("_backlog", "_chunk", "_counted", "_emptied", "_frames", "sent", "size")

    def __init__(self, backlog: Backlog) -> None:
        self._backlog = backlog
        self._frames: list[bytes] = []
        self._counted = 0
        """How many of the frames ``backlog`` counts: the first that exceeded the client's share,
        and all after it."""
        self._chunk: bytes | memoryview = b""
        """The chunk that is being sent: it must be sent to its end, or a frame would be torn."""
        self._emptied: trio.Event | None = None
        """None while there is no flusher."""
        self.sent = 0
        """Bytes that have left the queue, ever."""
        self.size = 0
        """Bytes that wait for the client to read."""

    @property
    def over_share(self) -> bool:
        """Whether more waits than each client may have."""
        return self.size > self._backlog.policy.backlog_bytes

    @property
    def exceeded(self) -> str:
        """The bound of ``backlog`` that is exceeded, as a sentence; empty if none is."""
        backlog = self._backlog
        if not self.over_share:
            return ""
        if self.size > backlog.policy.backlog_bytes_max:
            return f"more than {backlog.policy.backlog_bytes_max} bytes wait for it"
        excess = backlog.excess
        return f"more than {excess.bytes_max} bytes wait for all" if excess.full else ""

    def add(self, frames: list[bytes], rest: bytes | memoryview = b"") -> bool:
        """Appends ``frames``; returns whether the caller must start the flusher.

        ``rest`` is the unsent end of a write to the socket, made while nothing was queued.
        """
        self._chunk = rest or self._chunk
        self._frames += frames
        self.size += len(rest) + sum(map(len, frames))
        if frames and (self._counted or self.over_share):
            self._backlog.excess.add(frames)
            self._counted += len(frames)
        idle = self._emptied is None
        if idle:
            self._emptied = trio.Event()
        return idle

    def drop_unsent(self) -> None:
        """Drops the frames that have not begun to leave."""
        self._take(len(self._frames))
        self.size = len(self._chunk)

    def clear(self) -> None:
        """Drops everything: the client is lost."""
        self._chunk = b""
        self.drop_unsent()
        self._wake()

    async def flush(self, stream: trio.abc.SendStream) -> None:
        """The flusher: sends to ``stream`` until nothing is queued. Raises what the stream does."""
        while self.size:
            self._chunk = self._chunk or memoryview(self._next_chunk())
            with WITHOUT_FRAMES:
                await stream.send_all(self._chunk[:CHUNK_BYTES])
            sent = len(self._chunk[:CHUNK_BYTES])  # none if the queue was cleared meanwhile
            self._chunk = self._chunk[CHUNK_BYTES:]
            self.sent += sent
            self.size -= sent
        self._wake()

    async def wait_empty(self) -> None:
        """Waits until nothing is queued."""
        while self._emptied is not None:
            await self._emptied.wait()

    def _next_chunk(self) -> bytes:
        size = count = 0
        for frame in self._frames:
            size += len(frame)
            count += 1
            if size >= CHUNK_BYTES:
                break
        return b"".join(self._take(count))

    def _take(self, count: int) -> list[bytes]:
        """Takes the first ``count`` frames out."""
        frames = self._frames[:count]
        del self._frames[:count]
        if self._counted > len(self._frames):
            left = len(self._frames)
            self._backlog.excess.remove(frames[left - self._counted :])
            self._counted = left
        return frames

    def _wake(self) -> None:
        if self._emptied is not None:
            self._emptied.set()
            self._emptied = None
