"""A client's byte stream: one ordered output that the protocol library and this node share.

``trio_websocket`` sends its handshake, pongs and close frames by
:class:`lastcall.api.socket.library_stream.LibraryStream`; rooms send frames that were built once
with :meth:`ClientStream.send_nowait`, without a task and without waiting. Both append whole frames,
so no frame is ever torn, even by a cancellation.

Over a plain socket with nothing queued, a frame is one non-blocking write: 10 to 25 µs over TCP,
nearly all of it the kernel's. A cork joins the frames of one turn of the loop into one write. Bytes
that do not fit wait in a queue; frames for other streams (TLS, memory) always do.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import trio
import trio.abc

from lastcall.api.socket.backlog import Backlog
from lastcall.api.socket.batch_sizes import FRAMES_PER_WRITE, LARGE_BYTES, SHORT_BYTES
from lastcall.api.socket.cork import Cork, Output, write
from lastcall.api.socket.frame_builder import PING_FRAME, close_frame
from lastcall.api.socket.kernel_buffer import keep_room, tcp_socket, use_room
from lastcall.api.socket.pump import PumpedClient
from lastcall.api.socket.pumped_stream import PumpedStream
from lastcall.api.socket.reading import Reading
from lastcall.api.socket.send_queue import SendQueue
from lastcall.api.socket.write_state import TABLE, WriteEvent, WriteState

OPEN = WriteState.OPEN  # the hot path looks one name up instead of two


class ClientStream(Output):
    """The output of any trio ``stream``.

    The flusher is spawned in ``nursery``, which must outlive the library's reader task and every
    call of :meth:`send_nowait`. If the client is too slow by the rules of ``backlog``, the frames
    that have not begun to leave are dropped and :attr:`overflowed` is called, once, with the reason
    and the bytes that waited; after that only a close frame is sent.
    """

    __slots__ = (
        "_backlog",
        "_nursery",
        "_socket",
        "cork",
        "overflowed",
        "pumped",
        "queue",
        "read_at",
        "reading",
        "stream",
        "too_slow",
    )

    def __init__(
        self,
        stream: trio.abc.Stream,
        nursery: trio.Nursery,
        *,
        backlog: Backlog,
        cork: Cork | None = None,
    ) -> None:
        super().__init__(-1, trio.current_time())
        self._backlog = backlog
        self.stream = stream
        self._nursery = nursery
        self.cork = cork or Cork()
        self.pumped: PumpedClient | None = None
        """The client, as a pump reads it; None if none does."""
        if isinstance(stream, PumpedStream):
            self.pumped = stream.client
            self.descriptor = stream.client.fd
        elif isinstance(stream, trio.SocketStream):
            self.descriptor = stream.socket.fileno()
        self.queue = SendQueue(backlog)
        self.read_at = self.sent_at
        """When the library has read something last (trio time)."""
        self._socket = tcp_socket(stream)
        keep_room(self._socket)
        self.reading = Reading(self._socket, self.sent_at)
        self.too_slow = False
        """Whether the stream has overflowed."""
        self.overflowed: Callable[[str, int], None] = _ignore

    @property
    def heard_at(self) -> float:
        """When the last byte came (trio time)."""
        return self.read_at if self.pumped is None else self.pumped.heard_at

    def send_nowait(self, frame: bytes) -> None:
        """Sends a whole frame, now or as soon as the client reads; never waits, never raises.

        Drops the frame unless the stream is open: the session learns of the end in its own way.
        """
        if self.state is not OPEN:
            return
        cork = self.cork
        if not cork.held:
            self.sent_at = trio.current_time()
            self._write(frame)
        elif (held := cork.hold(self, frame)) > 1 and (
            held >= FRAMES_PER_WRITE or len(frame) > LARGE_BYTES
        ):
            cork.flush(self)

    def ping(self) -> None:
        """Sends a ping. A browser's page cannot see this frame, so ``sent_at`` stays."""
        if self.state is OPEN:
            self.send_whole(PING_FRAME)

    def send_close(self, code: int, reason: str = "") -> None:
        """Sends a close frame, unless one was sent; nothing follows it."""
        if self.step(WriteEvent.CLOSE):
            self.send_whole(close_frame(code, reason))

    def check_reading(self, now: float) -> None:
        """Notes whether the client reads what waits for it; to be called once a second.

        Overflows if more waits than a client's share, and it has read nothing for too long.
        """
        queue, seconds = self.queue, self._backlog.policy.stalled_seconds
        if not queue.size:
            self.reading.forget()
            return
        self.reading.note(queue.sent, now)
        if queue.over_share and now - self.reading.at >= seconds:
            self._overflow(f"it has read nothing for {seconds:g} s")

    def step(self, event: WriteEvent) -> bool:
        """Follows the table; returns whether ``event`` changes anything."""
        before = self.state
        self.state = TABLE[before].get(event, before)
        return self.state is not before

    def send_whole(self, data: bytes) -> None:
        """Sends ``data`` behind the frames that the step under way has sent."""
        if self.held:
            self.cork.hold(self, data)
        else:
            self._write(data)

    def written(self, data: bytes, sent: int) -> None:
        """Queues what the socket did not take of ``data``; ``sent`` is -1 if the peer is lost."""
        if sent < 0:
            self.lose()
        else:
            self.enqueue([], memoryview(data)[sent:])  # no copy: many may have the same frame

    def _write(self, data: bytes) -> None:
        if self.descriptor < 0:
            self.enqueue([data])
            return
        sent = write(self.descriptor, data)
        if sent != len(data):
            self.written(data, sent)

    def enqueue(self, frames: list[bytes], rest: bytes | memoryview = b"") -> None:
        """Queues ``rest`` and ``frames`` for the flusher; starts it if it does not run."""
        if self.state is WriteState.LOST:
            return
        queue = self.queue
        if queue.add(frames, rest):
            self._nursery.start_soon(self._flush, self.descriptor)
            self.descriptor = -1
        if exceeded := queue.exceeded:
            self._overflow(exceeded)

    def _overflow(self, why: str) -> None:
        waiting = self.queue.size
        if self.step(WriteEvent.OVERFLOW):
            self.too_slow = True
            self.queue.drop_unsent()
            use_room(self._socket)
            self.overflowed(why, waiting)

    async def _flush(self, descriptor: int) -> None:
        """The flusher; gives ``descriptor`` back when the queue is empty."""
        try:
            await self.queue.flush(self.stream)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self.lose()
        except BaseException:
            self.lose()  # a frame may be torn: nothing may follow it
            raise
        if self.state is not WriteState.LOST:
            self.descriptor = descriptor

    def lose(self) -> None:
        """The connection is lost: drops what is queued."""
        self.step(WriteEvent.LOSS)
        self.descriptor = -1
        self.overflowed = _ignore
        self.queue.clear()


def _ignore(*_: object) -> None:
    """The default of a callback that is not set."""


async def wait_sent(stream: ClientStream) -> None:
    """Waits until nothing is queued; raises :class:`trio.BrokenResourceError` after a loss."""
    await trio.lowlevel.checkpoint()
    stream.cork.flush(stream)
    await stream.queue.wait_empty()
    if stream.state is WriteState.LOST:
        raise trio.BrokenResourceError("the connection is lost")


def send_to_all(streams: Sequence[ClientStream], frame: bytes) -> None:
    """:meth:`ClientStream.send_nowait` to many, which have one cork: the usual case is one loop
    without calls.
    """
    if not streams or not (cork := streams[0].cork).held or len(frame) > LARGE_BYTES:
        for stream in streams:
            stream.send_nowait(frame)
        return
    pending = cork.pending
    for stream in streams:
        if stream.state is not OPEN:
            continue
        held = stream.held
        if held is None:
            stream.held = frame
            pending.append(stream)
        elif isinstance(held, bytes):
            if len(held) <= SHORT_BYTES:
                stream.held = held + frame
            else:
                stream.held = [held, frame]
                cork.several.append(stream)
        elif len(held) < FRAMES_PER_WRITE - 1:
            held.append(frame)
        else:
            stream.send_nowait(frame)
