"""One client's seat in a room, and the inputs that the room may not have yet.

A place lives longer than a link: when a link is reset, or the room moves to another game node, its
places are *suspended*. The client's inputs are kept then, up to the window's bounds, and the room's
messages wait in its history, until :mod:`lastcall.api.games.reattach` has attached the place to the
next link to the game process that has the room. The client sees nothing of it.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Protocol

from lastcall.api.sessions.session import Session
from lastcall.api.socket.frame_builder import text_frame
from lastcall.core.edge.input_window import InputWindow
from lastcall.ids import Incarnation, RoomId
from lastcall.reasons import Close, EndReason
from lastcall.wire import frames, nodes


class Link(Protocol):
    """A live link to one game node."""

    @property
    def node(self) -> nodes.Welcome:
        """The game node."""

    def send(self, item: nodes.Up, *, pressing: bool = True) -> None:
        """Queues an item; order is kept, and only a reset loses items.

        An item that is not ``pressing`` may wait half a second for others to go with.
        """


class PlaceStatus(enum.Enum):
    """Whether a place is connected to its room."""

    LIVE = "live"
    """Its link stands: inputs and messages pass."""
    SUSPENDED = "suspended"
    """Its link was reset, or its room has moved, and it waits for another link."""
    LEFT = "left"
    """Its client has left; if the room does not know yet, it must be told."""
    OVER = "over"
    """The client does not have it any more."""


class PlaceOwner(Protocol):
    """A place's room; :class:`lastcall.api.sessions.relay.Relay`, which imports this module."""

    room: RoomId
    seq: int
    """The number of the room's last message that came by the places' link."""
    epoch: int
    owner: Incarnation
    """The game process that has had the room since ``epoch``."""
    acks_due: list[Place]
    acks_scheduled: bool

    def remove(self, place: Place) -> None:
        """Takes the place out of the room."""

    def resume(self, place: Place) -> None:
        """Passes the room's messages on to the suspended place again."""

    def rise(self, epoch: int, owner: Incarnation, link: Link | None = None) -> list[Place]:
        """The room has ``epoch`` at ``owner``; returns the places to renew there, suspended."""

    def remember_leave(self, link: Link, leave: nodes.Leave) -> None:
        """A leave was sent: the room may move before the game node applies it."""

    def send(self, place: Place, frame: bytes) -> None:
        """Sends a frame to the place's client alone."""

    def schedule_acks(self) -> None:
        """Calls :meth:`Place.send_ack` of all of ``acks_due`` soon."""


def goodbye(seat: nodes.Seated | nodes.Resumed, *, left: bool) -> nodes.Leave | nodes.Absent:
    """The item that gives up ``seat``, if its client has ``left``, or reports its socket lost."""
    if left:
        return nodes.Leave(seat.room, seat.player, seat.session, seat.secret)
    return nodes.Absent(seat.room, seat.player, seat.session)


class Place:
    """One client's place; the game node ignores what comes with an older ``session_number``."""

    __slots__ = (
        "_caught_up_at",
        "_sent_ack",
        "ack_due",
        "can_move",
        "confirmed",
        "leave_pending",
        "link",
        "output",
        "player",
        "relay",
        "replayed_seq",
        "room",
        "secret",
        "session",
        "session_number",
        "status",
        "survives",
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
        self.room = relay.room
        self.session_number = news.session
        self.secret = news.secret
        self.session = session
        self.output = session.connection.output
        """The client's stream; here, since each delivery needs it."""
        self.status = PlaceStatus.LIVE
        self.survives = news.survives
        """Whether the room goes on at another game node if its own is gone."""
        self.can_move = news.can_move
        """Whether its game node may give the room to another one."""
        self.window = window
        self.confirmed = False
        """Whether the client has shown that it has its ticket."""
        self.leave_pending = False
        """The client has left, but the room does not have all inputs that came before."""
        self.ack_due = False
        """Whether the client is to get an ack."""
        self._sent_ack = window.acked
        self.replayed_seq = news.seq
        """The number of the last message that the client had before any live one."""
        self._caught_up_at = relay.seq

    @property
    def owner(self) -> Incarnation:
        """The game process that has the room, as far as is known here."""
        return self.relay.owner

    @property
    def seen(self) -> int:
        """The number of the room's last message that the client has, or that was for others only.

        Missed messages come before any live one. So once the room has come further on this link,
        the place has too, and a fan-out need not write to each place. But the resume of another
        player who has seen less than was replayed here brings the room on as well.
        """
        caught_up = self.relay.seq > self._caught_up_at and self.status is PlaceStatus.LIVE
        return max(self.replayed_seq, self.relay.seq) if caught_up else self.replayed_seq

    # From the session.

    def say(self, n: int, body: bytes) -> bool:
        """Passes an input on if it is the next, and keeps it until the room has it; returns whether
        it is.
        """
        if not self.window.take(n, body):
            return False
        if self.status is PlaceStatus.LIVE:
            self.link.send(nodes.Say(self.room, self.player, self.session_number, n, body))
        return True

    def confirm(self) -> None:
        """The client has its ticket, so the previous ticket is void: the room is told."""
        self.confirmed = True
        if self.status is PlaceStatus.LIVE:
            confirm = nodes.Confirm(self.room, self.player, self.session_number)
            self.link.send(confirm, pressing=False)

    def leave(self, *, at_once: bool = False) -> None:
        """Gives the seat up once the room has all inputs (mostly, that is now), or ``at_once``.

        Otherwise the leave would overtake inputs that a full inbox refused, or that were lost with
        a link. The client gets its ``ended`` as soon as the seat is given up.
        """
        if at_once or self.window.empty:
            self.send_ack()
            self.remove(PlaceStatus.LEFT, tell=True)
            self.session.ended(self.room, EndReason.LEFT)
        else:
            self.leave_pending = True
            self.window.shut()

    def blocked_too_long(self) -> None:
        """The window was full for ``blocked_seconds``: closes with 4101, or sends a pending leave.

        A leave that is still unread is heard after the close. A suspended place is not the client's
        fault, and is attached, moved or lost before long.
        """
        if self.status is PlaceStatus.SUSPENDED:
            return
        if self.leave_pending:
            self.leave(at_once=True)
        else:
            reason = "more than the room takes"
            self.session.connection.close_unread(Close.TOO_MANY_MESSAGES, reason)

    def socket_closed(self, *, moved: bool) -> None:
        """The socket is gone, and the place was not taken over.

        A pending leave is sent now, or the seat would wait in vain. But a client that was
        ``moved`` comes back, and sends again the inputs that the room lacks, and the leave.
        """
        if self.leave_pending and not moved:
            self.remove(PlaceStatus.LEFT, tell=True)
        else:
            self.remove(PlaceStatus.OVER, tell=True)

    # From the room.

    def acked(self, n: int) -> None:
        """The room has every input up to ``n``; the client gets an ack soon, or now if many are."""
        window = self.window
        was_full = window.full
        if not window.ack(n):
            return
        if self.leave_pending and window.empty:
            self.leave()
            return
        if was_full and not window.full:
            self.session.wake()
        if window.acked - self._sent_ack >= window.inputs_max // 4:
            self.send_ack()
        elif not self.ack_due:
            self.ack_due = True
            relay = self.relay
            relay.acks_due.append(self)
            if not relay.acks_scheduled:
                relay.schedule_acks()

    def send_ack(self) -> None:
        """Sends the client an ack, if the room has more inputs than the last one said."""
        self.ack_due = False
        acked = self.window.acked
        if self._sent_ack < acked:
            self._sent_ack = acked
            self.relay.send(self, text_frame(frames.ack(acked)))

    def resend(self, n: int) -> None:
        """Sends all inputs from ``n`` on to the room once more."""
        for number, body in self.window.unacked_from(n):
            self.link.send(nodes.Say(self.room, self.player, self.session_number, number, body))

    def end(self, reason: EndReason, result: bytes = b"") -> None:
        """The room, or the node, has ended the place."""
        self.send_ack()
        self.remove(PlaceStatus.OVER)
        self.session.ended(self.room, reason, result)

    def taken_over(self) -> None:
        """A newer socket has the seat; only the older client need know."""
        self.remove(PlaceStatus.OVER)
        self.session.lose(Close.TAKEN_OVER)

    def seat_gone(self, notify: Callable[[], None]) -> bool:
        """The room or the seat has ended, and with it a leave that waited.

        Any other client is told by ``notify``; returns whether it was.
        """
        if self.leave_pending:
            self.end(EndReason.LEFT)
            return False
        self.remove(PlaceStatus.OVER)
        notify()
        return True

    # From the link.

    def reattach(self, link: Link, item: nodes.Resumed) -> bool:
        """The room knows the suspended place by another link and number now.

        Returns False if that was the end of a place with a pending leave.
        """
        self.link = link
        self.session_number = item.session
        self.survives = item.survives
        self.can_move = item.can_move
        self.status = PlaceStatus.LIVE
        self.replayed_seq = item.seq
        self._caught_up_at = self.relay.seq
        self.relay.resume(self)
        if self.confirmed:  # the confirmation may have been lost with the previous link
            self.confirm()
        self.acked(item.n)
        self.resend(item.n + 1)
        self.session.wake()
        return self.status is PlaceStatus.LIVE

    def remove(self, status: PlaceStatus, *, tell: bool = False) -> None:
        """Takes the place out of its room here; may ``tell`` the room so, if the link stands."""
        live = self.status is PlaceStatus.LIVE
        self.status = status
        self.ack_due = False
        self.relay.remove(self)
        if not (live and tell):
            return
        if status is PlaceStatus.LEFT:
            leave = leave_of(self)
            self.link.send(leave)
            self.relay.remember_leave(self.link, leave)
        else:
            self.link.send(nodes.Absent(self.room, self.player, self.session_number))


def leave_of(place: Place) -> nodes.Leave:
    """The item that gives the seat up, by whatever link."""
    return nodes.Leave(place.room, place.player, place.session_number, place.secret)
