"""The inputs that a place sends to its room. The other direction is in ``unread.py``."""

from __future__ import annotations

import trio

from lastcall.client.writer import FrameWriter
from lastcall.core.client.resume_state import ResumeState
from lastcall.wire import frames


class Outgoing:
    """The place's way to the room: over one socket, none while it is away, then the next one.

    A frame that is sent while there is no socket is dropped: ``receiver.py`` sends what is missing
    when the place is resumed.
    """

    def __init__(self, progress: ResumeState, writer: FrameWriter) -> None:
        self._progress = progress
        self._blocked = trio.lowlevel.ParkingLot()
        self.writer: FrameWriter | None = writer
        """The way to the server; None while the place is away."""
        self.closed = False
        """The player has no seat any more, or gives it up: no further input is said."""

    async def wait_for_space(self) -> None:
        """Returns when one more input may be said, or none will be: :attr:`closed`."""
        while not self.closed and (self.writer is None or self._progress.inputs.full):
            await self._blocked.park()

    def post(self, frame: frames.FromClient) -> None:
        """Sends a frame, if there is a socket."""
        if self.writer is not None:
            self.writer.post(frame)

    def ack(self, n: int) -> None:
        """The room has accepted all inputs up to ``n``."""
        self._progress.inputs.ack(n)
        self.wake()

    def wake(self) -> None:
        """There may be space, or a socket: wakes those who wait for it."""
        self._blocked.unpark_all()

    def close(self) -> None:
        """No further input is said: nobody waits any longer."""
        self.closed = True
        self.wake()
