"""Joins the frames that one turn of the loop sends to a client into one write."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable

import trio

from lastcall.api.socket.batch_sizes import (
    CLIENTS_PER_STEP,
    JOINS_PER_BATCH,
    LARGE_BYTES,
    SHORT_BYTES,
)
from lastcall.api.socket.write_state import WriteState

Frames = bytes | list[bytes]
"""One frame, maybe behind a short one, which is all that most outputs get in a step; or more."""


class Output(ABC):
    """An output whose frames are held back while a cork is in.

    It has only what each delivery needs of a client's stream: the attributes of a base class come
    first in memory, so that this is one cache line to fetch, or two, and not three.
    """

    __slots__ = ("descriptor", "held", "sent_at", "state")

    def __init__(self, descriptor: int, now: float) -> None:
        self.descriptor = descriptor
        """The socket to write to; -1 if frames must be queued."""
        self.held: Frames | None = None
        """The frames that leave at the end of this step: none if they were flushed, and None while
        the output is not pending."""
        self.sent_at = now
        """When the step began whose frames were sent last (trio time)."""
        self.state = WriteState.OPEN
        """It takes frames while it is open."""

    @abstractmethod
    def enqueue(self, frames: list[bytes]) -> None:
        """Queues the frames."""

    @abstractmethod
    def written(self, data: bytes, sent: int) -> None:
        """Only ``sent`` bytes of ``data`` have left; -1 if the connection is lost."""


class Cork:
    """``with cork:`` around a step without an ``await``: what it sends leaves at its end.

    Four messages to a client cost one system call instead of four, which is most of what a message
    costs here. Corks may be nested: the outermost counts.

    Frames for thousands of clients leave in several steps: while :meth:`run` runs, the cork stays
    in until all of them are written, and other tasks run in between. A task that brings more waits
    with :meth:`settled`. Without :meth:`run` everything leaves at once.
    """

    __slots__ = (
        "_acts",
        "_overfull",
        "_runs",
        "_settled",
        "held",
        "now",
        "pending",
        "several",
        "waited",
    )

    def __init__(self) -> None:
        self.held = 0
        """How many nested steps hold the cork in; one more while :meth:`run` has frames left."""
        self.now = 0.0
        """When the outermost step began (trio time): within a step the clock is not read again."""
        self.pending: list[Output] = []
        """The outputs with frames that leave at the end of this step."""
        self.waited = False
        """Whether the step under way has waited for more: what it says need not wait again."""
        self.several: list[Output] = []
        """Those of them that have a list of frames; some may have none any more."""
        self._acts: list[Callable[[], None]] = []
        """Called at the end of this step, before its frames leave."""
        self._runs = False
        self._overfull = trio.Event()
        self._settled = trio.Event()
        self._settled.set()

    @property
    def full(self) -> bool:
        """Whether the step should end, since many clients have frames pending."""
        return len(self.pending) >= CLIENTS_PER_STEP

    def __enter__(self) -> None:
        if not self.held:
            self.now = trio.current_time()
        self.held += 1

    def __exit__(self, *_: object) -> None:
        while self._acts and self.held == 1:
            acts, self._acts = self._acts, []
            for act in acts:
                act()
        self.held -= 1
        if self.held or not self.pending:
            return
        if self._runs and len(self.pending) > CLIENTS_PER_STEP:
            self.held = 1
            self._settled = trio.Event()
            self._overfull.set()
        else:
            pending, self.pending = self.pending, []
            several, self.several = self.several, []
            self._write_all(pending, several)

    def at_end(self, act: Callable[[], None]) -> bool:
        """Calls ``act``, which must not raise, at the end of this step, before its frames leave.

        Returns False outside a step, or if its end is put off until many frames are written.
        """
        if not self.held or self._overfull.is_set():
            return False
        self._acts.append(act)
        return True

    async def run(self) -> None:
        """Writes in portions what is too much for one step; when cancelled, all of it."""
        self._runs = True
        try:
            while True:
                await self._overfull.wait()
                # Not until nothing is pending: other tasks always send something meanwhile.
                for _ in range(0, len(self.pending), CLIENTS_PER_STEP):
                    self.now = trio.current_time()
                    portion = self.pending[:CLIENTS_PER_STEP]
                    del self.pending[:CLIENTS_PER_STEP]
                    self._write_all(portion, portion)
                    await trio.lowlevel.checkpoint()
                self._release()
        finally:
            self._runs = False
            if self._overfull.is_set():
                self._release()

    async def settled(self) -> None:
        """Waits until :meth:`run` has written what was too much for one step."""
        if self._settled.is_set():
            await trio.lowlevel.checkpoint()
        else:
            await self._settled.wait()

    def hold(self, output: Output, frame: bytes) -> int:
        """Holds ``frame`` back until the end of the step; returns how many pieces of ``output``
        wait: a short frame and the next are one.
        """
        held = output.held
        if not held:
            if held is None:
                self.pending.append(output)
            output.held = frame
            return 1
        if isinstance(held, list):
            held.append(frame)
            return len(held)
        if len(held) <= SHORT_BYTES and len(frame) <= LARGE_BYTES:
            output.held = held + frame
            return 1
        output.held = [held, frame]
        self.several.append(output)
        return 2

    def flush(self, output: Output) -> None:
        """Writes what ``output`` holds now, and not at the end of the step; it stays pending."""
        if output.held:
            self._write_all([output], [output])
            output.held = b""

    def _release(self) -> None:
        """Ends the step that :meth:`run` has prolonged."""
        self._overfull = trio.Event()
        self._settled.set()
        self.several = list(self.pending)  # any of them may have a list
        self.__exit__()

    def _write_all(self, pending: list[Output], several: list[Output]) -> None:
        """Joins the frames of ``several`` clients before it writes the first: the kernel's work for
        a write evicts ours from the processor's caches, which was a tenth of a delivery's cost. The
        frames of too many would evict one another.
        """
        if len(several) > JOINS_PER_BATCH:
            for at in range(0, len(pending), JOINS_PER_BATCH):
                batch = pending[at : at + JOINS_PER_BATCH]
                self._write_all(batch, batch)
            return
        now = self.now
        for output in several:
            if isinstance(frames := output.held, list) and output.descriptor >= 0:
                output.held = b"".join(frames)
        for output in pending:
            data, output.held = output.held, None
            if not data:  # it was flushed meanwhile
                continue
            output.sent_at = now
            if output.descriptor < 0 or isinstance(data, list):
                output.enqueue([data] if isinstance(data, bytes) else data)
                continue
            try:  # as in write(), which would cost each client a call
                sent = os.write(output.descriptor, data)
            except OSError as error:
                sent = 0 if isinstance(error, BlockingIOError) else -1
            if sent != len(data):
                output.written(data, sent)


def write(descriptor: int, data: bytes) -> int:
    """Writes what the socket takes now, and returns how much; -1 if the connection is lost."""
    try:
        return os.write(descriptor, data)
    except BlockingIOError:
        return 0
    except OSError:
        return -1
