"""A player whose place outlives its sockets, by the rules of docs/protocol.md for clients.

After an unannounced loss a bot waits a random time, after a ``move`` not at all. Then it dials the
next URL, and after each failure the one after that, with full jitter that doubles. It resumes and
repeats the inputs without an ack. It does not watch for a server's silence: on one machine a dead
socket reports its end.
"""

from __future__ import annotations

import contextlib
import random
import time
from typing import Protocol

import msgspec
import trio

from lastcall.bench.bots.connection import Connection
from lastcall.bench.bots.place import Place
from lastcall.bench.load.dial import Dialer, DialFailed
from lastcall.bench.load.frame_builder import CLOSE, PING, PONG, TEXT, masked
from lastcall.wire import frames

LOSS_WAIT_SECONDS = 0.8
RETRY_SECONDS_MAX = 10.0
DIAL_SECONDS = 3.0
ANSWER_SECONDS = 5.0
GOT_EVERY = 32
LOST = 1006
FINAL = range(4001, 4006)
"""Close codes after which there is no place to resume."""


class Loss(msgspec.Struct, frozen=True):
    """The loss of a bot's socket."""

    lost_at: float
    """In the seconds of ``time.monotonic``, as all times here."""
    code: int
    """The close code; 1006 without a close frame."""
    from_node: str
    on_purpose: bool
    """True if the bench cut the socket."""
    move_due: float | None
    """The announced time of the close, if the node announced a move."""


class Return(Loss, frozen=True):
    """A loss, and the resume that followed it."""

    dialled_at: float
    """The time at which the successful dial began."""
    back_at: float
    dials: int
    """The number of dials, with the successful one."""


class BotOwner(Protocol):
    """The crowd, as far as its bots use it."""

    def watch(self, bot: Bot, descriptor: int) -> None:
        """Calls :meth:`Bot.receive` whenever the socket can be read."""

    def unwatch(self, descriptor: int) -> None:
        """The socket is about to be closed."""

    def lost(self, bot: Bot, loss: Loss) -> None:
        """The bot has lost its socket. If it has a place, the crowd runs :meth:`Bot.reconnect`."""

    def returned(self, result: Return) -> None:
        """The bot has its place again."""

    def own_message(self, said_at: float, heard_at: float) -> None:
        """The bot has heard its own input."""

    def complain(self, sentence: str) -> None:
        """The bot has found an error, so the run has failed; it takes no further part."""


class Bot:
    """One player. :attr:`live` while it has a socket on which its place is confirmed."""

    __slots__ = (
        "_connection",
        "_dialers",
        "_move_due",
        "_owner",
        "_reconnecting",
        "_rng",
        "_url",
        "cut_on_purpose",
        "dead",
        "ended_at",
        "live",
        "node",
        "place",
    )

    def __init__(
        self, owner: BotOwner, dialers: list[Dialer], first: int, rng: random.Random
    ) -> None:
        self._owner = owner
        self._dialers = dialers
        self._url = first
        self._rng = rng
        self._connection: Connection | None = None
        self._move_due: float | None = None
        self._reconnecting = False
        self.place = Place(rng)
        self.cut_on_purpose = False
        """Set before the bench cuts its socket, so that the loss does not count as an accident."""
        self.live = False
        self.dead = False
        """It has lost its place for good, and has complained."""
        self.ended_at: float | None = None
        """The time at which it was told that its room has ended."""
        self.node = ""
        """The api node of its current or last socket."""

    @property
    def ports(self) -> tuple[int, int] | None:
        """The local and the remote port of its socket; None without a socket."""
        return None if self._connection is None else self._connection.ports

    def say(self, *, tally: bool = False) -> None:
        """Says its next number, or asks the room for its tally (:attr:`Place.tally`).

        Without a socket, the frame is sent after the next resume.
        """
        frame = self.place.ask_tally() if tally else self.place.say()
        if self.live:
            self._send(frame)

    def _send(self, data: bytes) -> None:
        assert self._connection is not None
        if not self._connection.send(data):
            self._fail("has a full socket: the node does not read it")

    async def connect(self) -> Connection:
        """Dials once, and stays outside rooms; raises :class:`DialFailed`."""
        dialer = self._dialers[self._url % len(self._dialers)]
        connection = self._connection = Connection(*await dialer.dial(DIAL_SECONDS))
        self._owner.watch(self, connection.fileno())
        return connection

    async def enter(self, request: frames.Join | frames.Resume) -> None:
        """Connects and takes its place; raises :class:`DialFailed` if that is not possible."""
        connection = await self.connect()
        self._send(masked(TEXT, frames.encode(request)))
        self.receive()
        with trio.move_on_after(ANSWER_SECONDS):
            await connection.answered.wait()
        if not self.live:
            raise DialFailed(f"{self.place.ledger.player or 'a new bot'} was not given a place")

    async def reconnect(self, loss: Loss) -> None:
        """Resumes after a loss; returns once the place is back, or the bot is dead."""
        self._reconnecting = True
        limit = LOSS_WAIT_SECONDS
        await trio.sleep(self._rng.uniform(0.0, limit) if self._move_due is None else 0.0)
        dials, dialled_at = 0, 0.0
        while not self.live and not self.dead:
            self._url += 1
            dials += 1
            dialled_at = time.monotonic()
            with contextlib.suppress(DialFailed):
                await self.enter(self.place.resume())
            if not self.live and not self.dead:
                self.close()
                await trio.sleep(self._rng.uniform(0.0, limit))
                limit = min(2 * limit, RETRY_SECONDS_MAX)
        self._reconnecting = False
        if self.live:
            now, lost = time.monotonic(), msgspec.structs.asdict(loss)
            self._owner.returned(Return(**lost, dialled_at=dialled_at, back_at=now, dials=dials))

    def cut(self) -> None:
        """Resets the socket, as a broken network does; the bot then finds it lost."""
        if self._connection is not None:
            self._connection.reset_on_close()
            self._end(LOST)

    def close(self) -> None:
        """Drops the socket without a close frame."""
        self.live = False
        if self._connection is not None:
            self._owner.unwatch(self._connection.fileno())
            self._connection.close()
            self._connection = None

    def receive(self) -> None:
        """Handles what has arrived on the socket."""
        connection = self._connection
        if connection is None:
            return
        is_open = connection.read()
        for opcode, payload in connection.frames():
            if opcode == TEXT:
                self._on_frame(frames.decode_server(payload))
            elif opcode == PING:
                self._send(masked(PONG, payload))
            elif opcode == CLOSE:
                self._send(masked(CLOSE, payload[:2]))
                self._end(int.from_bytes(payload[:2], "big"))
            if self._connection is not connection:
                return
        if not is_open:
            self._end(LOST)

    def _end(self, code: int) -> None:
        """Ends the connection. A bot that was dialling for its place goes on with that."""
        connection, was_settled = self._connection, self.live or not self.place.room
        assert connection is not None
        on_purpose, self.cut_on_purpose = self.cut_on_purpose, False
        self.close()
        if code in FINAL:
            self._fail(f"was closed with {code}")
        elif was_settled and not self._reconnecting:  # else it got and lost its place in one read
            now = time.monotonic()
            self._owner.lost(self, Loss(now, code, self.node, on_purpose, self._move_due))
        connection.answered.set()

    def _fail(self, problem: str) -> None:
        if not self.dead:
            self.dead = True
            self._owner.complain(f"{self.place.ledger.player} in {self.place.room} {problem}")

    def _on_frame(self, frame: frames.FromServer | None) -> None:
        match frame:
            case frames.Message():
                self._on_message(frame)
            case frames.Ack(n):
                self.place.acked(n)
            case frames.Hello():
                self.node = frame.node
            case frames.Resumed():
                self._on_place(frame)
            case frames.Joined() if not self.place.room:
                self._on_place(frame)
            case frames.Move():
                self._move_due = time.monotonic() + frame.after
            case frames.Error(retry=True) if not self.live:
                self._end(LOST)
            case frames.Ended():
                self.ended_at = time.monotonic()
                self._fail(f"got {frame}")
            case frames.Joined() | frames.Error():
                self._fail(f"got {frame}")
                self._end(LOST)
            # Beats and notices need no answer.

    def _on_message(self, frame: frames.Message) -> None:
        place = self.place
        said_at = place.hear(frame)
        if said_at is not None:
            self._owner.own_message(said_at, time.monotonic())
        if place.messages % GOT_EVERY == 0:
            self._send(place.got())

    def _on_place(self, frame: frames.Joined | frames.Resumed) -> None:
        if problem := self.place.confirm(frame):
            self._fail(problem)
        self.live, self._move_due = True, None
        self._send(self.place.got())
        assert self._connection is not None
        self._connection.answered.set()
        if self.place.unacked:
            self._send(self.place.unacked_frames())
