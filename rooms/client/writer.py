"""Writes the frames of one socket, in order, from one task."""

from __future__ import annotations

from contextlib import suppress

import trio
from trio_websocket import ConnectionClosed, WebSocketConnection

from lastcall.wire import frames

CLOSE_SECONDS = 0.5


class FrameWriter:
    """A queue of frames, and the task that writes them to the socket.

    Callers never write themselves: a cancelled write would tear a frame. The queue is bounded by
    what can be unanswered: a join, a leave, and a place's inputs.
    """

    def __init__(self, socket: WebSocketConnection) -> None:
        self._socket = socket
        self._queue, self._to_write = trio.open_memory_channel[str](float("inf"))
        self._finished = trio.Event()

    def post(self, frame: frames.FromClient) -> None:
        """Queues a frame; drops it when the socket is gone."""
        with suppress(trio.ClosedResourceError):
            self._queue.send_nowait(frames.encode(frame).decode())

    @property
    def backlog(self) -> int:
        """How many frames wait to be written."""
        return self._queue.statistics().current_buffer_used

    async def run(self) -> None:
        """Writes what is posted; closes the socket after the last frame once this is closed."""
        try:
            async for text in self._to_write:
                await self._socket.send_message(text)
            await self._socket.aclose()
        except ConnectionClosed:
            pass  # the reader reports the reason
        finally:
            self._finished.set()

    def close(self) -> None:
        """Takes no more frames; :meth:`run` writes those that are queued and ends."""
        self._queue.close()

    async def aclose(self) -> None:
        """Writes what is queued and closes the socket, within 0.5 s."""
        self.close()
        with trio.move_on_after(CLOSE_SECONDS):
            await self._finished.wait()
