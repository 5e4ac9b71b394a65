"""The control socket of ``lastcall up``, from both ends.

Whatever a caller does (garbage, endless lines, silence, not reading, going away), it costs its own
connection and nothing else.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Protocol

import structlog
import trio

from lastcall.errors import ClusterFailed, LastcallError, RemoteProtocolError
from lastcall.exception_groups import lone_error
from lastcall.local.control.messages import (
    AskNodes,
    AskRoll,
    NodeList,
    Progress,
    Question,
    Refused,
    Reply,
    RollReport,
    decode_question,
    decode_reply,
    encode,
)
from lastcall.local.control.paths import open_control_socket

__all__ = ["Answerer", "Call", "calling", "serve_control"]

log = structlog.get_logger()

QUESTION_BYTES_MAX = 4 * 1024
REPLY_BYTES_MAX = 1024 * 1024
CALLERS_MAX = 32
"""More at once are hung up on."""
PATIENCE_SECONDS = 5.0
"""For a caller to ask, and to take each line."""


class Answerer(Protocol):
    """Who answers."""

    async def nodes(self) -> NodeList:
        """The nodes that run."""

    def roll(self, order: AskRoll) -> trio.MemoryReceiveChannel[Reply]:
        """Begins a roll; its news, with the report as the last. Raises a LastcallError."""


@asynccontextmanager
async def serve_control(
    port: int,
    answerer: Answerer,
    say: Callable[[str], None],
    *,
    patience_seconds: float = PATIENCE_SECONDS,
    callers_max: int = CALLERS_MAX,
) -> AsyncIterator[Path | None]:
    """Answers callers inside the block; yields the socket's path. Without a socket it says why,
    and yields None.
    """
    try:
        listener, path = await open_control_socket(port)
    except LastcallError as error:
        say(f"lastcall roll and status will not find this cluster: {error}")
        yield None
        return
    try:
        with lone_error():
            async with listener, trio.open_nursery() as nursery:
                reception = _Reception(answerer, patience_seconds, callers_max)
                nursery.start_soon(trio.serve_listeners, reception.receive, [listener])
                yield path
                nursery.cancel_scope.cancel()
    finally:
        path.unlink(missing_ok=True)


class _Reception:
    """Serves one question on each connection."""

    def __init__(self, answerer: Answerer, patience_seconds: float, callers_max: int) -> None:
        self._answerer = answerer
        self._patience_seconds = patience_seconds
        self._callers_max = callers_max
        self._callers = 0

    async def receive(self, stream: trio.SocketStream) -> None:
        """Serves a caller to its end; raises nothing but ``Cancelled``."""
        self._callers += 1
        try:
            async with stream:
                if self._callers <= self._callers_max:
                    await self._serve(stream)
        finally:
            self._callers -= 1

    async def _serve(self, stream: trio.SocketStream) -> None:
        try:
            with trio.fail_after(self._patience_seconds):
                line = await Lines(stream, QUESTION_BYTES_MAX).next()
            if line is not None:
                await self._reply_to(decode_question(line), stream)
        except LastcallError as error:
            with suppress(trio.TooSlowError, trio.BrokenResourceError):
                await self._say(stream, Refused(str(error)))
        except (trio.TooSlowError, trio.BrokenResourceError):
            pass  # the caller's own trouble
        except Exception:  # the border: what a caller asks must not end the cluster
            log.exception("control.failed")

    async def _reply_to(self, question: Question, stream: trio.SocketStream) -> None:
        match question:
            case AskNodes():
                await self._say(stream, await self._answerer.nodes())
            case AskRoll():
                async with self._answerer.roll(question) as news:
                    async for item in news:
                        await self._say(stream, item)

    async def _say(self, stream: trio.SocketStream, reply: Reply) -> None:
        with trio.fail_after(self._patience_seconds):
            await stream.send_all(encode(reply))


class Lines:
    """What comes on ``stream``, line by line."""

    def __init__(self, stream: trio.SocketStream, bytes_max: int) -> None:
        self._stream = stream
        self._bytes_max = bytes_max
        self._lines: deque[bytes] = deque()
        self._rest = b""

    async def next(self) -> bytes | None:
        """The next complete line, None at the end.

        Raises :class:`RemoteProtocolError` for one that is too long.
        """
        while not self._lines:
            chunk = await self._stream.receive_some()
            if not chunk:
                return None
            *lines, self._rest = (self._rest + chunk).split(b"\n")
            self._lines.extend(lines)
            if max(map(len, (*lines, self._rest))) > self._bytes_max:
                raise RemoteProtocolError(f"a line of more than {self._bytes_max} bytes")
        return self._lines.popleft()


class Call:
    """A question under way, from the caller's side."""

    def __init__(self, lines: Lines) -> None:
        self._lines = lines

    async def next(self) -> NodeList | Progress | RollReport:
        """The next reply. Raises :class:`ClusterFailed` for a refusal, and when the cluster goes
        away before it has answered.
        """
        try:
            line = await self._lines.next()
            reply = None if line is None else decode_reply(line)
        except trio.BrokenResourceError:
            reply = None
        except RemoteProtocolError as error:
            raise ClusterFailed(f"the local cluster's answer cannot be read: {error}") from error
        if reply is None:
            raise ClusterFailed("the local cluster has gone away")
        if isinstance(reply, Refused):
            raise ClusterFailed(reply.message)
        return reply


@asynccontextmanager
async def calling(path: Path, question: Question) -> AsyncIterator[Call]:
    """Asks the cluster at ``path``. Raises :class:`ClusterFailed` when it does not listen."""
    try:
        stream = await trio.open_unix_socket(path)
    except OSError as error:
        raise ClusterFailed(f"{path}: nobody listens there ({error.strerror})") from error
    async with stream:
        with suppress(trio.BrokenResourceError):  # the reader will know
            await stream.send_all(encode(question))
        yield Call(Lines(stream, REPLY_BYTES_MAX))
