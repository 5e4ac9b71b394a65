"""A client's byte stream: one ordered output that the protocol library and we share.

``trio_websocket`` sits on an :class:`ClientStream` and sends its handshake, pongs and close frames
with ``send_all``; rooms send frames that were built once with :meth:`ClientStream.send_nowait`,
without a task and without waiting. Both append whole frames to the same output, so none is ever
torn, also not by a cancellation.

Over a plain socket and with nothing queued a frame is one non-blocking write: 10 to 25 µs over TCP,
nearly all of it the kernel's. Within a turn of the loop many are one
(:mod:`lastcall.api.socket.cork`). What does not fit waits in a queue, bounded by bytes, and a
flusher task, which exists only meanwhile, sends it. Other streams (TLS, memory) always use the
flusher.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import trio
import trio.abc

from lastcall.api.socket.cork import Cork, write
from lastcall.api.socket.frame_builder import (
    CLOSE_BYTES_MAX,
    PING_FRAME,
    close_frame,
    ends_in_close,
)
from lastcall.api.socket.handshake_stream import HandshakeStream
from lastcall.api.socket.pump import PumpedStream

__all__ = ["ClientStream", "send_to_all"]

CHUNK_BYTES = 64 * 1024
TOGETHER = 128
LONG = 512
"""So many frames of a step leave in one write, or those up to a longer one: 64 KiB, and a frame."""
_CLOSE_OPCODE = b"\x88"


class ClientStream(trio.abc.HalfCloseableStream):
    """Wraps any trio stream; see the module.

    The flusher is spawned in ``nursery``, which must outlive the library's reader task and every
    call of :meth:`send_nowait`. Beyond ``backlog_bytes`` the frames that have not begun to leave
    are dropped and :attr:`overflowed` is called, once; after that only a close frame is taken.
    """

    __slots__ = (
        "_broken",
        "_chunk",
        "_closing",
        "_drained",
        "_flushing",
        "_heard_at",
        "_left",
        "_nursery",
        "_opening",
        "_queue",
        "_stream",
        "backlog",
        "backlog_bytes",
        "cork",
        "descriptor",
        "ended",
        "overflowed",
        "pumped",
        "sent_at",
        "write_closed",
    )

    def __init__(
        self,
        stream: trio.abc.Stream,
        nursery: trio.Nursery,
        *,
        backlog_bytes: int,
        cork: Cork | None = None,
    ) -> None:
        self._stream = stream
        self._nursery = nursery
        self.cork = cork or Cork()
        self.descriptor = -1
        self.pumped = stream if isinstance(stream, PumpedStream) else None
        """The stream, if a pump reads it."""
        if isinstance(stream, PumpedStream):
            self.descriptor = stream.fd
        elif isinstance(stream, trio.SocketStream):
            self.descriptor = stream.socket.fileno()
        self._opening: HandshakeStream | None = HandshakeStream(stream)
        self._queue: list[bytes] = []
        self._chunk = b""
        self._drained: trio.Event | None = None
        self._flushing = False
        self._broken = False
        self._closing = False
        self._left = False
        self.write_closed = False
        """Whether nothing more is taken: a close frame was, or the client reads too slowly."""
        self.backlog = 0
        """Bytes that wait for the client to read."""
        self.backlog_bytes = backlog_bytes
        self._heard_at = self.sent_at = trio.current_time()
        """``sent_at``: when the step began whose frames left last (trio time)."""
        self.overflowed: Callable[[], None] | None = None
        self.ended: Callable[[], None] | None = None
        """Called when no more can come: the peer's end of file, a broken stream, or the library
        has finished. During the handshake it is the only sign of that; see ``gateway``."""

    @property
    def heard_at(self) -> float:
        """When the last byte came (trio time)."""
        return self._heard_at if self.pumped is None else self.pumped.heard_at

    def opened(self) -> bytes:
        """The handshake is over: the reader goes on. To be called once.

        Returns the frames that came with the request, for the pump; without one the library reads
        them now.
        """
        opening, self._opening = self._opening, None
        if opening is None:
            raise RuntimeError("the handshake was over already")
        opening.over()
        if self.pumped is not None:
            return opening.take_early()
        if opening.early:
            self._opening = opening
        return b""

    # Our side: synchronous, whole frames.

    def send_nowait(self, frame: bytes) -> None:
        """Sends a whole frame, now or as soon as the client reads; never waits, never raises.

        After a close frame, and on a broken stream, it drops the frame: the session learns of
        the end by its own way.
        """
        if self.write_closed:
            return
        cork = self.cork
        if not cork.held:
            self.sent_at = trio.current_time()
            self._say(frame)
        elif (frames := cork.said.get(self)) is None:
            cork.said[self] = [frame]
        else:
            frames.append(frame)
            if len(frames) >= TOGETHER or len(frame) > LONG:
                del cork.said[self]
                self._say_all(frames)

    def ping(self) -> None:
        """Sends a ping. Not a frame that a browser's page can see, so it leaves ``sent_at``."""
        if not self.write_closed:
            self._put(PING_FRAME)

    def say_close(self, code: int, reason: str = "") -> None:
        """Sends a close frame, unless one was sent; nothing follows it."""
        if not self._closing:
            self._closing = self.write_closed = True
            self._put(close_frame(code, reason))

    async def close_gracefully(self, seconds: float) -> None:
        """The end of a conversation: flush, half-close, discard input, all in ``seconds``; close.

        Closing at once would make the kernel answer unread input with a reset, which can
        overtake our close frame. It ends early with the peer's own close frame or end of file.
        Only one task may read by now. Always closes, also when cancelled or the peer is gone.
        """
        if self.pumped is not None:
            self.pumped.end()
        with trio.move_on_after(seconds):
            try:
                await self._wait_drained()
                if isinstance(self._stream, trio.abc.HalfCloseableStream):
                    await self._stream.send_eof()
                tail = b""
                while not ends_in_close(tail):
                    data = await self._stream.receive_some(CHUNK_BYTES)
                    if not data:
                        break
                    tail = (tail + data)[-CLOSE_BYTES_MAX:]
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                pass
        await self.abort()

    async def abort(self) -> None:
        """Closes the stream at once, and forgets what is queued."""
        self._break()
        self._left = True
        self.overflowed = self.ended = None
        await trio.aclose_forcefully(self._stream)

    # The library's side: a stream.

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Sends the library's bytes, and waits until they have left.

        They are queued whole before the first wait: cancelling does not tear them. After a close
        frame they are dropped (the library answers a ping whenever one comes).
        """
        if self._left:
            raise trio.ClosedResourceError("the library has closed its side")
        if self._broken:
            raise trio.BrokenResourceError("the connection is lost")
        if not self._closing:
            whole = bytes(data)
            if whole[:1] == _CLOSE_OPCODE:  # its handshake begins with an H
                self._closing = self.write_closed = True
            self._put(whole)
        await trio.lowlevel.checkpoint()
        await self._wait_drained()

    async def wait_send_all_might_not_block(self) -> None:
        """Waits until nothing is queued."""
        await trio.lowlevel.checkpoint()
        await self._wait_drained()

    async def send_eof(self) -> None:
        """Nothing: whether more follows is not the library's to say."""
        await trio.lowlevel.checkpoint()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        """The next bytes of the client, or none at the end; notes ``heard_at``."""
        if self._left:
            raise trio.ClosedResourceError("the library has closed its side")
        try:
            data = await (self._opening or self._stream).receive_some(max_bytes)
        except trio.BrokenResourceError:
            self._end()
            raise
        if data:
            self._heard_at = trio.current_time()
        else:
            self._end()
        return data

    async def aclose(self) -> None:
        """The library has finished. What is queued still leaves; :meth:`part` closes for real."""
        self._left = True
        self._end()
        await trio.lowlevel.checkpoint()

    # The one output.

    def _put(self, data: bytes) -> None:
        """Behind what the step under way has said already."""
        if self.cork.held and (frames := self.cork.said.get(self)) is not None:
            frames.append(data)
        else:
            self._say(data)

    def uncork(self, frames: list[bytes], now: float) -> bytes:
        """The step is over: what it has said, for one write; or nothing, if the flusher has it."""
        self.sent_at = now
        if self.descriptor < 0 or self._flushing:
            self._queue_up(frames)
            return b""
        return frames[0] if len(frames) == 1 else b"".join(frames)

    def written(self, data: bytes, sent: int) -> None:
        """Of ``data`` only so much has left: the flusher cares for the rest. -1: nothing can."""
        if sent < 0:
            self._break()
        else:
            self._chunk = data[sent:]  # apart from the queue: what has begun must be finished
            self.backlog = len(self._chunk)
            self._flush_soon()

    def _say_all(self, frames: list[bytes]) -> None:
        if data := self.uncork(frames, self.cork.now):
            self._say(data)

    def _say(self, data: bytes) -> None:
        if self.descriptor < 0 or self._flushing:
            self._queue_up([data])
            return
        sent = write(self.descriptor, data)
        if sent != len(data):
            self.written(data, sent)

    def _queue_up(self, frames: list[bytes]) -> None:
        if not self._broken:
            self._queue += frames
            self.backlog += sum(map(len, frames))
            self._flush_soon()

    def _flush_soon(self) -> None:
        if not self._flushing:
            self._flushing = True
            self._nursery.start_soon(self._flush)
        if self.backlog > self.backlog_bytes and not self.write_closed:
            self._overflow()

    def _overflow(self) -> None:
        self.write_closed = True
        self._queue.clear()
        self.backlog = len(self._chunk)
        if self.overflowed is not None:
            self.overflowed()

    async def _flush(self) -> None:
        try:
            while self.backlog:
                if not self._chunk:
                    self._chunk = self._next_chunk()
                await self._stream.send_all(self._chunk)
                self.backlog -= len(self._chunk)
                self._chunk = b""
            self._flushing = False
            self._wake()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self._break()
        except BaseException:
            self._break()  # a frame may be torn: nothing may follow it
            raise

    def _next_chunk(self) -> bytes:
        size = count = 0
        for frame in self._queue:
            size += len(frame)
            count += 1
            if size >= CHUNK_BYTES:
                break
        chunk = b"".join(self._queue[:count])
        del self._queue[:count]
        return chunk

    async def _wait_drained(self) -> None:
        if told := self.cork.said.pop(self, None):  # of a step that said too much
            self._say_all(told)
        while self.backlog:
            if self._drained is None:
                self._drained = trio.Event()
            await self._drained.wait()
        if self._broken:
            raise trio.BrokenResourceError("the connection is lost")

    def _break(self) -> None:
        self._broken = True
        self.descriptor = -1
        self._queue.clear()
        self._chunk = b""
        self.backlog = 0
        self._wake()

    def _wake(self) -> None:
        if self._drained is not None:
            self._drained.set()
            self._drained = None

    def _end(self) -> None:
        if self.ended is not None:
            self.ended()


def send_to_all(outlets: Sequence[ClientStream], frame: bytes) -> None:
    """:meth:`ClientStream.send_nowait` to many: the usual case in one loop, without a call for
    each.
    """
    for outlet in outlets:
        cork = outlet.cork
        if cork.held and not outlet.write_closed and outlet not in cork.said:
            cork.said[outlet] = [frame]
        else:
            outlet.send_nowait(frame)
