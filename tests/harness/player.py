"""A player whose frames the test sends one by one. All inputs and messages are recorded."""

from __future__ import annotations

import json
from typing import Any

import trio
from trio_websocket import ConnectionClosed, WebSocketConnection, wrap_client_stream

from tests.harness.cluster import ApiProcess

Frame = dict[str, Any]
PATIENCE_SECONDS = 20


class Socket:
    """One WebSocket: ``heard`` has all frames except beats, ``closed`` the close code or None,
    ``reason`` the text beside it."""

    def __init__(self, nursery: trio.Nursery, stream: trio.abc.Stream, token: str = "") -> None:
        self._nursery = nursery
        self._stream = stream
        self._headers = [(b"Authorization", b"Bearer " + token.encode())] if token else None
        self._changed = trio.Event()
        self._read = 0
        self._open = trio.Event()
        self._scope = trio.CancelScope()
        self._ws: WebSocketConnection
        self.heard: list[Frame] = []
        self.closed: int | None = None
        self.reason: str | None = None

    async def run(self) -> None:
        with self._scope:
            async with trio.open_nursery() as nursery:
                self._ws = await wrap_client_stream(
                    nursery,
                    self._stream,  # type: ignore[arg-type]
                    "api",
                    "/",
                    extra_headers=self._headers,
                )
                self._open.set()
                try:
                    while True:
                        frame = json.loads(await self._ws.get_message())
                        if frame["t"] != "beat":
                            self.heard.append(frame)
                            self._wake()
                except ConnectionClosed as closed:
                    self.reason = closed.reason and closed.reason.reason
                    self._close(1006 if closed.reason is None else closed.reason.code)
                nursery.cancel_scope.cancel()
        self._close(1006)
        await trio.aclose_forcefully(self._stream)

    def _close(self, code: int) -> None:
        if self.closed is None:
            self.closed = code
            self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

    async def send(self, **frame: object) -> None:
        await self._open.wait()
        await self._ws.send_message(json.dumps(frame))

    async def hear(self, *kinds: str) -> Frame:
        """Waits for the next frame of one of these kinds; skips all other frames."""
        with trio.fail_after(PATIENCE_SECONDS):
            while True:
                while self._read < len(self.heard):
                    frame = self.heard[self._read]
                    self._read += 1
                    if frame["t"] in kinds:
                        return frame
                assert self.closed is None, f"closed with {self.closed}, waiting for {kinds}"
                await self._changed.wait()

    async def close_code(self) -> int:
        with trio.fail_after(PATIENCE_SECONDS):
            while self.closed is None:
                await self._changed.wait()
        return self.closed

    def drop(self) -> None:
        """Drops the connection without a close frame."""
        self._scope.cancel()


class Player:
    """One place over a series of sockets, which the test dials one by one, with ``token``."""

    def __init__(self, nursery: trio.Nursery, token: str = "") -> None:
        self._nursery = nursery
        self.token = token
        self.socket: Socket
        self.sockets: list[Socket] = []
        self.ticket = ""
        self.room = ""
        self.you = ""
        self.base = 0
        self._inputs: list[object] = []
        """The player's inputs in this place, from ``n`` = 1."""

    @property
    def said(self) -> int:
        """The number of the player's last input."""
        return len(self._inputs)

    async def dial(self, api: ApiProcess) -> Socket:
        """Opens a new socket; the previous one is not touched."""
        self.socket = Socket(self._nursery, await api.listener.connect(), self.token)
        self.sockets.append(self.socket)
        self._nursery.start_soon(self.socket.run)
        await self.socket.hear("hello")
        return self.socket

    async def join(self, api: ApiProcess, *, confirm: bool = True, **request: object) -> Frame:
        socket = await self.dial(api)
        await socket.send(t="join", **request)
        joined = await socket.hear("joined", "error")
        assert joined["t"] == "joined", joined
        self.room, self.you, self.ticket = joined["room"], joined["you"], joined["ticket"]
        self.base, self._inputs = joined["seq"], []
        if confirm:
            await socket.send(t="got", seq=self.seen)
        return joined

    async def resume(
        self,
        api: ApiProcess,
        *,
        confirm: bool = True,
        ticket: str | None = None,
        seen: int | None = None,
    ) -> Frame:
        """Resumes on a new socket, and sends the inputs that the room lacks again."""
        socket = await self.send_resume(api, ticket=ticket, seen=seen)
        resumed = await socket.hear("resumed")
        self.ticket = resumed["ticket"]
        if confirm:
            await socket.send(t="got", seq=self.seen)
            for n, d in enumerate(self._inputs[resumed["n"] :], resumed["n"] + 1):
                await socket.send(t="say", n=n, d=d)
        return resumed

    async def send_resume(
        self, api: ApiProcess, *, ticket: str | None = None, seen: int | None = None
    ) -> Socket:
        """Dials and sends ``resume``; the test reads the answer."""
        ticket, seen = ticket or self.ticket, self.seen if seen is None else seen
        socket = await self.dial(api)
        await socket.send(t="resume", ticket=ticket, seen=seen)
        return socket

    async def say(self, d: object) -> None:
        self._inputs.append(d)
        await self.socket.send(t="say", n=self.said, d=d)

    @property
    def messages(self) -> list[tuple[int, Any]]:
        """Every message from all sockets, in the order of the sockets."""
        return [(f["seq"], f["d"]) for s in self.sockets for f in s.heard if f["t"] == "msg"]

    @property
    def seen(self) -> int:
        return max([self.base, *(seq for seq, _ in self.messages)])

    async def hear_data(self, d: object) -> None:
        """Waits for a message with this body on the current socket."""
        while (await self.socket.hear("msg"))["d"] != d:
            pass

    @property
    def heard_once(self) -> bool:
        """Whether all messages are in order, and none came twice."""
        numbers = [seq for seq, _ in self.messages]
        return numbers == sorted(set(numbers))
