"""A client's byte stream: one ordered output that the protocol library and this node share.

``trio_websocket`` sends its handshake, pongs and close frames with ``send_all``; rooms send frames
that were built once with :meth:`ClientStream.send_nowait`, without a task and without waiting.
Both append whole frames, so no frame is ever torn, even by a cancellation.

Over a plain socket with nothing queued, a frame is one non-blocking write: 10 to 25 µs over TCP,
nearly all of it the kernel's. A cork joins the frames of one turn of the loop into one write. Bytes
that do not fit wait in a queue; frames for other streams (TLS, memory) always do.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import trio
import trio.abc

from lastcall.api.socket.backlog import Backlog
from lastcall.api.socket.batch_sizes import CHUNK_BYTES, FRAMES_PER_WRITE, LARGE_BYTES
from lastcall.api.socket.cork import Cork, write
from lastcall.api.socket.frame_builder import (
    CLOSE_BYTES_MAX,
    PING_FRAME,
    close_frame,
    ends_in_close,
)
from lastcall.api.socket.handshake_stream import HandshakeStream
from lastcall.api.socket.kernel_buffer import keep_room, tcp_socket, use_room
from lastcall.api.socket.pump import PumpedStream
from lastcall.api.socket.reading import Reading
from lastcall.api.socket.send_queue import SendQueue
from lastcall.api.socket.write_state import TABLE, WriteEvent, WriteState

CLOSE_OPCODE = b"\x88"
OPEN = WriteState.OPEN  # the hot path looks one name up instead of two


class ClientStream(trio.abc.Stream):
    """Wraps any trio stream.

    The flusher is spawned in ``nursery``, which must outlive the library's reader task and every
    call of :meth:`send_nowait`. If the client is too slow by the rules of ``backlog``, the frames
    that have not begun to leave are dropped and :attr:`overflowed` is called, once, with the reason
    and the bytes that waited; after that only a close frame is sent.
    """

    __slots__ = (
        "_backlog",
        "_heard_at",
        "_input",
        "_nursery",
        "_socket",
        "_stream",
        "cork",
        "descriptor",
        "for_library",
        "overflowed",
        "pumped",
        "queue",
        "reading",
        "sent_at",
        "state",
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
        self._backlog = backlog
        self._stream = stream
        self._nursery = nursery
        self._input: HandshakeStream | trio.abc.Stream | None = stream
        """The source of :meth:`receive_some`; None once the library has closed its side."""
        self.cork = cork or Cork()
        self.descriptor = -1
        """The socket to write to at once; -1 if frames must be queued."""
        self.pumped = stream if isinstance(stream, PumpedStream) else None
        """The stream, if a pump reads it."""
        if isinstance(stream, PumpedStream):
            self.descriptor = stream.fd
        elif isinstance(stream, trio.SocketStream):
            self.descriptor = stream.socket.fileno()
        self.queue = SendQueue(backlog)
        self.state = OPEN
        self._heard_at = self.sent_at = trio.current_time()
        """``sent_at``: when the step began whose frames were sent last (trio time)."""
        self._socket = tcp_socket(stream)
        keep_room(self._socket)
        self.reading = Reading(self._socket, self.sent_at)
        self.too_slow = False
        """Whether the stream has overflowed."""
        self.overflowed: Callable[[str, int], None] = _ignore
        self.for_library: Callable[[bytes | bytearray], None] = _ignore
        """Is given the frames that the library reads."""

    @property
    def heard_at(self) -> float:
        """When the last byte came (trio time)."""
        return self._heard_at if self.pumped is None else self.pumped.heard_at

    def begin_handshake(self, request: bytes, early: bytes) -> None:
        """Lets the library read ``request``, and nothing behind it until :meth:`opened`.

        ``early`` are the frames that the client has sent with it.
        """
        self._input = HandshakeStream(self._stream, request, early)

    def opened(self) -> bytes:
        """Ends the handshake, once: the library's reader goes on.

        Returns the frames that came with the request if a pump reads; else the library reads them.
        """
        handshake = self._input
        if not isinstance(handshake, HandshakeStream):
            raise RuntimeError("the handshake was over already")  # noqa: TRY004
        handshake.over()
        if self.pumped is None and handshake.early:
            return b""
        self._input = self._stream
        return handshake.take_early()

    # For this node: synchronous, whole frames.

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
        elif (frames := cork.pending.get(self)) is None:
            cork.pending[self] = [frame]
        else:
            frames.append(frame)
            if len(frames) >= FRAMES_PER_WRITE or len(frame) > LARGE_BYTES:
                del cork.pending[self]
                if data := self.uncork(frames, cork.now):
                    self._write(data)

    def ping(self) -> None:
        """Sends a ping. A browser's page cannot see this frame, so ``sent_at`` stays."""
        if self.state is OPEN:
            self._send(PING_FRAME)

    def send_close(self, code: int, reason: str = "") -> None:
        """Sends a close frame, unless one was sent; nothing follows it."""
        if self._step(WriteEvent.CLOSE):
            self._send(close_frame(code, reason))

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

    async def close_gracefully(self, seconds: float) -> None:
        """Flushes; then half-closes and discards input for at most ``seconds``; then closes.

        Flushing ends when the client has read nothing for ``seconds``, and after ``flush_seconds``
        in any case. A client that was too slow has all that time: otherwise it would hardly learn
        why it is closed.

        Closing at once would make the kernel answer unread input with a reset, which can overtake
        our close frame. The peer's own close frame or end of file ends the wait early. No other
        task may read by now. Always closes, also when cancelled or the peer is gone.
        """
        if self.pumped is not None:
            self.pumped.stop_reading()
        try:
            if await self._flushed(seconds):
                await self._discard_input(seconds)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        await self.abort()

    async def _flushed(self, seconds: float) -> bool:
        """Waits until nothing is queued; returns False if the client does not read."""
        flush_seconds = self._backlog.policy.flush_seconds
        with trio.move_on_after(flush_seconds):
            taken = -1
            while taken != (taken := self.reading.taken(self.queue.sent)):
                with trio.move_on_after(flush_seconds if self.too_slow else seconds):
                    await self.wait_send_all_might_not_block()
                    return True
        return False

    async def _discard_input(self, seconds: float) -> None:
        with trio.move_on_after(seconds):
            if isinstance(self._stream, trio.abc.HalfCloseableStream):
                await self._stream.send_eof()
            tail = b""
            while not ends_in_close(tail):
                data = await self._stream.receive_some(CHUNK_BYTES)
                if not data:
                    break
                tail = (tail + data)[-CLOSE_BYTES_MAX:]

    async def abort(self) -> None:
        """Closes the stream at once, and drops what is queued."""
        self._lose()
        self._input = None
        self.overflowed = self.for_library = _ignore
        await trio.aclose_forcefully(self._stream)

    # For the library: a stream.

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Sends the library's bytes, and waits until they have left.

        They are queued whole before the first wait: a cancellation does not tear them. After a
        close frame they are dropped (the library answers a ping whenever one comes).
        """
        if self._input is None:
            raise trio.ClosedResourceError("the library has closed its side")
        if self.state is WriteState.LOST:
            raise trio.BrokenResourceError("the connection is lost")
        if self.state is not WriteState.CLOSED:
            whole = bytes(data)
            if whole[:1] == CLOSE_OPCODE:  # its handshake begins with an H
                self._step(WriteEvent.CLOSE)
            self._send(whole)
        await self.wait_send_all_might_not_block()

    async def wait_send_all_might_not_block(self) -> None:
        """Waits until nothing is queued."""
        await trio.lowlevel.checkpoint()
        frames = self.cork.pending.pop(self, None)  # of a step that the cork has prolonged
        if frames and (data := self.uncork(frames, self.cork.now)):
            self._write(data)
        await self.queue.wait_empty()
        if self.state is WriteState.LOST:
            raise trio.BrokenResourceError("the connection is lost")

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        """Returns the client's next bytes, or none at the end; notes ``heard_at``."""
        if self._input is None:
            raise trio.ClosedResourceError("the library has closed its side")
        data = await self._input.receive_some(max_bytes)
        if data:
            self._heard_at = trio.current_time()
            self.for_library(data)
        return data

    async def aclose(self) -> None:
        """Closes the library's side. Queued frames are still sent."""
        self._input = None
        await trio.lowlevel.checkpoint()

    def _step(self, event: WriteEvent) -> bool:
        """Follows the table; returns whether ``event`` changes anything."""
        before = self.state
        self.state = TABLE[before].get(event, before)
        return self.state is not before

    def _send(self, data: bytes) -> None:
        """Sends ``data`` behind the frames that the step under way has sent."""
        if self.cork.held and (frames := self.cork.pending.get(self)) is not None:
            frames.append(data)
        else:
            self._write(data)

    def uncork(self, frames: list[bytes], now: float) -> bytes:
        """Returns what the caller must write to the descriptor; nothing if it is queued here."""
        self.sent_at = now
        if self.descriptor < 0:
            self._enqueue(frames)
            return b""
        return frames[0] if len(frames) == 1 else b"".join(frames)

    def written(self, data: bytes, sent: int) -> None:
        """Queues what the socket did not take of ``data``; ``sent`` is -1 if the peer is lost."""
        if sent < 0:
            self._lose()
        else:
            self._enqueue([], memoryview(data)[sent:])  # no copy: many may have the same frame

    def _write(self, data: bytes) -> None:
        if self.descriptor < 0:
            self._enqueue([data])
            return
        sent = write(self.descriptor, data)
        if sent != len(data):
            self.written(data, sent)

    def _enqueue(self, frames: list[bytes], rest: bytes | memoryview = b"") -> None:
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
        if self._step(WriteEvent.OVERFLOW):
            self.too_slow = True
            self.queue.drop_unsent()
            use_room(self._socket)
            self.overflowed(why, waiting)

    async def _flush(self, descriptor: int) -> None:
        """The flusher; gives ``descriptor`` back when the queue is empty."""
        try:
            await self.queue.flush(self._stream)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self._lose()
        except BaseException:
            self._lose()  # a frame may be torn: nothing may follow it
            raise
        if self.state is not WriteState.LOST:
            self.descriptor = descriptor

    def _lose(self) -> None:
        self._step(WriteEvent.LOSS)
        self.descriptor = -1
        self.queue.clear()


def _ignore(*_: object) -> None:
    """The default of a callback that is not set."""


def send_to_all(streams: Sequence[ClientStream], frame: bytes) -> None:
    """:meth:`ClientStream.send_nowait` to many: the usual case is one loop without calls."""
    for stream in streams:
        cork = stream.cork
        if cork.held and stream.state is OPEN and stream not in cork.pending:
            cork.pending[stream] = [frame]
        else:
            stream.send_nowait(frame)
