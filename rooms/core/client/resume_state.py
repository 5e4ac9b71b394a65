"""The client's record: the messages it has received, and the inputs that the room may lack.

The state outlives sockets. After a loss it tells the server where to go on (``resume``), and the
answer tells which inputs to send again. So in either direction nothing is lost or applied twice.
"""

from __future__ import annotations

import msgspec

from lastcall.core.edge.input_window import InputWindow
from lastcall.policy import SocketPolicy
from lastcall.wire import frames

UNACKED_MAX = SocketPolicy().unacked_inputs
GOT_EVERY = 32
"""How many messages are received between two ``got``."""


class ResumeState:
    """The sequence numbers of one place, from its ``joined`` on."""

    __slots__ = ("_since_got", "holes", "inputs", "repeats", "room", "seq", "ticket")

    def __init__(self, joined: frames.Joined) -> None:
        self.holes = 0
        """How many numbers were skipped: other players' private messages."""
        self.repeats = 0
        """How many messages had a number that did not rise: the server's fault."""
        self.joined(joined)

    def joined(self, frame: frames.Joined) -> None:
        """Begins in a room, the first or (regrouped) another; its numbers begin anew."""
        self.room = frame.room
        self.ticket = frame.ticket
        """The newest ticket; each ``resumed`` brings another."""
        self.seq = frame.seq
        """The number of the last message received."""
        self.inputs = InputWindow(UNACKED_MAX, UNACKED_MAX * SocketPolicy().frame_bytes)
        """The inputs that are not acknowledged; when it is full, nothing more may be said."""
        self._since_got = 0

    def say(self, body: bytes) -> frames.Say:
        """Numbers the next input. The caller has checked that :attr:`inputs` is not full."""
        number = self.inputs.last + 1
        self.inputs.take(number, body)
        return frames.Say(number, msgspec.Raw(body))

    def receive(self, seq: int) -> bool:
        """Counts a message; returns whether it is new."""
        if seq <= self.seq:
            self.repeats += 1
            return False
        self.holes += seq - self.seq - 1
        self.seq = seq
        self._since_got += 1
        return True

    @property
    def got_due(self) -> bool:
        """Whether it is time to send a ``got``."""
        return self._since_got >= GOT_EVERY

    def got(self) -> frames.Got:
        """Acknowledges all messages so far; names the room, since regrouping can change it."""
        self._since_got = 0
        return frames.Got(self.seq, self.room)

    def resume(self) -> frames.Resume:
        """Asks for the place on another socket; may be sent again while it is not answered."""
        return frames.Resume(self.ticket, self.seq)

    def resumed(self, frame: frames.Resumed) -> list[frames.Say]:
        """The place is on this socket; returns the inputs to send again, in order, after a ``got``.

        If the history was too short (``complete`` is false), numbering goes on from the room's
        picture, and the skipped numbers do not count as holes.
        """
        self.ticket = frame.ticket
        self.inputs.ack(frame.n)
        if not frame.complete:
            self.seq = max(self.seq, frame.seq)
        again = self.inputs.unacked_from(frame.n + 1)
        return [frames.Say(number, msgspec.Raw(body)) for number, body in again]
