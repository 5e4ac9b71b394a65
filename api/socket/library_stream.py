"""A client's byte stream as the protocol library sees it.

A client is to wait for our answer to its request (RFC 6455 §4.1), but some send frames with it, and
the network may put both in one segment. The library takes what it reads before its answer for more
of HTTP, and loses it. So it is given the request alone; frames wait here until the answer has left.
"""

from __future__ import annotations

from math import inf

import trio
import trio.abc

from lastcall.api.socket.batch_sizes import COUNT_BYTES, LIBRARY_BYTES, ODD_FRAMES_FREE
from lastcall.api.socket.client_stream import ClientStream, wait_sent
from lastcall.api.socket.odd_frames import OddFrames
from lastcall.api.socket.write_state import WriteEvent, WriteState
from lastcall.runtime.stream_errors import WITHOUT_FRAMES

CLOSE_OPCODE = b"\x88"


class LibraryStream(trio.abc.Stream):
    """Reads from the client, and sends by ``output``, which this node shares."""

    __slots__ = ("_closed", "_counted", "_early", "_handshake", "_output", "_request")

    def __init__(self, output: ClientStream) -> None:
        self._output = output
        self._request = b""
        self._early = b""
        self._handshake: trio.Event | None = None
        """Set at its end; None before and after."""
        self._closed = False
        self._counted: tuple[OddFrames, trio.Lock] | None = None

    def count_by(self, odd_frames: OddFrames, turns: trio.Lock) -> None:
        """Counts what the library reads after the handshake; to be called before :meth:`opened`.

        The streams that share ``turns`` let the library read many odd frames of one client in each
        turn of the loop, since it handles them without a checkpoint.
        """
        self._counted = odd_frames, turns

    def begin_handshake(self, request: bytes, early: bytes) -> None:
        """Lets the library read ``request``, and nothing behind it until :meth:`opened`.

        ``early`` are the frames that the client has sent with it.
        """
        self._request, self._early = request, early
        self._handshake = trio.Event()

    def opened(self) -> bytes:
        """Ends the handshake: the library's reader goes on.

        Returns the frames that came with the request if a pump reads; else the library reads them.
        """
        if self._handshake is None:
            raise RuntimeError("no handshake is under way")
        self._handshake.set()
        self._handshake = None
        return b"" if self._output.pumped is None else self._take_early()

    @property
    def unfinished_since(self) -> float:
        """When the message began that has not come whole (trio time); infinite if there is none."""
        pumped = self._output.pumped
        of_library = inf if self._counted is None else self._counted[0].unfinished_since
        return of_library if pumped is None else min(of_library, pumped.unfinished_since)

    def _take_early(self, size: int | None = None) -> bytes:
        early, self._early = self._early[:size], b"" if size is None else self._early[size:]
        return early

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        """Returns the client's next bytes, or none at the end; notes when they came."""
        if self._closed:
            raise trio.ClosedResourceError("the library has closed its side")
        if self._request:
            request, self._request = self._request, b""
            return request
        if self._handshake is not None:
            await self._handshake.wait()
        size = min(max_bytes or LIBRARY_BYTES, LIBRARY_BYTES)
        if self._early:
            data: bytes | bytearray = self._take_early(size)
        else:
            with WITHOUT_FRAMES:
                data = await self._output.stream.receive_some(size)
        if data:
            self._output.read_at = trio.current_time()
        if self._counted is not None:
            await self._count(data, *self._counted)
        return data

    async def _count(
        self, data: bytes | bytearray, odd_frames: OddFrames, turns: trio.Lock
    ) -> None:
        """Counts in steps: to count many takes a while, too."""
        waited, now = False, trio.current_time()
        for at in range(0, len(data), COUNT_BYTES):
            if odd_frames.count(data[at : at + COUNT_BYTES], now) > ODD_FRAMES_FREE and not waited:
                waited = True
                async with turns:  # the next one who waits is woken in the next turn
                    pass

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Sends the library's bytes, and waits until they have left.

        They are queued whole before the first wait: a cancellation does not tear them. After a
        close frame they are dropped (the library answers a ping whenever one comes).
        """
        output = self._output
        if self._closed:
            raise trio.ClosedResourceError("the library has closed its side")
        if output.state is WriteState.LOST:
            raise trio.BrokenResourceError("the connection is lost")
        if output.state is not WriteState.CLOSED:
            whole = bytes(data)
            if whole[:1] == CLOSE_OPCODE:  # its handshake begins with an H
                output.step(WriteEvent.CLOSE)
            output.send_whole(whole)
        await wait_sent(output)

    async def wait_send_all_might_not_block(self) -> None:
        """Waits until nothing is queued."""
        await wait_sent(self._output)

    async def aclose(self) -> None:
        """Closes the library's side. Queued frames are still sent."""
        self._closed = True
        await trio.lowlevel.checkpoint()
