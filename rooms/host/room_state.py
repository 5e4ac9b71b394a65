"""The state that the parts of one running room share: its seats, messages, inbox and phase.

A room is *closed* once its function has returned or is being cancelled: no new player gets a seat,
but the players in it may still resume.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

import msgspec
import trio

from lastcall.author import Room
from lastcall.core.room.alarms import Alarms
from lastcall.core.room.bans import Bans
from lastcall.core.room.disconnects import Step
from lastcall.core.room.ended_rooms import EndedRoom
from lastcall.core.room.former_places import FormerPlaces
from lastcall.core.room.gone_seats import GoneSeat, GoneSeats
from lastcall.core.room.history import History
from lastcall.core.room.roster import Roster, Seat, to_notify
from lastcall.events import Away, Left
from lastcall.host.alarm_timer import AlarmTimer
from lastcall.host.author_states import AuthorStates
from lastcall.host.changes import Steps
from lastcall.host.codec import KindCodec
from lastcall.host.disconnect_timer import DisconnectTimer
from lastcall.host.inbox import Inbox
from lastcall.host.limits import RoomLimits
from lastcall.host.pending_acks import Acks, PendingAcks
from lastcall.host.seat_binding import SeatBinding
from lastcall.host.takeover_timer import TakeoverTimer
from lastcall.ids import KindName, LinkId, PlayerId, RoomId
from lastcall.kind import Kind
from lastcall.policy import RoomPolicy
from lastcall.reasons import EndReason, ErrorCode
from lastcall.wire import nodes
from lastcall.wire.images import EndImage


class RoomHost(Protocol):
    """The host as a room needs it: :class:`lastcall.host.running_rooms.RunningRooms`."""

    outbox: Callable[[LinkId, nodes.Down], None]
    policy: RoomPolicy
    cut_at: float | None
    disconnects: DisconnectTimer
    takeovers: TakeoverTimer
    alarms: AlarmTimer
    author_states: AuthorStates
    acks: PendingAcks
    limits: RoomLimits
    former_places: FormerPlaces
    binding: SeatBinding
    on_crash: Callable[[RoomState, BaseException], None]

    def protect(self, room: RoomState) -> Steps | None:
        """Makes the steps of ``room`` from now on, if it survives its node."""

    def changed(self, room: RoomState) -> None:
        """The room's players or its free seats have changed."""

    def released(self, room: RoomState, seat: Seat) -> None:
        """A seat of a running room is free again."""

    def forget_key(self, room: RoomState, seat: Seat) -> None:
        """A join with the seat's key may get another seat from now on."""

    def places_ended(self, room: RoomState, ended: EndedRoom) -> None:
        """The room's places are over: ``ended`` has its seats and its messages."""

    def ended(self, room: RoomState, reason: EndReason, result: bytes) -> None:
        """The room is over, and its players are told; ``result`` is JSON, or empty."""


class RoomState:
    """The state of one running room: the ``age``-th of its host, and ``private`` if no join by kind
    finds it.
    """

    __slots__ = (
        "acks",
        "age",
        "alarms",
        "author_state",
        "bans",
        "changes",
        "closed",
        "codec",
        "epoch",
        "gone",
        "history",
        "host",
        "id",
        "inbox",
        "moves",
        "opened_at",
        "outbox",
        "over",
        "private",
        "raw_options",
        "regrouped",
        "roster",
        "started",
        "state_failing",
        "steps",
        "table",
    )

    def __init__(
        self,
        host: RoomHost,
        codec: KindCodec,
        *,
        room_id: RoomId,
        raw_options: bytes,
        age: int,
        private: bool,
    ) -> None:
        self.host = host
        self.codec = codec
        self.id = room_id
        self.epoch = self.moves = 0
        """``epoch`` numbers the line of history that began when it came to this node; ``moves``
        counts its moves to another node."""
        self.author_state: Any = msgspec.UNSET
        """The value of ``table.state``; unset before the first call, and for a kind without."""
        self.state_failing = False
        """Whether the state could not be encoded when it was last tried."""
        self.age, self.private = age, private
        self.opened_at = trio.current_time()
        self.roster = Roster(codec.kind.seats, one_seat_each=codec.kind.one_seat_each)
        self.history = _new_history(codec.kind, host.policy)
        self.steps = steps = host.protect(self)
        self.changes = changes = None if steps is None else steps.changes
        """The log of a surviving room, and what its next step has; None for any other."""
        self.outbox = host.outbox if changes is None else changes.say
        """Where all goes that the players are told."""
        self.acks: Acks = host.acks if changes is None else changes
        self.inbox = self._new_inbox() if changes is None else changes.inbox
        self.alarms: Alarms | None = None
        self.bans: Bans | None = None
        self.gone: GoneSeats | None = None
        """Seats that were taken away. Most rooms have none of these three, which are None then."""
        self.table: Room | None = None
        """The argument of the author's function, while that runs."""
        self.started = self.closed = False
        """``started``: whether ``starts`` players have ever had seats at the same time."""
        self.over: EndImage | None = None
        """Of a room from an image, how its function has ended there."""
        self.raw_options = raw_options
        """For the room on another node; empty once one that cannot move has started."""
        self.regrouped = False
        """Whether the players were told to join another room; then its end is not told to them."""

    def _new_inbox(self) -> Inbox:
        policy = self.host.policy
        notify = partial(notify_blocked, self.outbox, self.id, self.roster)
        return Inbox(policy.inbox_events, policy.share_events, notify)

    @property
    def kind(self) -> KindName:
        """The name of the room's kind."""
        return self.codec.kind.name

    @property
    def free(self) -> int:
        """How many players could join by kind now."""
        if self.private or self.closed or self.roster.refusal is not None:
            return 0
        return self.roster.seats_max - len(self.roster)

    @property
    def resume_seconds(self) -> float:
        """How long the seat of a player who is away is kept."""
        seconds = self.codec.kind.resume_seconds
        return self.host.policy.resume_seconds if seconds is None else seconds

    def bars(self, join: nodes.Join) -> bool:
        """Whether the player who joins was banned."""
        return self.bans is not None and self.bans.hold(
            join.identity, join.key, trio.current_time()
        )

    def refusal(self, join: nodes.Join) -> ErrorCode | None:
        """Why nobody, or not this player, may join any more, even if there is a free seat."""
        if self.closed:
            return ErrorCode.NO_SUCH_ROOM
        return ErrorCode.LOCKED if self.bars(join) else None

    def close(self) -> None:
        """From now on no new player gets a seat."""
        if not self.closed:
            self.closed = True
            self.host.changed(self)

    def send_out(self, seat: Seat, reason: str, session: int = 0) -> None:
        """Tells the seat's socket that its place is over."""
        self.outbox(seat.link, nodes.Out(self.id, seat.player, reason, session))

    def release(self, seat: Seat, reason: EndReason | None) -> None:
        """Frees the seat; its player gets ``reason``. A kicked one who does not hear of it gets it
        when they resume; one who leaves knows.
        """
        if seat.away:
            self.host.disconnects.end(self, seat)
        elif reason is not None:
            self.send_out(seat, reason)
        if reason is EndReason.KICKED:
            until = trio.current_time() + self.resume_seconds
            self.gone = self.gone or GoneSeats()
            self.gone.add(GoneSeat(seat, reason, self.history.seq, until))
            if self.changes is not None:
                self.changes.change_bans()
        self.roster.release(seat.player)
        self.inbox.put_control(Left(seat.player))
        self.seat_changed(seat)
        self.host.released(self, seat)

    def disconnect_step(self, seat: Seat, step: Step) -> None:
        """A player has been away for long enough: the room is told, or the seat becomes free."""
        if step is Step.NOTICED:
            self.inbox.put_control(Away(seat.player))
            self.seat_changed(seat)
        else:
            self.release(seat, None)

    def seat_changed(self, seat: Seat) -> None:
        """The seat was taken or freed, or has changed, or an event about its player waits."""
        if self.changes is not None:
            self.changes.change_seat(seat)

    @property
    def is_full(self) -> bool:
        """Whether nobody may have a place now, since too many words of the room wait."""
        return self.changes is not None and self.changes.words.full

    @property
    def survives(self) -> bool:
        """Whether the room goes on elsewhere if this node is lost."""
        return self.changes is not None

    @property
    def can_move(self) -> bool:
        """Whether this node may give the room to another one."""
        return self.codec.kind.can_move

    def done(self, seat: Seat) -> int:
        """The last input of which the player may know that it counts."""
        changes = self.changes
        return seat.last_n if changes is None else changes.inbox.progress.done(seat)


def _new_history(kind: Kind, policy: RoomPolicy) -> History:
    """Its bounds are the kind's, or else the node's."""
    messages, size = kind.history_messages, kind.history_bytes
    return History(
        messages_max=policy.history_messages if messages is None else messages,
        bytes_max=policy.history_bytes if size is None else size,
    )


def keep_seconds(room: RoomState, seat: Seat) -> float:
    """How long the seat is kept while its player is away."""
    seconds = room.resume_seconds
    known = seat.confirmed or seat.former
    if room.host.cut_at is not None or not known:
        seconds = min(seconds, room.host.policy.drain_grace_seconds)
    return seconds


def notify_blocked(
    outbox: Callable[[LinkId, nodes.Down], None],
    room: RoomId,
    roster: Roster,
    player: PlayerId | None = None,
) -> None:
    """Tells the blocked players, or ``player`` alone, what to send again."""
    for seat, n in to_notify(roster, player):
        outbox(seat.link, nodes.Wanted(room, seat.player, n))
