"""The frames that wait because a client does not read them yet."""

from __future__ import annotations

import trio
import trio.abc

from lastcall.api.socket.batch_sizes import CHUNK_BYTES


class SendQueue:
    """Frames in order, sent in chunks by one task, the flusher, which exists while any are queued.

    The queue does not enforce ``bytes_max``; its owner does, with :meth:`drop_unsent`.
    """

    __slots__ = ("_chunk", "_emptied", "_frames", "bytes_max", "size")

    def __init__(self, bytes_max: int) -> None:
        self._frames: list[bytes] = []
        self._chunk = b""
        """The chunk that is being sent: it must be sent to its end, or a frame would be torn."""
        self._emptied: trio.Event | None = None
        """None while there is no flusher."""
        self.bytes_max = bytes_max
        self.size = 0
        """Bytes that wait for the client to read."""

    def add(self, frames: list[bytes], rest: bytes = b"") -> bool:
        """Appends ``frames``; returns whether the caller must start the flusher.

        ``rest`` is the unsent end of a write to the socket, made while nothing was queued.
        """
        self._chunk = rest or self._chunk
        self._frames += frames
        self.size += len(rest) + sum(map(len, frames))
        idle = self._emptied is None
        if idle:
            self._emptied = trio.Event()
        return idle

    def drop_unsent(self) -> None:
        """Drops the frames that have not begun to leave."""
        self._frames.clear()
        self.size = len(self._chunk)

    def clear(self) -> None:
        """Drops everything: the client is lost."""
        self._chunk = b""
        self.drop_unsent()
        self._wake()

    async def flush(self, stream: trio.abc.SendStream) -> None:
        """The flusher: sends to ``stream`` until nothing is queued. Raises what the stream does."""
        while self.size:
            if not self._chunk:
                self._chunk = self._next_chunk()
            await stream.send_all(self._chunk)
            self.size -= len(self._chunk)
            self._chunk = b""
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
        chunk = b"".join(self._frames[:count])
        del self._frames[:count]
        return chunk

    def _wake(self) -> None:
        if self._emptied is not None:
            self._emptied.set()
            self._emptied = None
