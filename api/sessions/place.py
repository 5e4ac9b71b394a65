"""One client's seat, and the inputs that its room may not have yet.

A place lives longer than a link: when a link is reset, its places are *suspended*. What the client
says then is kept, up to the window's bounds, and the room's messages wait in its history, until
:mod:`lastcall.api.games.reattach` has taken the place again on the next link to the same process.
Nothing of it is seen by the client.
"""

from __future__ import annotations

import enum
from typing import Protocol

from lastcall.api.sessions.session import Session
from lastcall.api.socket.frame_builder import text_frame
from lastcall.core.edge.input_window import InputWindow
from lastcall.core.sequence import SequenceCheck
from lastcall.ids import RoomId
from lastcall.reasons import EndReason
from lastcall.wire import frames, nodes

__all__ = ["Condition", "Link", "Place"]


class Link(Protocol):
    """A live link to one game node."""

    def send(self, item: nodes.Up, *, pressing: bool = True) -> None:
        """Queues an item; order is kept, nothing is lost short of a reset.

        What is not ``pressing`` may wait for something else to go with, for half a second.
        """


class Condition(enum.Enum):
    """What a place is to its room."""

    LIVE = "live"
    """Its link stands: the room hears it, and it hears the room."""
    SUSPENDED = "suspended"
    """Its link was reset; it waits to be renewed."""
    LEFT = "left"
    """Its client gave it up: a room that has not heard of it yet must."""
    OVER = "over"
    """Nobody has it any more."""


class PlaceOwner(Protocol):
    """What a place needs of its room; :class:`lastcall.api.sessions.relay.Relay`."""

    room: RoomId
    seq: int
    """The last of the room's numbers that came by the places' link."""

    def remove(self, place: Place) -> None:
        """Takes the place out."""

    def revive(self, place: Place) -> None:
        """Has the suspended place hear the room again."""

    def schedule_ack(self, place: Place) -> None:
        """Has :meth:`Place.tell_acked` called soon."""


class Place:
    """``number`` is the place's session number: the game node ignores what an older one says."""

    __slots__ = (
        "_caught_up_at",
        "_confirmed",
        "_seen",
        "_told",
        "ack_due",
        "condition",
        "leaving",
        "link",
        "number",
        "output",
        "player",
        "relay",
        "secret",
        "session",
        "window",
    )

    def __init__(
        self,
        relay: PlaceOwner,
        link: Link,
        news: nodes.Seated | nodes.Resumed,
        session: Session,
        window: InputWindow,
    ) -> None:
        self.relay = relay
        self.link = link
        self.player = news.player
        self.number = news.session
        self.secret = news.secret
        self.session = session
        self.output = session.output
        """Of the session; here, since each delivery needs it."""
        self.condition = Condition.LIVE
        self.window = window
        self._confirmed = False
        self.leaving = False
        """A leave is kept back: the room has not all that was said before it."""
        self.ack_due = False
        """Whether :meth:`tell_acked` has something to tell; kept, as each delivery looks."""
        self._told = window.acked
        """The last input that the client knows to have arrived."""
        self._begin(news.seq)

    def _begin(self, seq: int) -> None:
        self._seen = seq
        self._caught_up_at = self.relay.seq

    @property
    def seen(self) -> int:
        """The last of the room's numbers that was passed on to the client, or concerned others.

        What a place has missed comes before anything live of its room. So once the room has come
        further on this link, the place has too; the fan-out need not write to each place. But a
        later resume, of another player who has seen less than was replayed here, brings the room
        on as well.
        """
        caught_up = self.relay.seq > self._caught_up_at and self.condition is Condition.LIVE
        return max(self._seen, self.relay.seq) if caught_up else self._seen

    # From the session.

    @property
    def full(self) -> bool:
        """Whether the socket must not be read for now."""
        return self.window.full

    @property
    def left(self) -> bool:
        """Whether its client gave it up."""
        return self.condition is Condition.LEFT

    @property
    def suspended(self) -> bool:
        """Whether it is our link that holds the inputs back, and not the room."""
        return self.condition is Condition.SUSPENDED

    @property
    def expected(self) -> int:
        """The number of the next input."""
        return self.window.last + 1

    def say(self, n: int, body: bytes) -> SequenceCheck:
        """Passes an input on if it is the next, and keeps it until the room has it."""
        verdict = self.window.take(n, body)
        if verdict is SequenceCheck.NEXT and self.condition is Condition.LIVE:
            self._pass_on(n, body)
        return verdict

    def confirm(self) -> None:
        """The client has shown that it knows its ticket: the one before is used up."""
        self._confirmed = True
        if self.condition is Condition.LIVE:
            confirm = nodes.Confirm(self.relay.room, self.player, self.number)
            self.link.send(confirm, pressing=False)

    def leave(self) -> None:
        """Gives the seat up once the room has all that was said before: mostly, that is now.

        Else the leave would overtake what a full inbox refused, or what was lost with a link.
        """
        if self.window.empty:
            self.give_up()
        else:
            self.leaving = True
            self.window.shut()

    def give_up(self) -> None:
        """Gives the seat up: the client has its ``ended`` at once, whatever the room still says."""
        self.tell_acked()
        self._say_leave()
        self.session.ended(self.relay.room, EndReason.LEFT)

    def absent(self, *, moved: bool = False) -> None:
        """The socket is gone, and was not taken over.

        A leave that is kept back is said now, lest the seat wait for nobody; not so if the client
        was ``moved``: it comes back, and says again what the room has not, and the leave.
        """
        if self.leaving and not moved:
            self._say_leave()
        elif self._out(Condition.OVER):
            self.link.send(nodes.Absent(self.relay.room, self.player, self.number))

    # From the room.

    def acked(self, n: int) -> None:
        """The room has every input up to ``n``; the client is told soon, or when it is much."""
        if not self.window.ack(n):
            return
        if self.leaving and self.window.empty:
            self.give_up()
            return
        self.session.freed()
        if self.window.acked - self._told >= self.window.inputs_max // 4:
            self.tell_acked()
        elif not self.ack_due:
            self.ack_due = True
            self.relay.schedule_ack(self)

    def tell_acked(self) -> None:
        """Tells the client how far its inputs have come, if it does not know yet."""
        self.ack_due = False
        if self._told < self.window.acked:
            self._told = self.window.acked
            self.session.acked(self._told)

    def resend(self, n: int) -> None:
        """The room wants all from ``n`` on once more."""
        for number, body in self.window.again(n):
            self._pass_on(number, body)

    def replay(self, item: nodes.Replay) -> None:
        """Passes on what was missed."""
        for seq, body in item.messages:
            self.session.send_built(text_frame(frames.message(seq, body)))
            self._seen = seq

    def over(self, reason: EndReason, result: bytes = b"") -> None:
        """The place is over, by the room's or the node's doing."""
        self.tell_acked()
        self._out(Condition.OVER)
        self.session.ended(self.relay.room, reason, result)

    def taken_over(self) -> None:
        """A newer socket has the seat; nobody need be told but the older one."""
        self._out(Condition.OVER)
        self.session.taken_over()

    def unknown(self) -> None:
        """The room, or the player's seat in it, was over before the link was back (he was kicked,
        say): he is told what he would be told if he resumed.
        """
        if self.leaving:
            self.over(EndReason.LEFT)
            return
        self._out(Condition.OVER)
        self.session.no_such_place()

    def vacated(self) -> bool:
        """The room was given up before it started; whether the client is to find another."""
        if self.leaving:
            self.over(EndReason.LEFT)
            return False
        self._out(Condition.OVER)
        self.session.regrouped(self.relay.room)
        return True

    # From the link.

    def suspend(self) -> None:
        """The link was reset: nothing is passed on, either way."""
        self._seen = self.seen
        self.condition = Condition.SUSPENDED

    def renew(self, link: Link, item: nodes.Resumed) -> None:
        """The room knows the suspended place by another link and number now."""
        self.link = link
        self.number = item.session
        self.condition = Condition.LIVE
        self._begin(item.seq)
        self.relay.revive(self)
        if self._confirmed:  # it may have been lost with the link of before
            self.confirm()
        self.acked(item.n)
        self.resend(item.n + 1)
        self.session.renewed()

    def _out(self, condition: Condition) -> bool:
        """Takes the place out of its room here; True if the room should hear of it at once."""
        live = self.condition is Condition.LIVE
        self.condition = condition
        self.relay.remove(self)
        return live

    def _say_leave(self) -> None:
        if self._out(Condition.LEFT):
            self.link.send(nodes.Leave(self.relay.room, self.player, self.number))

    def _pass_on(self, n: int, body: bytes) -> None:
        self.link.send(nodes.Say(self.relay.room, self.player, self.number, n, body))
