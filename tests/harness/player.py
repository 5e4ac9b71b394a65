"""A player whose every frame is said by hand, with a ledger of what he said and was told."""

from __future__ import annotations

import json
from typing import Any

import trio
from trio_websocket import ConnectionClosed, WebSocketConnection, wrap_client_stream

from tests.harness.cluster import ApiProcess

Frame = dict[str, Any]
PATIENCE_SECONDS = 20


class Socket:
    """One WebSocket: ``heard`` is every frame but beats; ``closed`` the code, once it is over."""

    def __init__(self, nursery: trio.Nursery, stream: trio.abc.Stream) -> None:
        self._nursery = nursery
        self._stream = stream
        self._news = trio.Event()
        self._read = 0
        self._up = trio.Event()
        self._scope = trio.CancelScope()
        self._ws: WebSocketConnection
        self.heard: list[Frame] = []
        self.closed: int | None = None

    async def run(self) -> None:
        with self._scope:
            async with trio.open_nursery() as nursery:
                self._ws = await wrap_client_stream(nursery, self._stream, "api", "/")  # type: ignore[arg-type]
                self._up.set()
                try:
                    while True:
                        frame = json.loads(await self._ws.get_message())
                        if frame["t"] != "beat":
                            self.heard.append(frame)
                            self._tell()
                except ConnectionClosed as closed:
                    self._close(1006 if closed.reason is None else closed.reason.code)
                nursery.cancel_scope.cancel()
        self._close(1006)
        await trio.aclose_forcefully(self._stream)

    def _close(self, code: int) -> None:
        if self.closed is None:
            self.closed = code
            self._tell()

    def _tell(self) -> None:
        self._news.set()
        self._news = trio.Event()

    async def send(self, **frame: object) -> None:
        await self._up.wait()
        await self._ws.send_message(json.dumps(frame))

    async def hear(self, *kinds: str) -> Frame:
        """The next frame of one of these kinds; what comes before it is passed over."""
        with trio.fail_after(PATIENCE_SECONDS):
            while True:
                while self._read < len(self.heard):
                    frame = self.heard[self._read]
                    self._read += 1
                    if frame["t"] in kinds:
                        return frame
                assert self.closed is None, f"closed with {self.closed}, waiting for {kinds}"
                await self._news.wait()

    async def close_code(self) -> int:
        with trio.fail_after(PATIENCE_SECONDS):
            while self.closed is None:
                await self._news.wait()
        return self.closed

    def vanish(self) -> None:
        """The connection is gone, without a word."""
        self._scope.cancel()


class Player:
    """One place over many sockets, each dialled when the test says so."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self._nursery = nursery
        self.socket: Socket
        self.sockets: list[Socket] = []
        self.ticket = ""
        self.room = ""
        self.you = ""
        self.base = 0
        self._words: list[object] = []
        """What it has said in this place, from ``n`` = 1."""

    @property
    def said(self) -> int:
        """The number of its last input."""
        return len(self._words)

    async def dial(self, api: ApiProcess) -> Socket:
        """A new socket; the one before is left as it is."""
        self.socket = Socket(self._nursery, await api.listener.connect())
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
        self.base, self._words = joined["seq"], []
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
        """Resumes on a new socket, and says again what the room has not."""
        socket = await self.ask(api, ticket=ticket, seen=seen)
        resumed = await socket.hear("resumed")
        self.ticket = resumed["ticket"]
        if confirm:
            await socket.send(t="got", seq=self.seen)
            for n, d in enumerate(self._words[resumed["n"] :], resumed["n"] + 1):
                await socket.send(t="say", n=n, d=d)
        return resumed

    async def ask(
        self, api: ApiProcess, *, ticket: str | None = None, seen: int | None = None
    ) -> Socket:
        """Dials and says ``resume``, and leaves the answer to the test."""
        ticket, seen = ticket or self.ticket, self.seen if seen is None else seen
        socket = await self.dial(api)
        await socket.send(t="resume", ticket=ticket, seen=seen)
        return socket

    async def say(self, d: object) -> None:
        self._words.append(d)
        await self.socket.send(t="say", n=self.said, d=d)

    @property
    def messages(self) -> list[tuple[int, Any]]:
        """Every message that came, over all sockets, in the order of the sockets."""
        return [(f["seq"], f["d"]) for s in self.sockets for f in s.heard if f["t"] == "msg"]

    @property
    def seen(self) -> int:
        return max([self.base, *(seq for seq, _ in self.messages)])

    async def hears(self, d: object) -> None:
        """Until a message with this body has come on the socket of now."""
        while (await self.socket.hear("msg"))["d"] != d:
            pass

    @property
    def heard_once(self) -> bool:
        """Whether no message came twice, and all in order."""
        numbers = [seq for seq, _ in self.messages]
        return numbers == sorted(set(numbers))
