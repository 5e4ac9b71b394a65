"""Server-sent events (HTML §9.2): one hub for all streams of a port.

A stream keeps no queue of its own: it remembers the id of the last event that it has sent, and
takes the rest from the ring. So a slow reader costs no memory; it is cut when it does not read for
:data:`lastcall.runtime.admin.http.SEND_SECONDS`. The source of the events looks at its nodes only
while somebody watches, and for :data:`LINGER_SECONDS` after that, so that a reader can resume; it
may add lines of the log at any time.
"""

from __future__ import annotations

import secrets
from math import inf
from typing import Protocol

import msgspec
import structlog
import trio
from starlette.responses import Response

from lastcall.core.connection_slots import ConnectionSlots
from lastcall.core.event_ring import Event, EventRing
from lastcall.limits import address_account
from lastcall.runtime.admin.http import Message, Receive, Send
from lastcall.wire.views import ClusterNow, FiguresNow, LogLine, without_figures

log = structlog.get_logger()

STREAMS = 32
"""One more, and the oldest stream of the address with the most ends; it resumes by itself."""
LINES_KEPT = 500
HEARTBEAT_SECONDS = 5.0
LINGER_SECONDS = 30.0
AGAIN_SECONDS = 1.0
RETRY = b"retry: 1000\n\n"
HEADERS = [
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),  # nginx keeps answers back otherwise
    (b"x-content-type-options", b"nosniff"),
]


class Watch(Protocol):
    """The source of the events."""

    async def watch(self, hub: EventHub) -> None:
        """Publishes news to ``hub``, until cancelled."""


class EventHub:
    """The events of one port, and its streams. ``streams`` bounds these."""

    def __init__(self, watch: Watch, *, streams: int = STREAMS) -> None:
        self._watch = watch
        self._slots: ConnectionSlots[EventStream] = ConnectionSlots(streams)
        self._watched = trio.Event()
        self._streaming = trio.Event()
        self._linger = trio.CancelScope()
        self._news = trio.Event()
        self._shown: ClusterNow | None = None
        self.ring = _new_ring()
        """The events that a reader can have."""
        self.closed = False
        """No event will follow."""

    # For readers.

    @property
    def streams(self) -> int:
        """How many streams are open."""
        return len(self._slots)

    def touch(self) -> None:
        """Somebody watches now, if only for a moment."""
        self._watched.set()
        if not self.streams:
            self._linger.deadline = trio.current_time() + LINGER_SECONDS

    def open(self, stream: EventStream, address: str) -> None:
        """A stream of that address begins."""
        oldest = self._slots.add(stream, address_account(address))
        if oldest is not None:
            oldest.end()
        self._watched.set()
        self._streaming.set()
        self._linger.deadline = inf

    def drop(self, stream: EventStream) -> None:
        """A stream is over."""
        self._slots.remove(stream)
        if not self.streams:
            self._streaming = trio.Event()
            self.touch()

    async def wait_news(self) -> None:
        """Returns at the next event, or when the hub closes."""
        await self._news.wait()

    # For the watch.

    async def wait_streaming(self) -> None:
        """Returns while a stream is open, at once or when one begins."""
        await self._streaming.wait()

    def show_cluster(self, now: ClusterNow) -> None:
        """The event ``cluster``, if there is news in it."""
        settled = without_figures(now)
        if settled != self._shown:
            self._shown = settled
            self.ring.set_state("cluster", msgspec.json.encode(now))
            self.tell()

    def show_figures(self, now: FiguresNow) -> None:
        """The event ``figures``."""
        self.ring.set_state("figures", msgspec.json.encode(now))
        self.tell()

    def add_log(self, line: LogLine) -> None:
        """The event ``log``."""
        self.ring.add_line("log", msgspec.json.encode(line))
        self.tell()

    def forget(self) -> None:
        """Lines may be missing from now on: who comes back starts afresh."""
        self._shown, self.ring = None, _new_ring()

    def tell(self) -> None:
        """Wakes the streams."""
        self._news.set()
        self._news = trio.Event()

    # For the port.

    async def run(self) -> None:
        """Watches while somebody does, until cancelled."""
        while True:
            await self._watched.wait()
            with self._linger:
                await self._watch_all()
            self._watched, self._linger = trio.Event(), trio.CancelScope()
            if self.streams:  # one has begun while the watch ended
                self._watched.set()

    async def _watch_all(self) -> None:
        while True:
            try:
                await self._watch.watch(self)
            except Exception:
                log.exception("admin.watch_failed")
                await trio.sleep(AGAIN_SECONDS)

    def close(self) -> None:
        """Each stream sends what is left, and ends."""
        self.closed = True
        self.tell()


class EventStream(Response):
    """The answer to ``GET /cluster/events``: the events after ``last_id``, until either side ends
    it. A comment goes out every five seconds in which nothing else does.
    """

    def __init__(self, hub: EventHub, last_id: str) -> None:
        super().__init__()
        self._hub = hub
        self._last_id = last_id
        self._ended = trio.Event()

    def end(self) -> None:
        """The stream ends after what it sends now."""
        self._ended.set()
        self._hub.tell()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Sends the answer, as an ASGI application."""
        await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
        if scope["method"] != "HEAD":
            address, _ = scope["client"]
            self._hub.open(self, address)
            try:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(_cancel_when_gone, receive, nursery.cancel_scope)
                    await self._send_events(send)
                    nursery.cancel_scope.cancel()
            finally:
                self._hub.drop(self)
        await send({"type": "http.response.body", "body": b""})

    async def _send_events(self, send: Send) -> None:
        data = RETRY
        while True:
            events = self._hub.ring.after(self._last_id)
            self._last_id = self._hub.ring.last_id
            data += b"".join(map(_encoded, events))
            if data:
                await send({"type": "http.response.body", "body": data, "more_body": True})
                data = b""
            elif self._hub.closed or self._ended.is_set():
                return
            else:
                with trio.move_on_after(HEARTBEAT_SECONDS) as quiet:
                    await self._hub.wait_news()
                data = b": \n\n" if quiet.cancelled_caught else b""


async def _cancel_when_gone(receive: Receive, scope: trio.CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()


def _encoded(event: Event) -> bytes:
    """JSON has no line feeds outside of strings, and escapes those within."""
    return f"id: {event.id}\nevent: {event.name}\ndata: ".encode() + event.data + b"\n\n"


def _new_ring() -> EventRing:
    return EventRing(secrets.token_hex(4), ("cluster", "figures"), LINES_KEPT)
