"""How a client and its room stand: what it has heard, and what the room may not have heard.

It outlives sockets. After each loss it says where to go on (``resume``), and from the answer what
is to be said again; so nothing is lost and nothing is taken twice, in either direction.
"""

from __future__ import annotations

import msgspec

from lastcall.core.edge.input_window import InputWindow
from lastcall.policy import SocketPolicy
from lastcall.wire import frames

__all__ = ["GOT_EVERY", "UNACKED_MAX", "ResumeState"]

UNACKED_MAX = SocketPolicy().unacked_inputs
GOT_EVERY = 32
"""Messages heard between two ``got``."""


class ResumeState:
    """One place's numbers, from its ``joined`` on."""

    __slots__ = ("_since_got", "holes", "inputs", "repeats", "room", "seq", "ticket")

    def __init__(self, joined: frames.Joined) -> None:
        self.holes = 0
        """Numbers jumped over: other players' private messages."""
        self.repeats = 0
        """Messages whose number did not rise: the server's fault."""
        self.joined(joined)

    def joined(self, frame: frames.Joined) -> None:
        """A seat is taken, the first or (regrouped) another: all is counted anew."""
        self.room = frame.room
        self.ticket = frame.ticket
        """The newest; each ``resumed`` brings another."""
        self.seq = frame.seq
        """The last number heard."""
        self.inputs = InputWindow(UNACKED_MAX, UNACKED_MAX * SocketPolicy().frame_bytes)
        """What is said and not acked; when it is full, nothing more may be said."""
        self._since_got = 0

    def say(self, body: bytes) -> frames.Say:
        """The next input. The caller has looked that :attr:`inputs` is not full."""
        number = self.inputs.last + 1
        self.inputs.take(number, body)
        return frames.Say(number, msgspec.Raw(body))

    def hear(self, seq: int) -> bool:
        """A message has come; whether it is a new one."""
        if seq <= self.seq:
            self.repeats += 1
            return False
        self.holes += seq - self.seq - 1
        self.seq = seq
        self._since_got += 1
        return True

    @property
    def got_due(self) -> bool:
        """Whether it is time to tell how far we have heard."""
        return self._since_got >= GOT_EVERY

    def got(self) -> frames.Got:
        """Tells how far we have heard; of which room, since that can change (regrouping)."""
        self._since_got = 0
        return frames.Got(self.seq, self.room)

    def resume(self) -> frames.Resume:
        """Asks for the place on another socket; may be said again while it is not answered."""
        return frames.Resume(self.ticket, self.seq)

    def resumed(self, frame: frames.Resumed) -> list[frames.Say]:
        """The place is ours again; returns what to say once more, in order, right after ``got``.

        If the history was too short (``complete`` is false), what follows is counted from the
        room's picture, and the numbers in between are no holes.
        """
        self.ticket = frame.ticket
        self.inputs.ack(frame.n)
        if not frame.complete:
            self.seq = max(self.seq, frame.seq)
        again = self.inputs.again(frame.n + 1)
        return [frames.Say(number, msgspec.Raw(body)) for number, body in again]
