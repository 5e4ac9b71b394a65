"""The beginning of a conversation: the opening request, and what a client sends too early.

A client is to wait for our answer to its request (RFC 6455 §4.1), but some send frames with it, and
the network may put both in one segment. The library takes what it reads before its answer for more
of HTTP, and loses it. So it is given the request alone; frames wait here until the answer has left.
"""

from __future__ import annotations

import sys

import trio
import trio.abc

from lastcall.api.socket.frame_parser import HandshakeEnd


class HandshakeStream:
    """The reading half of a connection until it is a WebSocket; keeps one read of frames."""

    __slots__ = ("_end", "_over", "_stream", "early")

    def __init__(self, stream: trio.abc.ReceiveStream) -> None:
        self._stream = stream
        self._end = HandshakeEnd()
        self.early = b""
        """The frames that came with the request and are not read yet."""
        self._over = trio.Event()

    async def receive_some(self, max_bytes: int | None) -> bytes | bytearray:
        """The request's bytes, as they come; nothing behind it until :meth:`over`."""
        if not self._end.found:
            data = await self._stream.receive_some(max_bytes)
            head, self.early = self._end.cut(bytes(data))
            return head
        await self._over.wait()
        if self.early:
            return self.take_early()
        return await self._stream.receive_some(max_bytes)

    def over(self) -> None:
        """The request was accepted: the reader goes on."""
        if not self._end.found:
            raise RuntimeError("the library has found an end of the request that we have not")
        self._over.set()

    def take_early(self) -> bytes:
        """The frames that came with the request; the library does not get them again."""
        early, self.early = self.early, b""
        return early


def forget_frames_of_http_error() -> None:
    """Breaks a cycle of h11, if the caller runs while the library handles an error of h11.

    That error is ``self`` in a frame of its own traceback. So until a full collection it would keep
    everything that its frames can reach: the whole connection.
    """
    error = sys.exception()
    while error is not None:
        error.__traceback__ = None
        error = error.__context__
