"""A player's place in a room, as its bot knows it: ticket, ledger, and inputs without an ack."""

from __future__ import annotations

import random
import time
from collections import deque

import msgspec

from lastcall.bench.load.frame_builder import TEXT, masked
from lastcall.bench.rooms.kinds import TALLY, RoomMessage
from lastcall.bench.rooms.ledger import PlayerLedger, Tally
from lastcall.wire import frames

SALT_BITS = 20
"""The random low bits of a value; the bits above count the player's inputs from 1."""

_decode_message = msgspec.json.Decoder(RoomMessage).decode


class Place:
    """One player's place. It builds the frames to send and records everything it says and hears,
    repeats included.
    """

    __slots__ = (
        "_rng",
        "_ticket",
        "_unacked",
        "heard_at",
        "last_n",
        "ledger",
        "messages",
        "room",
        "said_at",
        "seen",
        "tally",
    )

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._ticket = ""
        self._unacked: deque[tuple[int, bytes]] = deque()
        self.heard_at: list[float] = []
        """When each message to all has arrived, in the ledger's order."""
        self.last_n = 0
        """The number of the last input; the first is 1."""
        self.ledger = PlayerLedger()
        self.messages = 0
        """The number of messages that have arrived."""
        self.room = ""
        self.said_at: list[float] = []
        """When each number of the ledger was said first, in the seconds of ``time.monotonic``."""
        self.seen = 0
        """The highest ``seq`` that has arrived."""
        self.tally: Tally | None = None
        """The room's answer to the last :meth:`ask_tally`."""

    @property
    def unacked(self) -> int:
        """The number of inputs that the room has not acknowledged."""
        return len(self._unacked)

    def say(self) -> bytes:
        """The frame of the next input: a number that the player has not said before."""
        said = self.ledger.said
        value = (len(said) + 1) << SALT_BITS | self._rng.getrandbits(SALT_BITS)
        said.append(value)
        self.said_at.append(time.monotonic())
        return self._input(b"%d" % value)

    def ask_tally(self) -> bytes:
        """The frame that asks the room for its tally; :attr:`tally` will be the answer."""
        self.tally = None
        return self._input(msgspec.json.encode(TALLY))

    def _input(self, body: bytes) -> bytes:
        self.last_n += 1
        frame = masked(TEXT, b'{"t":"say","n":%d,"d":%b}' % (self.last_n, body))
        self._unacked.append((self.last_n, frame))
        return frame

    def got(self) -> bytes:
        """The frame that acknowledges all messages seen."""
        return masked(TEXT, b'{"t":"got","seq":%d}' % self.seen)

    def unacked_frames(self) -> bytes:
        """The frames of all inputs without an ack, in order."""
        return b"".join(frame for _, frame in self._unacked)

    def resume(self, missed: int = 0) -> frames.Resume:
        """The request for this place on a new socket, as if the last ``missed`` messages had not
        arrived.
        """
        return frames.Resume(ticket=self._ticket, seen=max(0, self.seen - missed))

    def confirm(self, frame: frames.Joined | frames.Resumed) -> str:
        """Applies the answer to a join or resume; returns what is wrong with it, or ""."""
        self._ticket = frame.ticket
        if isinstance(frame, frames.Joined):
            self.room, self.ledger.player, self.seen = frame.room, frame.you, frame.seq
            return ""
        self.acked(frame.n)
        if not frame.complete:
            return f"has seen {self.seen}, and the room's history is too short"
        if frame.n > self.last_n:
            return f"said {self.last_n} inputs, and the room has {frame.n}"
        return ""

    def acked(self, n: int) -> None:
        """The room has all inputs up to ``n``."""
        unacked = self._unacked
        while unacked and unacked[0][0] <= n:
            unacked.popleft()

    def hear(self, frame: frames.Message) -> float | None:
        """Records a message; returns the time of the input if it is the player's own, else None."""
        message = _decode_message(frame.d)
        self.messages += 1
        self.seen = max(self.seen, frame.seq)
        if message.speaker:
            self.ledger.hear(frame.seq, message.speaker, message.said)
            self.heard_at.append(time.monotonic())
            if message.speaker == self.ledger.player:
                index = (message.said >> SALT_BITS) - 1
                if index < len(self.said_at):  # else a stray, which the ledgers will show
                    return self.said_at[index]
        elif message.to:
            self.ledger.hear_whisper(frame.seq, message.to, message.said)
        else:
            self.ledger.other_seqs.append(frame.seq)
            self.tally = message.tally
        return None
