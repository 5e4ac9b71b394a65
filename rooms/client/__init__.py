"""The Python client: connect, join, say, listen; no message is lost with a socket.

::

    urls = ["ws://127.0.0.1:8080", "ws://127.0.0.1:8081"]
    async with connect(urls, kind="lounge", name="Ada") as place:
        await place.say("hello")
        async for message in place:
            print(message.seq, message.data)
    print(place.ended.reason)

``connect`` keeps one place over any number of sockets, and ``open_client`` one place after the
other. ``open_connection`` is one socket, whose loss (:class:`lastcall.errors.ConnectionLost`) its
user must handle.

``dial.py`` makes a WebSocket from a URL, ``tokens.py`` has the client's token, ``opening.py`` opens
a connection, ``connection.py`` and ``writer.py`` are one socket, ``place.py`` is a seat in a room
(``outgoing.py`` sends its inputs, ``unread.py`` keeps its messages), ``receiver.py`` connects a
place to a socket, and ``client.py`` moves the place from one socket to the next. ``suspends.py``
notices that the computer slept.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from lastcall.client.client import CONNECT_SECONDS, JOIN_SECONDS, Client, open_client
from lastcall.client.connection import Connection, State
from lastcall.client.dial import OpenStream, open_tcp
from lastcall.client.opening import open_connection
from lastcall.client.place import OnState, Place
from lastcall.client.suspends import SecondsAsleep, seconds_asleep
from lastcall.client.tokens import Token
from lastcall.client.values import Ended, InputRefused, Message, Picture, PlaceState
from lastcall.core.pacing import RandomSource
from lastcall.wire.frames import Player

__all__ = [
    "Client",
    "Connection",
    "Ended",
    "InputRefused",
    "Message",
    "OnState",
    "OpenStream",
    "Picture",
    "Place",
    "PlaceState",
    "Player",
    "SecondsAsleep",
    "State",
    "Token",
    "connect",
    "open_client",
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
    private: bool = False,
    options: Mapping[str, Any] | None = None,
    name: str = "",
    key: str = "",
    token: Token | None = None,
    connect_seconds: float = CONNECT_SECONDS,
    join_seconds: float = JOIN_SECONDS,
    give_up_seconds: float | None = None,
    on_state: OnState | None = None,
    dice: RandomSource | None = None,
    open_stream: OpenStream = open_tcp,
    asleep: SecondsAsleep | None = seconds_asleep,
) -> AsyncIterator[Place]:
    """Takes one place and keeps it over any number of sockets; leaving the block leaves it.

    Arguments, times and errors are those of :func:`open_client` and :meth:`Client.join`. If the
    place is lost, ``say`` and the loop over its messages raise :class:`lastcall.errors.PlaceLost`.
    """
    async with open_client(
        urls,
        token=token,
        connect_seconds=connect_seconds,
        give_up_seconds=give_up_seconds,
        on_state=on_state,
        dice=dice,
        open_stream=open_stream,
        asleep=asleep,
    ) as client:
        yield await client.join(
            kind=kind,
            room=room,
            new=new,
            private=private,
            options=options,
            name=name,
            key=key,
            join_seconds=join_seconds,
        )
