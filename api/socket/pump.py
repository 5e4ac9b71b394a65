"""Reads all plain client sockets in one task, with one epoll set.

A task that waits for each socket costs 65 µs a message, most of it in waking two tasks. Here one
task reads every socket that has data, and hands complete text frames to their sessions
synchronously (:mod:`lastcall.api.socket.frame_parser`): 20 µs (``bench peers``, inbound, both in
one run). The handshake, pings, closes, fragments and everything invalid pass as bytes to the
protocol library, which sits on a ``PumpedStream`` (``pumped_stream.py``).

Reading is fair: 8 KiB of a client at a time, and at most 512 clients between two polls; after 5 ms,
or when many clients have frames to be written, the others wait for the next turn of the loop. Under
load a poll waits until more clients have sent something (:mod:`lastcall.core.batching`).

Without epoll or a descriptor (TLS, memory), and with ``LASTCALL_PUMP=off``, the library alone reads
the stream; the behaviour is the same.
"""

from __future__ import annotations

import os
import select
from collections.abc import Callable, Mapping
from math import inf
from time import perf_counter
from typing import Protocol

import structlog
import trio

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
from lastcall.core.batching import AdaptiveBatcher

log = structlog.get_logger("lastcall.api.socket.pump")


class TextHandler(Protocol):
    """Takes a client's texts; :class:`lastcall.api.sessions.session.Session`."""

    def hear(self, message: str, now: float, /) -> bool:
        """Takes a text that came ``now`` (trio's time); returns whether another may follow."""


Received = tuple["PumpedClient", bytes | None]
"""The bytes that a client has sent; None if its connection is lost."""


def pump_wanted() -> bool:
    """Whether this system has epoll, and ``LASTCALL_PUMP`` is not ``off``."""
    return hasattr(select, "epoll") and os.environ.get("LASTCALL_PUMP", "on") != "off"


class PumpedClient:
    """One client's socket, as the pump reads it.

    It does so from :meth:`start_reading` to :meth:`stop_reading`. The texts are delivered, and
    :meth:`for_library` returns all else that has come.
    """

    __slots__ = (
        "_between_frames",
        "_blocked",
        "_failed",
        "_for_library",
        "_frame_bytes",
        "_handler",
        "_on_blocked",
        "_parser",
        "_pump",
        "_undelivered",
        "_wake",
        "fd",
        "gave_up",
        "heard_at",
        "unfinished_since",
    )

    def __init__(self, fd: int, pump: Pump, *, frame_bytes: int) -> None:
        self._pump = pump
        self._parser = FrameParser(frame_bytes)
        self._frame_bytes = frame_bytes
        self._between_frames = False
        """Nothing waits, and the next byte begins a frame: it need not pass the parser."""
        self._blocked = False
        self._undelivered: list[str] = []
        """Texts that the session could not take yet; ``_for_library`` came after them."""
        self._for_library = b""
        self._wake: trio.Event | None = None
        self._failed: type[trio.BrokenResourceError | trio.ClosedResourceError] | None = None
        self._handler: TextHandler | None = None
        self._on_blocked: Callable[[], None] = _ignore
        self.fd = fd
        self.gave_up = False
        """This client has met a bug of this node."""
        self.heard_at = trio.current_time()
        """When the last byte came (trio time)."""
        self.unfinished_since = inf
        """When the frame began that has not come whole; infinite if there is none."""

    # For the gateway.

    def start_reading(
        self, handler: TextHandler, on_blocked: Callable[[], None], early: bytes = b""
    ) -> None:
        """Lets the pump read from now on; no task may be waiting in :meth:`for_library`.

        ``early`` has been read before. When ``handler`` can take no more, the pump reads nothing
        more and calls ``on_blocked``; :meth:`unblock` ends that.
        """
        self._handler, self._on_blocked = handler, on_blocked
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
        self._handler, self._on_blocked = None, _ignore
        self._undelivered = []
        self._pump.unwatch(self)

    # For the pump.

    def feed(self, data: bytes) -> None:
        """Parses and delivers ``data``, which came at ``heard_at``."""
        if (
            self._between_frames
            and (text := parse_single_text_frame(data, self._frame_bytes)) is not None
            and self._handler is not None
        ):
            if not self._handler.hear(text, self.heard_at):
                self._block()
            return
        texts, for_library = self._parser.split(data)
        if not self._parser.unfinished:
            self.unfinished_since = inf
        elif texts or for_library or self.unfinished_since == inf:
            self.unfinished_since = self.heard_at
        if for_library:
            self._for_library += for_library
        self._deliver_all(texts)

    def finish(self, failed: type[trio.BrokenResourceError] | None = None) -> None:
        """Ends the input: with an end of file, or with a lost connection."""
        self._pump.unwatch(self)
        self._for_library += self._parser.rest()
        self._between_frames = False
        self._failed = failed
        self._handler = None
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
        handler = self._handler
        for index, text in enumerate(texts, 1):
            if handler is None or not handler.hear(text, self.heard_at):
                self._undelivered = texts[index:]
                self._block()
                return
        if handler is None or self._handler is None:
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
        if self._handler is not None:
            self._pump.unwatch(self)
            self._on_blocked()

    def _wake_library(self) -> None:
        if self._wake is not None:
            self._wake.set()
            self._wake = None

    # For the library.

    async def for_library(self, max_bytes: int | None) -> bytes | None:
        """Waits for the next bytes; None if the pump does not read, so that the library may.

        Raises what the end was, if it was not the end of file.
        """
        while self._blocked or not self._for_library:
            if self._handler is None:
                if self._failed is not None:
                    raise self._failed("the connection is lost")
                return None
            self._wake = trio.Event()
            await self._wake.wait()
        size = max_bytes or LIBRARY_BYTES
        data, self._for_library = self._for_library[:size], self._for_library[size:]
        if self._handler is not None and len(self._for_library) <= READ_BYTES:
            self._pump.watch(self)
        return data

    def close(self) -> None:
        """The stream is closed: ends the library's reader if it still waits."""
        self.stop_reading()
        self._failed = trio.ClosedResourceError
        self._wake_library()


def _ignore() -> None:
    """The default of a callback that is not set."""


class Pump:
    """All plain client sockets of a node; :meth:`run` is its one task.

    The frames that sessions send during one turn leave at its end, through ``cork``.
    """

    def __init__(self, cork: Cork) -> None:
        self._cork = cork
        self._epoll = select.epoll()
        self._clients: dict[int, PumpedClient] = {}
        self._batcher = AdaptiveBatcher()
        self.turns = 0
        """How many turns the pump has taken; none while no client sends."""

    async def run(self) -> None:
        """Reads until cancelled."""
        cork, batcher = self._cork, self._batcher
        try:
            while True:
                ready = await self._next_ready()
                began, cork.waited = trio.current_time(), batcher.waits
                count = len(ready)
                received: list[Received] = []
                while True:
                    with cork:
                        ready, received = self._take_turn(ready, received)
                    if not (ready or received):
                        break
                    await trio.lowlevel.checkpoint()
                cork.waited = False
                batcher.sent(began, count)
        finally:
            cork.waited = False
            self._clients.clear()
            self._epoll.close()

    async def _next_ready(self) -> list[int]:
        """Waits until clients have sent something; under load longer, so that more of them have.

        The inputs go to the game nodes at the end of the turn, and do not wait there again.
        """
        ready: list[tuple[int, int]] = []
        if (due := self._batcher.due()) > trio.current_time():
            await trio.sleep_until(due)
            ready = self._epoll.poll(0, CLIENTS_PER_POLL)
        while not ready:
            await trio.lowlevel.wait_readable(self._epoll.fileno())
            ready = self._epoll.poll(0, CLIENTS_PER_POLL)
        return [descriptor for descriptor, _ in ready]

    def _take_turn(
        self, ready: list[int], received: list[Received]
    ) -> tuple[list[int], list[Received]]:
        """Feeds what clients have sent: first ``received``, then what it reads from ``ready``.

        It reads from several clients before it parses the first: the kernel's work for a read
        evicts ours from the processor's caches (1 µs of each frame). Returns what the turn had no
        time for.
        """
        clients = self._clients
        now, until = self._cork.now, perf_counter() + TURN_SECONDS
        self.turns += 1
        while ready or received:
            if not received:
                received, ready = _read(clients, ready[:READS_PER_BATCH]), ready[READS_PER_BATCH:]
            for index, (client, data) in enumerate(received, 1):
                if clients.get(client.fd) is client:  # the clients before may have ended it
                    client.heard_at = now
                    _feed(client, data)
                if data and len(data) > LARGE_BYTES and self._out_of_time(until):
                    return ready, received[index:]
            received = []
            if ready and self._out_of_time(until):
                break
        return ready, received

    def _out_of_time(self, until: float) -> bool:
        return perf_counter() > until or self._cork.full

    def watch(self, client: PumpedClient) -> None:
        """Reads ``client`` from now on, unless it is read already."""
        if client.fd not in self._clients and not self._epoll.closed:
            self._clients[client.fd] = client
            self._epoll.register(client.fd, select.EPOLLIN)

    def unwatch(self, client: PumpedClient) -> None:
        """Stops reading ``client`` if it is read: what its peer sends waits in the kernel.

        To be called before its descriptor is closed.
        """
        if self._clients.get(client.fd) is client:
            del self._clients[client.fd]
            self._epoll.unregister(client.fd)


def _read(clients: Mapping[int, PumpedClient], ready: list[int]) -> list[Received]:
    received: list[Received] = []
    for fd in ready:
        client = clients.get(fd)  # it may have ended since the poll
        if client is None:
            continue
        try:
            received.append((client, os.read(fd, READ_BYTES)))
        except BlockingIOError:
            continue
        except OSError:
            received.append((client, None))
    return received


def _feed(client: PumpedClient, data: bytes | None) -> None:
    """Stands between clients: a bug that one client meets costs no other."""
    try:
        if data:
            client.feed(data)
        else:
            client.finish(trio.BrokenResourceError if data is None else None)
    except Exception:
        log.exception("client.internal_error")
        client.fail()
