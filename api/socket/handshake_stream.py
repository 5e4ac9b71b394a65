"""The beginning of a conversation, as the protocol library reads it.

A client is to wait for our answer to its request (RFC 6455 §4.1), but some send frames with it, and
the network may put both in one segment. The library takes what it reads before its answer for more
of HTTP, and loses it. So it is given the request alone; frames wait here until the answer has left.
"""

from __future__ import annotations

import trio
import trio.abc


class HandshakeStream:
    """The library's input until it has answered ``request``; keeps the frames that came with it."""

    __slots__ = ("_early", "_over", "_request", "_stream")

    def __init__(self, stream: trio.abc.ReceiveStream, request: bytes, early: bytes) -> None:
        self._stream = stream
        self._request = request
        self._early = early
        self._over = trio.Event()

    async def receive_some(self, max_bytes: int | None) -> bytes | bytearray:
        """The request; nothing behind it until :meth:`over`."""
        if self._request:
            request, self._request = self._request, b""
            return request
        await self._over.wait()
        if self._early:
            return self.take_early()
        return await self._stream.receive_some(max_bytes)

    @property
    def early(self) -> bool:
        """Whether frames came with the request and are not read yet."""
        return bool(self._early)

    def over(self) -> None:
        """The request was accepted: the reader goes on."""
        self._over.set()

    def take_early(self) -> bytes:
        """The frames that came with the request; the library does not get them again."""
        early, self._early = self._early, b""
        return early
