"""The end of a client's stream: gracefully, or at once."""

from __future__ import annotations

import trio
import trio.abc

from lastcall.api.socket.batch_sizes import CHUNK_BYTES
from lastcall.api.socket.client_stream import ClientStream, wait_sent
from lastcall.api.socket.frame_builder import CLOSE_BYTES_MAX, ends_in_close
from lastcall.policy import SocketPolicy
from lastcall.runtime.stream_errors import WITHOUT_FRAMES


async def close_gracefully(output: ClientStream, policy: SocketPolicy) -> None:
    """Flushes; then half-closes and discards input for ``close_seconds`` at most; then closes.

    Flushing ends when the client has read nothing for ``close_seconds``, and in any case after
    ``flush_seconds``. A client that was too slow has all that time: otherwise it would hardly
    learn why it is closed.

    Closing at once would make the kernel answer unread input with a reset, which can overtake
    our close frame. The peer's own close frame or end of file ends the wait early. No other
    task may read by now. Always closes, also when cancelled or the peer is gone.
    """
    if output.pumped is not None:
        output.pumped.stop_reading()
    try:
        if await _flushed(output, policy):
            await _discard_input(output.stream, policy.close_seconds)
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        pass
    finally:
        await abort(output)


async def abort(output: ClientStream) -> None:
    """Closes the stream at once, and drops what is queued."""
    output.lose()
    await trio.aclose_forcefully(output.stream)


async def _flushed(output: ClientStream, policy: SocketPolicy) -> bool:
    """Waits until nothing is queued; returns False if the client does not read."""
    seconds = policy.flush_seconds if output.too_slow else policy.close_seconds
    with trio.move_on_after(policy.flush_seconds):
        taken = -1
        while taken != (taken := output.reading.taken(output.queue.sent)):
            with trio.move_on_after(seconds):
                await wait_sent(output)
                return True
    return False


async def _discard_input(stream: trio.abc.Stream, seconds: float) -> None:
    with trio.move_on_after(seconds), WITHOUT_FRAMES:
        if isinstance(stream, trio.abc.HalfCloseableStream):
            await stream.send_eof()
        tail = b""
        while not ends_in_close(tail):
            data = await stream.receive_some(CHUNK_BYTES)
            if not data:
                break
            tail = (tail + data)[-CLOSE_BYTES_MAX:]
