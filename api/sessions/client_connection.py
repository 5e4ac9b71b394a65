"""One client's connection, whatever it is used for: frames in, frames out, and its end.

Nothing here waits, closes a stream or ends a task: :meth:`ClientConnection.close` sends the close
frame and asks the gateway to hang up. So a room's fan-out may find a client too slow in the middle
of its loop, and no place vanishes meanwhile.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from functools import cache

import msgspec
import structlog
import trio

from lastcall.api.socket.client_stream import ClientStream
from lastcall.api.socket.frame_builder import text_frame
from lastcall.core.edge.token_bucket import TokenBucket
from lastcall.errors import BadFrame
from lastcall.limits import Limit, Rate
from lastcall.policy import SocketPolicy
from lastcall.reasons import END_OF_CODE, RETRY, ClientEnd, Close, EndReason, ErrorCode
from lastcall.wire import frames

log = structlog.get_logger("lastcall.api.sessions.client_connection")

LOST = 1006
"""Stands for a socket that ended without a close frame (RFC 6455 §7.1.5)."""
LIBRARY_CODES = frozenset({1002, 1003, 1007, 1009})
"""The close codes that the protocol library uses for its own reasons."""
STRIKES = 3
LOTS = 64
"""Frames and bytes count against their limits in lots of this part of the burst: a turn of a bucket
for each frame costs 0.8 µs, most of it to fetch it from memory. So a client may send one lot more
than the limit says."""
LEAVING = "this node is leaving"


class ClientCounts(msgspec.Struct):
    """The counters of an api node, for its metrics.

    ``closed`` counts clients by close code; ``ends`` counts connections by cause, also those that
    never became clients; ``limited`` counts what a limit has refused. ``bytes_in`` are those of
    messages, counted once a second; ``bytes_out`` are those of WebSocket frames, which are up to 10
    bytes longer.
    """

    frames_in: int = 0
    frames_out: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    joined: int = 0
    rooms_moved: int = 0
    opened: int = 0
    refused: int = 0
    resumed: int = 0
    closed: Counter[int] = msgspec.field(default_factory=Counter)
    ends: Counter[ClientEnd] = msgspec.field(default_factory=Counter)
    limited: Counter[Limit] = msgspec.field(default_factory=Counter)
    refusals: Counter[str] = msgspec.field(default_factory=Counter)
    places_ended: Counter[EndReason] = msgspec.field(default_factory=Counter)


class ClientConnection:
    """Limits what a client sends, beats and pings; ``hang_up`` ends it, after the close frame."""

    __slots__ = (
        "_byte_lot",
        "_bytes",
        "_frame_lot",
        "_frames",
        "_hang_up",
        "_pinged_at",
        "_policy",
        "_strikes",
        "_uncounted_bytes",
        "_uncounted_frames",
        "cause",
        "close_code",
        "counts",
        "last_words",
        "output",
    )

    def __init__(
        self,
        output: ClientStream,
        policy: SocketPolicy,
        counts: ClientCounts,
        hang_up: Callable[[], None],
    ) -> None:
        now = trio.current_time()
        self._frames = TokenBucket(policy.limits.inputs, now)
        self._bytes = TokenBucket(policy.limits.input_bytes, now)
        self._frame_lot = _lot(policy.limits.inputs)
        self._byte_lot = _lot(policy.limits.input_bytes)
        self._uncounted_frames = 0
        """Messages that :attr:`_frames` does not know of yet."""
        self._uncounted_bytes = 0
        """Bytes of messages that :attr:`_bytes` and :attr:`counts` do not know of yet."""
        self._hang_up = hang_up
        self._pinged_at = 0.0
        self._policy = policy
        self._strikes = 0
        self.counts = counts
        self.output = output
        self.close_code: int | None = None
        """The code that ended the connection; 1006 for a lost socket."""
        self.cause = ClientEnd.NODE
        """Why it has ended, once it has."""
        self.last_words = False
        """It has ended before all was read that the client had sent: a ``leave`` is still heard."""

    # From the client.

    def read(self, message: str | bytes, now: float) -> frames.FromClient | None:
        """The frame that ``message`` is, if it is one that the client may send now.

        Otherwise the client is told what is wrong, and None is returned; nothing is raised. After
        our close frame every message is dropped, but for the last words.
        """
        if self.close_code is not None:
            return _last_word(message) if self.last_words else None
        self.counts.frames_in += 1
        if isinstance(message, bytes):
            self._uncounted_bytes += len(message)
            self.close(Close.UNSUPPORTED, "text frames only")
            return None
        # isascii() reads one flag of the text
        size = len(message) if message.isascii() else len(message.encode())
        uncounted = self._uncounted_frames = self._uncounted_frames + 1
        uncounted_bytes = self._uncounted_bytes = self._uncounted_bytes + size
        lots = uncounted >= self._frame_lot or uncounted_bytes > self._byte_lot
        if lots and not self._take_lots(now):
            pass
        elif size > self._policy.frame_bytes:  # the library counts characters
            self.close(Close.TOO_BIG, f"a frame holds {self._policy.frame_bytes} bytes")
        else:
            try:
                return frames.decode(message)
            except BadFrame as bad:
                self.strike(ErrorCode(bad.code), str(bad))
        return None

    def _take_lots(self, now: float) -> bool:
        """Counts what came since the last time against the limits; False if it was too much."""
        frames, self._uncounted_frames = self._uncounted_frames, 0
        if not self._frames.take(now, frames):
            self._too_many(Limit.INPUTS, "frames")
        elif not self._bytes.take(now, self._count_bytes()):
            self._too_many(Limit.INPUT_BYTES, "bytes")
        return self.close_code is None

    def _count_bytes(self) -> int:
        lot, self._uncounted_bytes = self._uncounted_bytes, 0
        self.counts.bytes_in += lot
        return lot

    def count_odd(self, frames: int) -> None:
        """Counts frames that the library alone has read: pings, pongs, and parts of messages."""
        if self.close_code is None and not self._frames.take(trio.current_time(), frames):
            self._too_many(Limit.INPUTS, "frames")

    def _too_many(self, limit: Limit, what: str) -> None:
        self.counts.limited[limit] += 1
        self.error(ErrorCode.TOO_MANY, f"too many {what}; slow down and reconnect")
        self.close(Close.TOO_MANY_MESSAGES, f"too many {what}")

    def strike(self, code: ErrorCode, message: str, n: int | None = None) -> None:
        """Tells the client what is wrong with a frame; the third time the connection ends."""
        self.error(code, message, n)
        self._strikes += 1
        if self._strikes == STRIKES:
            self.close(Close.BROKE_PROTOCOL, f"the third bad frame ({code})")

    # To the client.

    def send(self, frame: frames.FromServer) -> None:
        """Sends a frame to this client alone."""
        self.send_built(text_frame(frames.encode(frame)))

    def send_built(self, frame: bytes) -> None:
        """Sends a WebSocket frame that was built once for many."""
        counts = self.counts
        counts.frames_out += 1
        counts.bytes_out += len(frame)
        self.output.send_nowait(frame)

    def error(self, code: ErrorCode, message: str, n: int | None = None) -> None:
        """Tells the client what is wrong; ``n`` is the number of the input that did it."""
        self.counts.refusals[code] += 1
        number = msgspec.UNSET if n is None else n
        self.send(frames.Error(code, message, retry=code in RETRY, n=number))

    def move_now(self, reason: str = LEAVING) -> None:
        """Moves the client to another node, or to another socket, at once; ``reason`` is what its
        close frame says.
        """
        if self.close_code is None:
            self.send(frames.Move(0))
            self.close(Close.SERVICE_RESTART, reason)

    def close(self, code: Close, reason: str = "") -> None:
        """Sends the close frame and hangs up; the first code counts, a second call does nothing."""
        if self.end(int(code), END_OF_CODE[code]):
            self.output.send_close(code, reason)
            self._hang_up()

    def close_unread(self, code: Close, reason: str) -> None:
        """Like :meth:`close`, while the client is not read: the caller is to read what it has sent
        for its last words, and then to hang up.
        """
        if self.end(int(code), END_OF_CODE[code]):
            self.output.send_close(code, reason)
            self.last_words = True

    def end(self, code: int, cause: ClientEnd) -> bool:
        """Notes how the connection ends; returns whether this is the first end, which counts."""
        if self.close_code is not None:
            return False
        self.close_code, self.cause = code, cause
        self._count_bytes()
        return True

    def closed_by_peer(self, code: int, reason: str) -> None:
        """The protocol library has ended it: the client closed, is lost, or broke a rule.

        The close of a broken rule may be unsent.
        """
        if code not in LIBRARY_CODES:
            cause = ClientEnd.NETWORK if code == LOST else ClientEnd.CLIENT
            self.end(LOST if code == LOST else int(Close.NORMAL), cause)
        elif self.end(code, ClientEnd.PROTOCOL):
            self.output.send_close(code, reason)

    def too_slow(self, why: str, waiting_bytes: int) -> None:
        """Closes a connection whose client does not read."""
        code = int(Close.SLOW_READER)
        log.info("client.too_slow", code=code, why=why, waiting_bytes=waiting_bytes)
        self.close(Close.SLOW_READER, "too slow a reader")

    def tick(self, now: float) -> None:
        """Sends a beat or a ping if it is time, or gives the client up; called once a second."""
        policy, output = self._policy, self.output
        if self._uncounted_frames:
            self._take_lots(now)
        output.check_reading(now)
        if now - output.sent_at >= policy.beat_seconds:
            self.send(frames.Beat())
        if now - output.heard_at < policy.ping_seconds:
            return
        if self._pinged_at <= output.heard_at:
            self._pinged_at = now
            output.ping()
            return
        answerable_at = max(self._pinged_at, output.reading.at)  # the ping is behind what it reads
        if now - answerable_at >= policy.pong_seconds and self.end(LOST, ClientEnd.PING):
            self._hang_up()


@cache
def _lot(limit: Rate) -> int:
    """How much counts at once. Cached, so that all clients have the same object."""
    return max(1, int(limit.burst) // LOTS)


def _last_word(message: str | bytes) -> frames.Leave | None:
    """The client's ``leave``. It may be gone by now; anything else it would send again."""
    frame = None
    if isinstance(message, str):
        with suppress(BadFrame):
            frame = frames.decode(message)
    return frame if isinstance(frame, frames.Leave) else None
