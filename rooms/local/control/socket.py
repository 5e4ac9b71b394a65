"""The control socket of ``lastcall up``, from both ends.

A caller that sends garbage or endless lines, is silent, does not read or goes away can only end its
own connection.
"""

from __future__ import annotations

import socket
import struct
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
    Output,
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

log = structlog.get_logger()

QUESTION_BYTES_MAX = 4 * 1024
REPLY_BYTES_MAX = 1024 * 1024
CALLERS_MAX = 32
"""Further connections are closed at once."""
ANSWER_SECONDS = 5.0
"""For the cluster to answer; it asks its nodes first, for up to a second."""
CREDENTIALS = struct.Struct("3i")
"""Linux's ``struct ucred``: process, user, group."""
TIMEOUT_SECONDS = 5.0
"""For a caller to send its question, and to read each line."""


class ControlBackend(Protocol):
    """The receiver of the control socket's requests: the rolls of a cluster, or a test's fake."""

    async def nodes(self) -> NodeList:
        """The nodes that run."""

    def roll(self, order: AskRoll) -> trio.MemoryReceiveChannel[Reply]:
        """Begins a roll; returns its progress, with the report last. Raises a LastcallError."""


@asynccontextmanager
async def serve_control(
    port: int,
    backend: ControlBackend,
    show: Callable[[str], None],
    *,
    timeout_seconds: float = TIMEOUT_SECONDS,
    callers_max: int = CALLERS_MAX,
) -> AsyncIterator[Path | None]:
    """Answers callers inside the block; yields the socket's path. If the socket cannot be opened,
    it shows why, and yields None.
    """
    try:
        listener, path = open_control_socket(port)
    except LastcallError as error:
        show(f"lastcall roll and status will not find this cluster: {error}")
        yield None
        return
    try:
        with lone_error():
            async with listener, trio.open_nursery() as nursery:
                server = _ControlServer(backend, timeout_seconds, callers_max)
                nursery.start_soon(trio.serve_listeners, server.serve, [listener])
                yield path
                nursery.cancel_scope.cancel()
    finally:
        path.unlink(missing_ok=True)


class _ControlServer:
    """Answers one question on each connection."""

    def __init__(self, backend: ControlBackend, timeout_seconds: float, callers_max: int) -> None:
        self._backend = backend
        self._timeout_seconds = timeout_seconds
        self._callers_max = callers_max
        self._callers = 0

    async def serve(self, stream: trio.SocketStream) -> None:
        """Serves one connection to its end; raises only ``Cancelled``."""
        self._callers += 1
        try:
            async with stream:
                if self._callers <= self._callers_max:
                    await self._answer(stream)
        finally:
            self._callers -= 1

    async def _answer(self, stream: trio.SocketStream) -> None:
        try:
            with trio.fail_after(self._timeout_seconds):
                line = await Lines(stream, QUESTION_BYTES_MAX).next()
            if line is not None:
                await self._reply_to(decode_question(line), stream)
        except LastcallError as error:
            with suppress(trio.TooSlowError, trio.BrokenResourceError):
                await self._send(stream, Refused(str(error)))
        except (trio.TooSlowError, trio.BrokenResourceError):
            pass  # the caller's own fault
        except Exception:  # the border: a caller's question must not end the cluster
            log.exception("control.failed")

    async def _reply_to(self, question: Question, stream: trio.SocketStream) -> None:
        match question:
            case AskNodes():
                await self._send(stream, await self._backend.nodes())
            case AskRoll():
                async with self._backend.roll(question) as replies:
                    async for reply in replies:
                        await self._send(stream, reply)

    async def _send(self, stream: trio.SocketStream, reply: Reply) -> None:
        with trio.fail_after(self._timeout_seconds):
            await stream.send_all(encode(reply))


class Lines:
    """Splits what arrives on ``stream`` into lines."""

    def __init__(self, stream: trio.SocketStream, bytes_max: int) -> None:
        self._stream = stream
        self._bytes_max = bytes_max
        self._lines: deque[bytes] = deque()
        self._rest = b""

    async def next(self) -> bytes | None:
        """The next complete line, None at the end.

        Raises :class:`RemoteProtocolError` for a line that is too long.
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
    """The caller's side of one question, to the cluster at ``path``."""

    def __init__(self, path: Path, question: Question, stream: trio.SocketStream) -> None:
        self._path = path
        self._question = question
        self._lines = Lines(stream, REPLY_BYTES_MAX)
        self._pid = _listener_pid(stream)

    async def next(self) -> NodeList | Progress | Output | RollReport:
        """The next reply. Raises :class:`ClusterFailed` for a refusal, and when the cluster goes
        away before it has answered, or stands still.

        Nobody knows how long a step of a roll takes. So when none comes for ``ANSWER_SECONDS``,
        the cluster must answer another question in that time.
        """
        while True:
            with trio.move_on_after(ANSWER_SECONDS):
                return await self._next()
            if not isinstance(self._question, AskRoll):
                raise _silent(self._path, self._pid)
            try:
                async with open_call(self._path, AskNodes()) as check:
                    await check.next()
            except ClusterFailed as error:  # it has the order, and may only be stopped
                raise ClusterFailed(f"{error}; the roll goes on then") from error

    async def _next(self) -> NodeList | Progress | Output | RollReport:
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
async def open_call(path: Path, question: Question) -> AsyncIterator[Call]:
    """Asks the cluster at ``path``. Raises :class:`ClusterFailed` when it does not listen, or has
    let too many callers wait.
    """
    try:
        stream = await trio.open_unix_socket(path)
    except OSError as error:
        raise ClusterFailed(f"{path}: nobody listens there ({error.strerror})") from error
    async with stream:
        if not _connected(stream):
            raise _silent(path, None)
        with suppress(trio.BrokenResourceError):  # the next read reports it
            await stream.send_all(encode(question))  # it is small: the kernel takes it at once
        yield Call(path, question, stream)


def _connected(stream: trio.SocketStream) -> bool:
    """False if too many callers wait there: trio takes the kernel's EAGAIN for a connection."""
    try:
        stream.socket.getpeername()
    except OSError:
        return False
    return True


def _listener_pid(stream: trio.SocketStream) -> int | None:
    """The process that listens at the other end; None where the system does not tell."""
    if not hasattr(socket, "SO_PEERCRED"):
        return None
    found = stream.socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, CREDENTIALS.size)
    return int(CREDENTIALS.unpack(found)[0])


def _silent(path: Path, pid: int | None) -> ClusterFailed:
    process = "its process" if pid is None else f"process {pid}"
    number = "PID" if pid is None else pid
    return ClusterFailed(
        f"the local cluster at {path} does not answer ({process}). If it is stopped, continue it "
        f"with: kill -CONT {number}"
    )
