"""Clients that share no code with Lastcall: the ``websockets`` package, and raw sockets."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import AsyncIterator, Iterable
from contextlib import AbstractContextManager, ExitStack, asynccontextmanager
from typing import Any

import trio
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame as WireFrame
from websockets.frames import Opcode
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from tests.e2e.nodes import Node

SUBPROTOCOL = "lastcall.v1"
TIMEOUT_SECONDS = 8.0

Frame = dict[str, Any]


class Client:
    """One WebSocket. ``heard`` has all received frames in order, except beats."""

    def __init__(self, connection: AbstractContextManager[ClientConnection]) -> None:
        self._stack = ExitStack()
        self.socket = self._stack.enter_context(connection)
        self.heard: list[Frame] = []
        self._unread: list[Frame] = []
        self._last_n = 0

    async def send(self, *frames: Frame | str | bytes) -> None:
        """Sends frames; text and bytes are sent unchanged."""
        for frame in frames:
            raw = json.dumps(frame) if isinstance(frame, dict) else frame
            await trio.to_thread.run_sync(self.socket.send, raw)

    async def send_raw(self, data: bytes) -> None:
        """Writes bytes to the socket in one call, without the library."""
        await trio.to_thread.run_sync(self.socket.socket.sendall, data)

    async def next(self, within: float = TIMEOUT_SECONDS) -> Frame:
        """Returns the next frame of any type."""
        if self._unread:
            return self._unread.pop(0)
        return await self._receive(within)

    async def hear(self, t: str, within: float = TIMEOUT_SECONDS) -> Frame:
        """Returns the next frame of type ``t``; frames of other types stay unread."""
        for index, frame in enumerate(self._unread):
            if frame["t"] == t:
                return self._unread.pop(index)
        with trio.fail_after(within):
            while (frame := await self._receive(within))["t"] != t:
                self._unread.append(frame)
        return frame

    async def _receive(self, within: float) -> Frame:
        while True:
            raw = await trio.to_thread.run_sync(lambda: self.socket.recv(within))
            assert isinstance(raw, str), "the server sends text frames only"
            frame: Frame = json.loads(raw)
            if frame["t"] != "beat":
                self.heard.append(frame)
                return frame

    async def join(self, **request: object) -> Frame:
        """Joins, and returns ``joined``; the inputs are numbered from 1 again."""
        await self.send({"t": "join", **request})
        frame = await self.next()
        while frame["t"] not in {"joined", "error"}:
            frame = await self.next()
        assert frame["t"] == "joined", frame
        self._last_n = 0
        await self.send({"t": "got", "seq": frame["seq"]})
        return frame

    async def join_refused(self, **request: object) -> Frame:
        """Sends a join that must be refused, and returns the ``error``."""
        await self.send({"t": "join", **request})
        return await self.hear("error")

    async def say(self, d: object) -> None:
        """Sends the next input."""
        self._last_n += 1
        await self.send({"t": "say", "n": self._last_n, "d": d})

    async def close_code(self, within: float = TIMEOUT_SECONDS) -> int:
        """Reads until the socket is closed, and returns the close code."""
        with trio.fail_after(within):
            try:
                while True:
                    self._unread.append(await self._receive(within))
            except ConnectionClosed as closed:
                return 1006 if closed.rcvd is None else int(closed.rcvd.code)

    @property
    def seqs(self) -> list[int]:
        """The numbers of the received messages, in order of arrival."""
        return [frame["seq"] for frame in self.heard if frame["t"] == "msg"]

    def close(self) -> None:
        self._stack.close()


class Clients:
    """Opens clients; :meth:`close` closes them all."""

    def __init__(self) -> None:
        self._open: list[Client] = []

    async def connect(
        self,
        target: Node | str,
        *,
        subprotocols: Iterable[str] = (SUBPROTOCOL,),
        max_queue: int | None = 16,
        receive_buffer: int = 0,
    ) -> Client:
        """Returns a client after its ``hello``; ``max_queue`` limits its unread frames."""
        address = target if isinstance(target, str) else target.listen
        client = await trio.to_thread.run_sync(
            lambda: Client(
                connect(
                    f"ws://{address}/",
                    sock=_connect_tcp(address, receive_buffer),
                    subprotocols=[Subprotocol(name) for name in subprotocols] or None,
                    max_queue=max_queue,
                    open_timeout=5,
                    close_timeout=1,
                    ping_interval=None,
                    proxy=None,
                )
            )
        )
        self._open.append(client)
        hello = await client.hear("hello")
        assert client.heard == [hello], "hello is the first frame"
        return client

    def close(self) -> None:
        threads = [threading.Thread(target=client.close) for client in self._open]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


def _connect_tcp(address: str, receive_buffer: int) -> socket.socket:
    host, _, port = address.rpartition(":")
    sock = socket.socket()
    try:
        if receive_buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        sock.settimeout(TIMEOUT_SECONDS)
        sock.connect((host, int(port)))
    except BaseException:
        sock.close()
        raise
    return sock


def text_frame(frame: Frame) -> bytes:
    """The bytes of a client's masked text frame."""
    return WireFrame(Opcode.TEXT, json.dumps(frame).encode()).serialize(mask=True)


async def raw_stream(address: str) -> trio.SocketStream:
    """A plain TCP connection."""
    host, _, port = address.rpartition(":")
    return await trio.open_tcp_stream(host, int(port))


@asynccontextmanager
async def undisturbed(clients: Clients, api: Node) -> AsyncIterator[None]:
    """Two bystanders talk while the block runs: each message arrives in order, within 2 s."""
    ann, bob = await clients.connect(api), await clients.connect(api)
    room = (await ann.join(kind="lounge", new=True))["room"]
    await bob.join(room=room)
    count = 0

    async def talk() -> None:
        nonlocal count
        while True:
            with trio.CancelScope(shield=True):
                count += 1
                await ann.say(count)
                assert (await bob.hear("msg", within=2))["d"]["said"] == count
                assert (await ann.hear("msg", within=2))["d"]["said"] == count
                await ann.hear("ack", within=2)
            await trio.sleep(0.02)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(talk)
        yield
        nursery.cancel_scope.cancel()
    assert count > 0
    for bystander in (ann, bob):
        assert bystander.seqs == list(range(1, count + 1))
        assert {frame["t"] for frame in bystander.heard} <= {"hello", "joined", "msg", "ack"}
