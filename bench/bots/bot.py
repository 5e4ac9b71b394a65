"""A player whose place outlives its sockets, by the client's rules of the design (§9).

After an unannounced loss it waits a random time, after a ``move`` not at all; then it dials the
next URL, and after each failure the one after that, with full jitter that doubles; it resumes,
and says again what was not acknowledged. It writes down what it says and hears, and drops nothing
that it hears twice. It does not watch for a server's silence: on one machine a socket that dies
says so.
"""

from __future__ import annotations

import contextlib
import random
import time
from typing import Protocol

import msgspec
import trio

from lastcall.bench.bots.unacked import Inputs
from lastcall.bench.bots.wire import Wire
from lastcall.bench.load.dial import DialFailed, Door
from lastcall.bench.load.frame_builder import CLOSE, PING, PONG, TEXT, masked
from lastcall.bench.rooms.kinds import TALLY, Word
from lastcall.bench.rooms.ledger import Ledger, Tally
from lastcall.wire import frames

__all__ = ["Bot", "Crowded", "Return"]

LOSS_WAIT_SECONDS = 0.8
RETRY_SECONDS_MAX = 10.0
DIAL_SECONDS = 3.0
ANSWER_SECONDS = 5.0
GOT_EVERY = 32
SALT_BITS = 20
LOST = 1006
FINAL = range(4001, 4006)
"""Close codes after which there is nothing to come back to."""


class Return(msgspec.Struct, frozen=True):
    """One resume: when the socket was lost and the place was back, by ``time.monotonic``."""

    lost_at: float
    dialled_at: float
    """When the dial began that led to it."""
    back_at: float
    code: int
    """What the old socket was closed with; 1006 without a word."""
    from_node: str
    dials: int
    """How many it took."""
    on_purpose: bool
    """Whether the bench had cut the socket."""


_read_word = msgspec.json.Decoder(Word).decode


class Crowded(Protocol):
    """What a bot needs of the crowd that it is in."""

    def watch(self, bot: Bot, descriptor: int) -> None:
        """Has :meth:`Bot.receive` called when the socket can be read."""

    def unwatch(self, descriptor: int) -> None:
        """The socket is about to be closed."""

    def lost(self, bot: Bot) -> None:
        """The bot has no socket any more: runs :meth:`Bot.come_back`."""

    def returned(self, how: Return) -> None:
        """The bot has its place again."""

    def own_message(self, said_at: float, heard_at: float) -> None:
        """The bot has heard itself."""

    def complain(self, sentence: str) -> None:
        """The run has failed; the bot is out of it."""


class Bot:
    """One player. :attr:`live` while it has a socket on which its place is confirmed."""

    __slots__ = (
        "_answered",
        "_code",
        "_crowd",
        "_doors",
        "_from_node",
        "_hears",
        "_inputs",
        "_lost_at",
        "_moved",
        "_purpose",
        "_returning",
        "_rng",
        "_said_at",
        "_ticket",
        "_url",
        "_wire",
        "cut_on_purpose",
        "dead",
        "ledger",
        "live",
        "node",
        "room",
        "seen",
        "tally",
    )

    def __init__(self, crowd: Crowded, doors: list[Door], first: int, rng: random.Random) -> None:
        self._crowd = crowd
        self._doors = doors
        self._url = first
        self._rng = rng
        self._wire: Wire | None = None
        self._answered: trio.Event | None = None
        self._inputs = Inputs()
        self._said_at: list[float] = []
        self._hears = 0
        self._ticket = ""
        self._moved = False
        self._purpose = False
        self._returning = False
        self._code = 0
        self._from_node = ""
        self._lost_at = 0.0
        self.ledger = Ledger()
        self.cut_on_purpose = False
        """Its socket has been chosen to be cut; what is lost next was no accident."""
        self.live = False
        self.dead = False
        """It has lost its place, and has complained."""
        self.node = ""
        """The api node of the socket that it has, or had last."""
        self.room = ""
        self.seen = 0
        self.tally: Tally | None = None
        """The room's last answer to :meth:`ask_tally`."""

    @property
    def unacked(self) -> int:
        """How many inputs the room has not acknowledged."""
        return len(self._inputs)

    @property
    def ports(self) -> tuple[int, int] | None:
        """The ports of its socket, the bot's and the node's; None without a socket."""
        return None if self._wire is None else self._wire.ports

    # Speaking.

    def say(self) -> None:
        """Says its next number; without a socket it is said when there is one."""
        ledger = self.ledger
        value = (len(ledger.said) + 1) << SALT_BITS | self._rng.getrandbits(SALT_BITS)
        ledger.said.append(value)
        self._said_at.append(time.monotonic())
        self._post(b"%d" % value)

    def ask_tally(self) -> None:
        """Asks the room for its ledger; :attr:`tally` is the answer."""
        self.tally = None
        self._post(msgspec.json.encode(TALLY))

    def _post(self, body: bytes) -> None:
        frame = self._inputs.add(body)
        if self.live:
            self._send(frame)

    def _send(self, data: bytes) -> None:
        assert self._wire is not None
        if not self._wire.send(data):
            self._die("is not read any more: its socket is full")

    # The socket's life.

    async def enter(self, join: frames.Join) -> None:
        """Takes a seat at once; raises :class:`DialFailed` when that is not possible."""
        await self._open(frames.encode(join))
        if not self.live:
            raise DialFailed("a join was not answered with a seat")

    async def come_back(self) -> None:
        """From the loss of a socket to the place on another; a bot that is dead just returns."""
        self._returning = True
        limit = LOSS_WAIT_SECONDS
        await trio.sleep(0.0 if self._moved else self._rng.uniform(0.0, limit))
        dials, dialled_at = 0, 0.0
        while not self.live and not self.dead:
            self._url += 1
            dials += 1
            dialled_at = time.monotonic()
            resume = frames.encode(frames.Resume(ticket=self._ticket, seen=self.seen))
            with contextlib.suppress(DialFailed):
                await self._open(resume)
            if not self.live and not self.dead:
                self._drop()
                await trio.sleep(self._rng.uniform(0.0, limit))
                limit = min(2 * limit, RETRY_SECONDS_MAX)
        self._returning = False
        if self.live:
            now, why = time.monotonic(), (self._code, self._from_node, dials, self._purpose)
            self._crowd.returned(Return(self._lost_at, dialled_at, now, *why))

    async def renew(self, missed: int) -> None:
        """Drops the socket without a word and takes the place again, on the same node, as one who
        did not see the last ``missed`` messages. Raises :class:`DialFailed`.
        """
        self._drop()
        seen = max(0, self.seen - missed)
        await self._open(frames.encode(frames.Resume(ticket=self._ticket, seen=seen)))
        if not self.live:
            raise DialFailed(f"{self.ledger.player} did not get its place back")

    async def _open(self, first: bytes) -> None:
        door = self._doors[self._url % len(self._doors)]
        self._wire = Wire(*await door.dial(DIAL_SECONDS))
        self._answered = trio.Event()
        self._crowd.watch(self, self._wire.fileno())
        self._send(masked(TEXT, first))
        self._take()
        with trio.move_on_after(ANSWER_SECONDS):
            await self._answered.wait()

    def cut(self) -> None:
        """Ends the socket with a reset, as a broken network does; the bot then finds it lost."""
        if self._wire is not None:
            self._wire.reset()
            self._gone(LOST)

    def close(self) -> None:
        """The end of the run."""
        self._drop()

    def receive(self) -> None:
        """Takes what has come."""
        if self._wire is None:
            return
        if self._wire.read():
            self._take()
        else:
            self._gone(LOST)

    def _gone(self, code: int) -> None:
        """The socket is over; who had a place on it comes back, who was dialling goes on."""
        was_live = self.live
        purpose, self.cut_on_purpose = self.cut_on_purpose, False
        self._drop()
        if code in FINAL:
            self._die(f"was closed with {code}")
        elif was_live and not self._returning:  # else it has come back and lost it in one breath
            self._code, self._lost_at, self._from_node = code, time.monotonic(), self.node
            self._purpose = purpose
            self._crowd.lost(self)
        if self._answered is not None:
            self._answered.set()

    def _drop(self) -> None:
        self.live = False
        if self._wire is not None:
            self._crowd.unwatch(self._wire.fileno())
            self._wire.close()
            self._wire = None

    def _die(self, how: str) -> None:
        if not self.dead:
            self.dead = True
            self._crowd.complain(f"{self.ledger.player} in {self.room} {how}")

    # Hearing.

    def _take(self) -> None:
        wire = self._wire
        assert wire is not None
        for opcode, payload in wire.frames():
            if opcode == TEXT:
                self._on_frame(frames.decode_server(payload))
            elif opcode == PING:
                self._send(masked(PONG, payload))
            elif opcode == CLOSE:
                self._send(masked(CLOSE, payload[:2]))
                self._gone(int.from_bytes(payload[:2], "big"))
            if self._wire is not wire:
                return

    def _on_frame(self, frame: frames.FromServer | None) -> None:
        match frame:
            case frames.Message():
                self._on_message(frame)
            case frames.Ack(n):
                self._inputs.acked(n)
            case frames.Hello():
                self.node = frame.node
            case frames.Joined() if not self.room:
                self._on_joined(frame)
            case frames.Resumed():
                self._on_resumed(frame)
            case frames.Move():
                self._moved = True
            case frames.Error(retry=True) if not self.live:
                self._gone(LOST)
            case frames.Joined() | frames.Ended() | frames.Error():
                self._die(f"got {frame}")
                self._gone(LOST)
            case _:
                pass  # beats and notices

    def _on_message(self, frame: frames.Message) -> None:
        word = _read_word(frame.d)
        self.seen = max(self.seen, frame.seq)
        if word.speaker:
            self.ledger.hear(frame.seq, word.speaker, word.said)
            if word.speaker == self.ledger.player:
                self._on_own(word.said)
        elif word.to:
            self.ledger.hear_whisper(frame.seq, word.to, word.said)
        else:
            self.ledger.other_seqs.append(frame.seq)
            self.tally = word.tally
        self._hears += 1
        if self._hears % GOT_EVERY == 0:
            self._got()

    def _on_own(self, value: int) -> None:
        index = (value >> SALT_BITS) - 1
        if index < len(self._said_at):  # else it is a stray, which the ledger will tell
            self._crowd.own_message(self._said_at[index], time.monotonic())

    def _on_joined(self, frame: frames.Joined) -> None:
        self.room, self.ledger.player = frame.room, frame.you
        self.seen = frame.seq
        self._seated(frame.ticket)

    def _on_resumed(self, frame: frames.Resumed) -> None:
        if not frame.complete:
            self._die(f"has seen {self.seen}, and the room's history was too short")
        if frame.n > self._inputs.n:
            self._die(f"said {self._inputs.n} inputs, and the room has {frame.n}")
        self._inputs.acked(frame.n)
        self._seated(frame.ticket)
        if self._inputs:
            self._send(self._inputs.again())

    def _seated(self, ticket: str) -> None:
        self._ticket, self.live, self._moved = ticket, True, False
        self._got()
        assert self._answered is not None
        self._answered.set()

    def _got(self) -> None:
        self._send(masked(TEXT, b'{"t":"got","seq":%d}' % self.seen))
