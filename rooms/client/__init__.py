"""The Python client: connect, join, say, listen.

::

    async with connect("ws://127.0.0.1:8080", kind="lounge", name="Ada") as place:
        await place.say("hello")
        async for message in place:
            print(message.seq, message.data)
    print(place.ended.reason)

``dial.py`` makes a WebSocket from a URL, ``opening.py`` opens a connection, ``connection.py`` is
one, ``place.py`` is a seat in a room. A lost socket raises :class:`rooms.errors.ConnectionLost`:
there is no resume yet.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from rooms.client.connection import Connection, State
from rooms.client.dial import OpenStream, open_tcp
from rooms.client.opening import open_connection
from rooms.client.place import Ended, InputRefused, Message, Place, Player

__all__ = [
    "Connection",
    "Ended",
    "InputRefused",
    "Message",
    "OpenStream",
    "Place",
    "Player",
    "State",
    "connect",
    "open_connection",
    "open_tcp",
]


@asynccontextmanager
async def connect(
    urls: str | Iterable[str],
    *,
    kind: str = "",
    room: str = "",
    new: bool = False,
    options: Mapping[str, Any] | None = None,
    name: str = "",
    key: str = "",
    connect_seconds: float = 5.0,
    open_stream: OpenStream = open_tcp,
) -> AsyncIterator[Place]:
    """Opens a socket and takes one place; leaving the block leaves the place.

    Arguments and errors are those of :func:`open_connection` and :meth:`Connection.join`.
    """
    async with open_connection(
        urls, connect_seconds=connect_seconds, open_stream=open_stream
    ) as connection:
        place = await connection.join(
            kind=kind, room=room, new=new, options=options, name=name, key=key
        )
        try:
            yield place
        finally:
            place.leave_soon()
