"""Reads server-sent events from a real port, as a browser's ``EventSource`` does."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import msgspec
import trio

from lastcall.bus.address import HostPort


class Sent(NamedTuple):
    """One event."""

    id: str
    name: str
    data: Any


class EventSource:
    """One stream of events."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self._text = ""
        self.ended = False
        """The server has ended it."""

    async def next(self, name: str = "") -> Sent:
        """The next event, or the next one of that name. Raises ``EOFError`` at the end."""
        while True:
            block, found, rest = self._text.partition("\n\n")
            if not found:
                data = await self._stream.receive_some()
                if not data:
                    self.ended = True
                    raise EOFError
                self._text += data.decode()
                continue
            self._text = rest
            fields = dict(one.split(": ", 1) for one in block.split("\n") if ": " in one)
            if "data" in fields and name in {"", fields["event"]}:
                return Sent(fields["id"], fields["event"], msgspec.json.decode(fields["data"]))


@asynccontextmanager
async def event_source(at: HostPort, last_id: str = "") -> AsyncIterator[EventSource]:
    """A stream from the port ``at``, after the event ``last_id``."""
    async with await trio.open_tcp_stream(at.host, at.port) as stream:
        head = f"GET /cluster/events HTTP/1.0\r\nHost: {at}\r\nLast-Event-ID: {last_id}\r\n\r\n"
        await stream.send_all(head.encode())
        yield EventSource(stream)
