"""A server in memory, which runs a test's script on each socket with trio_websocket."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest
import trio
from trio.testing import memory_stream_pair
from trio_websocket import ConnectionClosed, WebSocketConnection, wrap_server_stream

HELLO = {"t": "hello", "v": 1, "node": "api-1", "version": "7", "later": "unknown key"}
URL = "ws://somewhere:8080/"


class Peer:
    """The server's end of one socket."""

    def __init__(self, socket: WebSocketConnection, stream: trio.abc.Stream) -> None:
        self.socket = socket
        self._stream = stream

    async def send(self, **frame: Any) -> None:
        await self.socket.send_message(json.dumps(frame))

    async def next(self) -> dict[str, Any]:
        return json.loads(await self.socket.get_message())

    async def seat(self, room: str = "game-1.r1", you: str = "p1", seq: int = 0) -> dict[str, Any]:
        """Receives a join, answers it, and receives the ``got``; returns the join."""
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

    async def resume(
        self, *, n: int = 0, ticket: str = "tk2", seq: int | None = None, **more: Any
    ) -> dict[str, Any]:
        """Receives a resume, answers it, and receives the ``got``; returns the resume."""
        resume = await self.next()
        assert resume["t"] == "resume"
        resume.setdefault("seen", 0)
        await self.resumed(n=n, ticket=ticket, seq=resume["seen"] if seq is None else seq, **more)
        return resume

    async def resumed(self, *, n: int, ticket: str, seq: int, **more: Any) -> None:
        frame = {"complete": True, "room": "game-1.r1", **more}
        await self.send(t="resumed", seq=seq, n=n, ticket=ticket, **frame)
        assert (await self.next())["t"] == "got"

    async def close(self, code: int, reason: str = "") -> None:
        with trio.move_on_after(0.1):
            await self.socket.aclose(code, reason)

    async def vanish(self) -> None:
        """Ends the socket without a close frame, as when a node dies."""
        await trio.aclose_forcefully(self._stream)

    async def rest(self) -> list[dict[str, Any]]:
        """Returns the frames that the client still sends until it closes."""
        frames = []
        try:
            while True:
                frames.append(await self.next())
        except ConnectionClosed:
            return frames


Script = Callable[[Peer], Awaitable[None]]
Refusal = tuple[int, list[tuple[bytes, bytes]], bytes]


class Server:
    """Runs one script for each socket."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self._nursery = nursery
        self.script: Script = self.idle
        self.scripts: list[Script] = []
        """One script for each of the first sockets; :attr:`script` is for all later ones."""
        self.hello: dict[str, Any] = HELLO
        self.refusals: list[Refusal | None] = []
        """How the first handshakes are refused, one after the other; None for one that is not."""
        self.authorizations: list[str | None] = []
        self.opened: list[str] = []
        self.opened_at: list[float] = []

    async def idle(self, peer: Peer) -> None:
        await peer.rest()

    async def open_stream(self, url: str) -> trio.abc.Stream:
        self.opened.append(url)
        self.opened_at.append(trio.current_time())
        ours, theirs = memory_stream_pair()
        self._nursery.start_soon(self._serve, ours)
        return theirs

    async def _serve(self, stream: trio.abc.Stream) -> None:
        async with trio.open_nursery() as nursery:
            request = await wrap_server_stream(nursery, stream)
            assert request.proposed_subprotocols == ("lastcall.v1",)
            header = dict(request.headers).get(b"authorization")
            self.authorizations.append(None if header is None else header.decode())
            refusal = self.refusals.pop(0) if self.refusals else None
            if refusal is not None:
                status, headers, body = refusal
                await request.reject(status, extra_headers=headers, body=body)
            else:
                socket = await request.accept(subprotocol="lastcall.v1")
                await self._run_script(Peer(socket, stream))
            nursery.cancel_scope.cancel()
        await trio.aclose_forcefully(stream)

    async def _run_script(self, peer: Peer) -> None:
        if self.hello:
            await peer.send(**self.hello)
        script = self.scripts.pop(0) if self.scripts else self.script
        with suppress(ConnectionClosed):
            await script(peer)


@pytest.fixture
async def server(nursery: trio.Nursery) -> AsyncIterator[Server]:
    return Server(nursery)
