"""A server in memory: it speaks frames as a test's script tells it, over trio_websocket."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import trio
from trio.testing import memory_stream_pair
from trio_websocket import ConnectionClosed, WebSocketConnection, wrap_server_stream

HELLO = {"t": "hello", "v": 1, "node": "api-1", "version": "7", "later": "unknown key"}
URL = "ws://somewhere:8080/"


class Peer:
    """The server's end of one socket."""

    def __init__(self, socket: WebSocketConnection) -> None:
        self.socket = socket

    async def send(self, **frame: Any) -> None:
        await self.socket.send_message(json.dumps(frame))

    async def next(self) -> dict[str, Any]:
        return json.loads(await self.socket.get_message())

    async def seat(self, room: str = "game-1.r1", you: str = "p1", seq: int = 0) -> dict[str, Any]:
        """Takes a join, answers it, and takes the ``got``; returns the join."""
        join = await self.next()
        assert join["t"] == "join"
        await self.joined(room, you, seq)
        return join

    async def joined(self, room: str, you: str, seq: int = 0) -> None:
        players = [{"id": you, "name": ""}]
        await self.send(
            t="joined", room=room, kind="k", you=you, seq=seq, ticket="tk", players=players
        )
        assert await self.next() == {"t": "got", "seq": seq, "room": room}

    async def rest(self) -> list[dict[str, Any]]:
        """Everything that the client still says until it closes."""
        frames = []
        try:
            while True:
                frames.append(await self.next())
        except ConnectionClosed:
            return frames


Script = Callable[[Peer], Awaitable[None]]


class Server:
    """Runs one script for each socket that is opened to it."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self._nursery = nursery
        self.script: Script = self.idle
        self.hello: dict[str, Any] = HELLO
        self.opened: list[str] = []

    async def idle(self, peer: Peer) -> None:
        await peer.rest()

    async def open_stream(self, url: str) -> trio.abc.Stream:
        self.opened.append(url)
        ours, theirs = memory_stream_pair()
        self._nursery.start_soon(self._serve, ours)
        return theirs

    async def _serve(self, stream: trio.abc.Stream) -> None:
        async with trio.open_nursery() as nursery:
            request = await wrap_server_stream(nursery, stream)
            assert request.proposed_subprotocols == ("lastcall.v1",)
            peer = Peer(await request.accept(subprotocol="lastcall.v1"))
            await peer.send(**self.hello)
            await self.script(peer)
            nursery.cancel_scope.cancel()
        await trio.aclose_forcefully(stream)


@pytest.fixture
async def server(nursery: trio.Nursery) -> AsyncIterator[Server]:
    return Server(nursery)
