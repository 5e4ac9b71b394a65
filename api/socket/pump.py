"""Reads all plain client sockets in one task, with one epoll set.

A task that waits for each socket costs 65 µs a message, most of it in waking two tasks. Here one
task reads every socket that has data, and hands complete text frames to their sessions
synchronously (:mod:`lastcall.api.socket.frame_parser`): 20 µs (``bench peers``, inbound, both in
one run). The handshake, pings, closes, fragments and everything invalid pass as bytes to the
protocol library, which sits on a :class:`PumpedStream`.

Reading is fair: 8 KiB of a client at a time, and at most 512 clients between two polls; after 5 ms,
or when many clients have frames to be written, the others wait for the next turn of the loop.
Without epoll or a descriptor (TLS, memory), and with ``LASTCALL_PUMP=off``, the library alone reads
the stream; the behaviour is the same.
"""

from __future__ import annotations

import os
import select
from collections.abc import Callable, Mapping
from time import perf_counter

import structlog
import trio
import trio.abc

from lastcall.api.socket.batch_sizes import (
    CLIENTS_PER_POLL,
    LARGE_BYTES,
    LIBRARY_BYTES,
    READ_BYTES,
    READS_PER_BATCH,
    TURN_SECONDS,
)
from lastcall.api.socket.cork import Cork
from lastcall.api.socket.frame_parser import FrameParser, parse_single_text_frame

log = structlog.get_logger("lastcall.api.socket.pump")

DeliverText = Callable[[str, float], bool]
"""Delivers a message and its time (trio's) synchronously; returns whether another may follow."""
Received = tuple["PumpedStream", bytes | None]
"""The bytes that a client has sent; None if its connection is lost."""


def pump_wanted() -> bool:
    """Whether this system has epoll, and ``LASTCALL_PUMP`` is not ``off``."""
    return hasattr(select, "epoll") and os.environ.get("LASTCALL_PUMP", "on") != "off"


class PumpedStream(trio.abc.HalfCloseableStream):
    """A client's TCP stream, as the library sees it.

    Between :meth:`start_reading` and :meth:`stop_reading` the pump reads the socket: it delivers
    the texts, and :meth:`receive_some` returns the bytes for the library. Before and afterwards
    the stream is a plain one, which one task may read.
    """

    __slots__ = (
        "_between_frames",
        "_blocked",
        "_deliver",
        "_failed",
        "_for_library",
        "_on_blocked",
        "_parser",
        "_pump",
        "_stream",
        "_undelivered",
        "_wake",
        "fd",
        "gave_up",
        "heard_at",
    )

    def __init__(self, stream: trio.SocketStream, pump: Pump, *, frame_bytes: int) -> None:
        self._stream = stream
        self._pump = pump
        self._parser = FrameParser(frame_bytes)
        self._between_frames = False
        """Nothing waits, and the next byte begins a frame: it need not pass the parser."""
        self._blocked = False
        self._undelivered: list[str] = []
        """Texts that the session could not take yet; ``_for_library`` came after them."""
        self._for_library = b""
        self._wake: trio.Event | None = None
        self._failed: type[trio.BrokenResourceError | trio.ClosedResourceError] | None = None
        self._deliver: DeliverText | None = None
        self._on_blocked: Callable[[], None] = _ignore
        self.fd = stream.socket.fileno()
        self.gave_up = False
        """This client has met a bug of this node."""
        self.heard_at = trio.current_time()
        """When the last byte came (trio time)."""

    @property
    def socket(self) -> trio.socket.SocketType:
        """The TCP stream's socket."""
        return self._stream.socket

    # For the gateway.

    def start_reading(
        self, deliver: DeliverText, on_blocked: Callable[[], None], early: bytes = b""
    ) -> None:
        """Lets the pump read from now on; no task may be waiting in :meth:`receive_some`.

        ``early`` has been read before. When ``deliver`` returns False, the pump reads nothing
        more and calls ``on_blocked``; :meth:`unblock` ends that.
        """
        self._deliver, self._on_blocked = deliver, on_blocked
        self.heard_at = trio.current_time()
        self._pump.watch(self)
        if early:
            self.feed(early)

    def unblock(self) -> None:
        """Delivers the texts that wait, and reads on: the session can take more again."""
        texts, self._undelivered = self._undelivered, []
        self._blocked = False
        self._deliver_all(texts)

    def stop_reading(self) -> None:
        """Ends the pump's reading, and drops the texts that wait: the session is over."""
        self._between_frames = False
        self._deliver, self._on_blocked = None, _ignore
        self._undelivered = []
        self._pump.unwatch(self)

    # For the pump.

    def feed(self, data: bytes) -> None:
        """Parses and delivers ``data``, which came at ``heard_at``."""
        if (
            self._between_frames
            and (text := parse_single_text_frame(data, self._parser.bytes_max)) is not None
            and self._deliver is not None
        ):
            if not self._deliver(text, self.heard_at):
                self._block()
            return
        texts, for_library = self._parser.split(data)
        if for_library:
            self._for_library += for_library
        self._deliver_all(texts)

    def finish(self, failed: type[trio.BrokenResourceError] | None = None) -> None:
        """Ends the input: with an end of file, or with a lost connection."""
        self._pump.unwatch(self)
        self._for_library += self._parser.rest()
        self._between_frames = False
        self._failed = failed
        self._deliver = None
        self._wake_library()

    def fail(self) -> None:
        """Gives this client up: it met a bug of this node."""
        self.gave_up = True
        self._for_library = b""
        self._undelivered = []
        self._blocked = False
        self.finish(trio.BrokenResourceError)

    def _deliver_all(self, texts: list[str]) -> None:
        """Delivers ``texts`` until the session is blocked; if it is not, the library reads on."""
        deliver = self._deliver
        for index, text in enumerate(texts, 1):
            if deliver is None or not deliver(text, self.heard_at):
                self._undelivered = texts[index:]
                self._block()
                return
        if deliver is None or self._deliver is None:
            return
        if len(self._for_library) > READ_BYTES:
            self._pump.unwatch(self)
        else:
            self._pump.watch(self)
        if self._for_library:
            self._between_frames = False
            self._wake_library()
        else:
            self._between_frames = self._parser.between_frames

    def _block(self) -> None:
        """Stops reading for now: the session can take no more, or it is over."""
        self._between_frames = False
        self._blocked = True
        if self._deliver is not None:
            self._pump.unwatch(self)
            self._on_blocked()

    def _wake_library(self) -> None:
        if self._wake is not None:
            self._wake.set()
            self._wake = None

    # For the library.

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        """Returns the next bytes for the library, or none at the end."""
        await trio.lowlevel.checkpoint()
        while self._blocked or not self._for_library:
            if self._deliver is None:
                if self._failed is not None:
                    raise self._failed("the connection is lost")
                return await self._stream.receive_some(max_bytes)
            self._wake = trio.Event()
            await self._wake.wait()
        size = min(max_bytes or LIBRARY_BYTES, LIBRARY_BYTES)
        data, self._for_library = self._for_library[:size], self._for_library[size:]
        if self._deliver is not None and len(self._for_library) <= READ_BYTES:
            self._pump.watch(self)
        return data

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """As the TCP stream does."""
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        """As the TCP stream does."""
        await self._stream.wait_send_all_might_not_block()

    async def send_eof(self) -> None:
        """As the TCP stream does."""
        await self._stream.send_eof()

    async def aclose(self) -> None:
        """Closes the connection, and ends the library's reader if it still waits."""
        self.stop_reading()
        self._failed = trio.ClosedResourceError
        self._wake_library()
        await self._stream.aclose()


def _ignore() -> None:
    """The default of a callback that is not set."""


class Pump:
    """All plain client sockets of a node; :meth:`run` is its one task.

    The frames that sessions send during one turn leave at its end, through ``cork``.
    """

    def __init__(self, cork: Cork) -> None:
        self._cork = cork
        self._epoll = select.epoll()
        self._streams: dict[int, PumpedStream] = {}
        self.turns = 0
        """How many turns the pump has taken; none while no client sends."""

    async def run(self) -> None:
        """Reads until cancelled."""
        try:
            while True:
                await trio.lowlevel.wait_readable(self._epoll.fileno())
                ready = [fd for fd, _ in self._epoll.poll(0, CLIENTS_PER_POLL)]
                received: list[Received] = []
                while True:
                    with self._cork:
                        ready, received = self._take_turn(ready, received)
                    if not (ready or received):
                        break
                    await trio.lowlevel.checkpoint()
        finally:
            self._streams.clear()
            self._epoll.close()

    def _take_turn(
        self, ready: list[int], received: list[Received]
    ) -> tuple[list[int], list[Received]]:
        """Feeds what clients have sent: first ``received``, then what it reads from ``ready``.

        It reads from several clients before it parses the first: the kernel's work for a read
        evicts ours from the processor's caches (1 µs of each frame). Returns what the turn had no
        time for.
        """
        streams = self._streams
        now, until = self._cork.now, perf_counter() + TURN_SECONDS
        self.turns += 1
        while ready or received:
            if not received:
                received, ready = _read(streams, ready[:READS_PER_BATCH]), ready[READS_PER_BATCH:]
            for index, (stream, data) in enumerate(received, 1):
                if streams.get(stream.fd) is stream:  # the streams before may have ended it
                    stream.heard_at = now
                    _feed(stream, data)
                if data and len(data) > LARGE_BYTES and self._out_of_time(until):
                    return ready, received[index:]
            received = []
            if ready and self._out_of_time(until):
                break
        return ready, received

    def _out_of_time(self, until: float) -> bool:
        return perf_counter() > until or self._cork.full

    def watch(self, stream: PumpedStream) -> None:
        """Reads ``stream`` from now on, unless it is read already."""
        if stream.fd not in self._streams and not self._epoll.closed:
            self._streams[stream.fd] = stream
            self._epoll.register(stream.fd, select.EPOLLIN)

    def unwatch(self, stream: PumpedStream) -> None:
        """Stops reading ``stream`` if it is read: what its peer sends waits in the kernel.

        To be called before its descriptor is closed.
        """
        if self._streams.get(stream.fd) is stream:
            del self._streams[stream.fd]
            self._epoll.unregister(stream.fd)


def _read(streams: Mapping[int, PumpedStream], ready: list[int]) -> list[Received]:
    received: list[Received] = []
    for fd in ready:
        stream = streams.get(fd)  # it may have ended since the poll
        if stream is None:
            continue
        try:
            received.append((stream, os.read(fd, READ_BYTES)))
        except BlockingIOError:
            continue
        except OSError:
            received.append((stream, None))
    return received


def _feed(stream: PumpedStream, data: bytes | None) -> None:
    """Stands between clients: a bug that one client meets costs no other."""
    try:
        if data:
            stream.feed(data)
        else:
            stream.finish(trio.BrokenResourceError if data is None else None)
    except Exception:
        log.exception("client.internal_error")
        stream.fail()
