"""The fast way in: one epoll set in one task for all plain client sockets.

A task that waits for each socket costs 65 µs a message, most of it in waking two tasks. Here one
task reads whichever sockets have something, and hands complete text frames to their sessions
synchronously (:mod:`lastcall.api.socket.frame_parser`): 20 µs (``bench peers``, inbound, both in
one run). The handshake, pings, closes, fragments and everything that is wrong pass as bytes to the
protocol library, which sits on a :class:`PumpedStream`.

Fair: a client is read 8 KiB at a time, at most 512 clients between two checkpoints; after 5 ms, or
when many have something to write, the others wait for the next turn of the loop. A system without
epoll, a stream without a descriptor (TLS, memory), and ``LASTCALL_PUMP=off`` take the plain way:
the library alone, the same behaviour.
"""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable, Mapping

import structlog
import trio
import trio.abc

from lastcall.api.socket.cork import Cork
from lastcall.api.socket.frame_parser import FrameParser, parse_single_text_frame

__all__ = ["Pump", "PumpedStream", "pump_wanted"]

STEPS_PER_BATCH = 512
"""How many clients are served between two checkpoints."""
TOGETHER = 16
"""So many are read before the first is understood."""
LONG = 512
"""What is longer may hold many frames: the clock is looked at behind it, else behind all 16."""
TURN_SECONDS = 0.005
READ_BYTES = 8 * 1024
"""Of one client in one turn: some 300 of the smallest frames that are any good, or 2 to 3 ms."""
LIBRARY_BYTES = 2 * 1024
"""As much at a time for the library, which lets nobody run between its smallest frames."""

log = structlog.get_logger("lastcall.api.socket.pump")

TakeText = Callable[[str, float], bool]
"""Takes one message, synchronously, with the time; returns whether it may be given more."""


def pump_wanted() -> bool:
    """Whether this system has epoll, and ``LASTCALL_PUMP`` is not ``off``."""
    return hasattr(select, "epoll") and os.environ.get("LASTCALL_PUMP", "on") != "off"


class PumpedStream(trio.abc.HalfCloseableStream):
    """A client's TCP stream, as the library sees it.

    Before :meth:`begin` it is read as any stream is, by one task. From then to :meth:`end` the
    pump reads it: texts go to ``take``, and :meth:`receive_some` gives the library what is for it.
    Afterwards it is a plain stream again.
    """

    __slots__ = (
        "_failed",
        "_for_library",
        "_held",
        "_on_held",
        "_plain",
        "_pump",
        "_splitter",
        "_stream",
        "_take",
        "_texts",
        "_wake",
        "fd",
        "heard_at",
    )

    def __init__(self, stream: trio.SocketStream, pump: Pump, *, frame_bytes: int) -> None:
        self._stream = stream
        self._pump = pump
        self._splitter = FrameParser(frame_bytes)
        self._plain = False
        """Between two frames, and nothing waits: what comes next may be taken as it is."""
        self._held = False
        self._texts: list[str] = []
        """Read while the session could take no more; what is ``_for_library`` came after them."""
        self._for_library = b""
        self._wake: trio.Event | None = None
        self._failed: type[trio.BrokenResourceError | trio.ClosedResourceError] | None = None
        self._take: TakeText | None = None
        self._on_held: Callable[[], None] = lambda: None
        self.fd = stream.socket.fileno()
        self.heard_at = trio.current_time()
        """When the last byte came (trio time)."""

    # What the gateway asks.

    def begin(self, take: TakeText, on_held: Callable[[], None], early: bytes = b"") -> None:
        """From now on the pump reads, and nobody may wait in :meth:`receive_some` since before.

        ``early`` is what has come already. Texts go to ``take``; when that returns False nothing
        more is read, and ``on_held`` is called; :meth:`go_on` ends that.
        """
        self._take, self._on_held = take, on_held
        self.heard_at = trio.current_time()
        self._pump.watch(self)
        if early:
            self.feed(early)

    def go_on(self) -> None:
        """The session can take more again: what waits first, then what comes."""
        texts, self._texts = self._texts, []
        self._held = False
        self._give(texts)

    def end(self) -> None:
        """The conversation is over: the pump lets go, and what waits is dropped."""
        self._plain = False
        self._take = None
        self._texts = []
        self._pump.unwatch(self)

    # What the pump asks.

    def feed(self, data: bytes) -> None:
        """Some bytes have come; ``heard_at`` is when."""
        if (
            self._plain
            and (text := parse_single_text_frame(data)) is not None
            and self._take is not None
        ):
            if not self._take(text, self.heard_at):
                self._hold()
            return
        texts, passed = self._splitter.split(data)
        if passed:
            self._for_library += passed
        self._give(texts)

    def finish(self, failed: type[trio.BrokenResourceError] | None = None) -> None:
        """No more bytes will come: an end of file, or a connection that is lost."""
        self._pump.unwatch(self)
        self._for_library += self._splitter.rest()
        self._plain = False
        self._failed = failed
        self._take = None
        self._rouse()

    def fail(self) -> None:
        """A fault of ours: this client is lost."""
        self._for_library = b""
        self._texts = []
        self._held = False
        self.finish(trio.BrokenResourceError)

    def _give(self, texts: list[str]) -> None:
        """Hands ``texts`` over as far as they are taken, then the library's bytes."""
        take = self._take
        for index, text in enumerate(texts, 1):
            if take is None or not take(text, self.heard_at):
                self._texts = texts[index:]
                self._hold()
                return
        if take is None or self._take is None:
            return
        if len(self._for_library) > READ_BYTES:
            self._pump.unwatch(self)
        else:
            self._pump.watch(self)
        if self._for_library:
            self._plain = False
            self._rouse()
        else:
            self._plain = self._splitter.at_frame

    def _hold(self) -> None:
        """The session can take no more for now, unless it is over."""
        self._plain = False
        self._held = True
        if self._take is not None:
            self._pump.unwatch(self)
            self._on_held()

    def _rouse(self) -> None:
        if self._wake is not None:
            self._wake.set()
            self._wake = None

    # The library's side.

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        """The next bytes that are the library's, or none at the end."""
        await trio.lowlevel.checkpoint()
        while self._held or not self._for_library:
            if self._take is None:
                if self._failed is not None:
                    raise self._failed("the connection is lost")
                return await self._stream.receive_some(max_bytes)
            self._wake = trio.Event()
            await self._wake.wait()
        size = min(max_bytes or LIBRARY_BYTES, LIBRARY_BYTES)
        data, self._for_library = self._for_library[:size], self._for_library[size:]
        if self._take is not None and len(self._for_library) <= READ_BYTES:
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
        """Closes the connection; the library's reader, if it still waits, sees the end."""
        self.end()
        self._failed = trio.ClosedResourceError
        self._rouse()
        await self._stream.aclose()


_Come = tuple[PumpedStream, bytes | None]
"""What has come to a client; None if its connection is lost."""


class Pump:
    """All plain client sockets of a node; :meth:`run` is its one task.

    What the sessions answer in one turn leaves at its end: ``cork``.
    """

    def __init__(self, cork: Cork) -> None:
        self._cork = cork
        self._epoll = select.epoll()
        self._streams: dict[int, PumpedStream] = {}
        self.turns = 0
        """How often the sockets that can be read were looked at: not at all where nothing comes."""

    async def run(self) -> None:
        """Reads until cancelled."""
        try:
            while True:
                await trio.lowlevel.wait_readable(self._epoll.fileno())
                ready = [fd for fd, _ in self._epoll.poll(0, STEPS_PER_BATCH)]
                come: list[_Come] = []
                while True:
                    with self._cork:
                        ready, come = self._turn(ready, come)
                    if not (ready or come):
                        break
                    await trio.lowlevel.checkpoint()
        finally:
            self._streams.clear()
            self._epoll.close()

    def _turn(self, ready: list[int], come: list[_Come]) -> tuple[list[int], list[_Come]]:
        """Serves those from whom something has come, and those who have something to be read.

        Some are read before the first of them is understood: the kernel's work for a read throws
        ours out of the processor's caches (1 µs of each frame). Returns those for whom there was no
        time.
        """
        streams = self._streams
        now, until = trio.current_time(), time.perf_counter() + TURN_SECONDS
        self.turns += 1
        while ready or come:
            if not come:
                come, ready = _read(streams, ready[:TOGETHER]), ready[TOGETHER:]
            for index, (stream, data) in enumerate(come, 1):
                if streams.get(stream.fd) is stream:  # what ran since may have ended it
                    stream.heard_at = now
                    _feed(stream, data)
                if data and len(data) > LONG and self._spent(until):
                    return ready, come[index:]
            come = []
            if self._spent(until):
                break
        return ready, come

    def _spent(self, until: float) -> bool:
        return time.perf_counter() > until or self._cork.full

    def watch(self, stream: PumpedStream) -> None:
        """Reads ``stream`` from now on; nothing if it is read already."""
        if stream.fd not in self._streams and not self._epoll.closed:
            self._streams[stream.fd] = stream
            self._epoll.register(stream.fd, select.EPOLLIN)

    def unwatch(self, stream: PumpedStream) -> None:
        """Leaves it unread: what the peer sends waits in the kernel. Nothing if it is not read.

        To be called before its descriptor is closed.
        """
        if self._streams.get(stream.fd) is stream:
            del self._streams[stream.fd]
            self._epoll.unregister(stream.fd)


def _read(streams: Mapping[int, PumpedStream], ready: list[int]) -> list[_Come]:
    """What has come to these clients."""
    come: list[_Come] = []
    for fd in ready:
        stream = streams.get(fd)  # it may have ended since the poll
        if stream is None:
            continue
        try:
            come.append((stream, os.read(fd, READ_BYTES)))
        except BlockingIOError:
            continue
        except OSError:
            come.append((stream, None))
    return come


def _feed(stream: PumpedStream, data: bytes | None) -> None:
    """The border: a fault of ours with one client costs no other."""
    try:
        if data:
            stream.feed(data)
        else:
            stream.finish(trio.BrokenResourceError if data is None else None)
    except Exception:
        log.exception("client.internal_error")
        stream.fail()
