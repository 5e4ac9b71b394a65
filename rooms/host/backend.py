"""The author's side of a running room: what a :class:`lastcall.author.Room` does in a node."""

from __future__ import annotations

from typing import Any

import msgspec
import trio

from lastcall.core.room.bans import Bans
from lastcall.errors import MessageTooBig, StateFailed, TooMuchAtOnce
from lastcall.host.changes import RoomChanges
from lastcall.host.room_state import RoomState
from lastcall.host.room_tasks import ROOM_TASKS
from lastcall.identity import Identity
from lastcall.ids import PlayerId
from lastcall.reasons import EndReason
from lastcall.wire import nodes

TURN_BYTES_MAX = 16 * 1024 * 1024
MESSAGE_COST_BYTES = 1024
"""A room may send this much before others run. Each message counts 1 KiB more: 16 000 small
ones, which take about 0.2 s, are enough for one to each of 10 000 seats."""


class Backend:
    """The :class:`lastcall.author.RoomBackend` of a running room."""

    __slots__ = (
        "_history",
        "_links",
        "_message_bytes",
        "_outbox",
        "_queued",
        "_room",
        "_roster",
        "_turn",
        "next_event",
    )

    def __init__(self, room: RoomState) -> None:
        self._room = room
        self._roster = room.roster
        self._links = room.roster.links
        self._history = room.history
        self._message_bytes = room.host.policy.message_bytes
        self._outbox = room.outbox
        self._turn = 0
        self._queued = 0
        self.next_event = room.inbox.next  # no method of its own, which costs each event 0.1 µs

    @property
    def players(self) -> tuple[PlayerId, ...]:
        """The players who have a seat, in the order of joining."""
        return self._roster.players

    @property
    def seconds_left(self) -> float | None:
        """Seconds to the cut, or None while no drain is under way."""
        cut_at = self._room.host.cut_at
        return None if cut_at is None else max(0.0, cut_at - trio.current_time())

    @property
    def moves(self) -> int:
        """How often the room has moved to another node."""
        return self._room.moves

    @property
    def state(self) -> Any:
        """The room's state; raises :class:`StateFailed` if its kind has none."""
        state = self._room.author_state
        if state is msgspec.UNSET:
            raise StateFailed(_no_state(self._room))
        return state

    @state.setter
    def state(self, state: Any) -> None:
        if self._room.codec.kind.state is None:
            raise StateFailed(_no_state(self._room))
        self._room.author_state = state

    async def commit(self) -> None:
        """The room rests here; lets others run."""
        await self._room.inbox.rest()

    def set_alarm(self, name: str, seconds: float, every: float) -> None:
        """The alarm is due in ``seconds``; nothing happens once the room's function is over."""
        if self._room.table is not None:
            self._room.host.alarms.set(self._room, name, seconds, every)

    def silence(self, name: str) -> None:
        """Removes the alarm ``name``, also one that is due and waits unread."""
        self._room.host.alarms.silence(self._room, name)

    def name_of(self, player: PlayerId) -> str:
        """The name the player gave, or an empty text."""
        seat = self._roster.find(player)
        return "" if seat is None else seat.name

    def identity_of(self, player: PlayerId) -> Identity | None:
        """The player's identity; None for an anonymous player, and for one without a seat."""
        seat = self._roster.find(player)
        return None if seat is None else seat.identity

    def broadcast(self, body: bytes) -> None:
        """Numbers and keeps a message to all; each link with a player gets one item."""
        self._check(body)
        outbox = self._outbox
        room = self._room
        message = nodes.Message(room.id, room.epoch, self._history.add(body, None), body)
        for link in self._links:
            outbox(link, message)

    def send(self, player: PlayerId, body: bytes) -> None:
        """Numbers and keeps a message to one player, if they have a seat."""
        self._check(body)
        if (seat := self._roster.find(player)) is not None:
            seq = self._history.add(body, player)
            if not seat.away:
                room = self._room
                self._outbox(seat.link, nodes.Message(room.id, room.epoch, seq, body, [player]))

    def _check(self, body: bytes) -> None:
        """Raises for a message that is too big, or one too many before others run."""
        size = len(body)
        if size > self._message_bytes:
            check_size(self._room, "message", body)
        cost = MESSAGE_COST_BYTES + size
        turn = ROOM_TASKS.turn
        self._queued = cost if self._turn != turn else self._queued + cost
        self._turn = turn
        if self._queued > TURN_BYTES_MAX:
            raise TooMuchAtOnce(
                f"this room has sent {TURN_BYTES_MAX // 2**20} MiB without letting others run: "
                "await trio.lowlevel.checkpoint() after each thousand messages"
            )

    def lock(self, *, locked: bool) -> None:
        """Closes the room to new players, or opens it again."""
        self._roster.locked = locked
        self._room.host.changed(self._room)

    def kick(self, player: PlayerId, ban_seconds: float = 0) -> None:
        """Ends one player's place; the room still reads their earlier inputs."""
        seat = self._roster.find(player)
        if seat is not None:
            room = self._room
            if ban_seconds:
                room.bans = room.bans or Bans()
                room.bans.add(seat, trio.current_time() + ban_seconds)
            room.release(seat, EndReason.KICKED)


def _no_state(room: RoomState) -> str:
    return f"rooms of the kind {room.kind!r} have no state: @room(…, state=Board) gives them one"


def check_size(room: RoomState, what: str, body: bytes) -> None:
    """Raises :class:`MessageTooBig` for a body over the policy's ``message_bytes``."""
    limit = room.host.policy.message_bytes
    if len(body) > limit:
        raise MessageTooBig(f"a {what} of {len(body)} bytes; the limit is {limit} bytes")


class SteppedBackend(Backend):
    """The :class:`lastcall.author.RoomBackend` of a surviving room, whose words wait for its rest.

    ``changes`` hears of all that the room's code says and does.
    """

    __slots__ = ("_changes",)

    def __init__(self, room: RoomState, changes: RoomChanges) -> None:
        super().__init__(room)
        self._changes = changes
        self._outbox = changes.words.put

    def set_alarm(self, name: str, seconds: float, every: float) -> None:
        """See :meth:`Backend.set_alarm`."""
        super().set_alarm(name, seconds, every)
        self._changes.act()

    def silence(self, name: str) -> None:
        """See :meth:`Backend.silence`."""
        super().silence(name)
        self._changes.act()

    def broadcast(self, body: bytes) -> None:
        """See :meth:`Backend.broadcast`."""
        super().broadcast(body)
        self._changes.act()

    def send(self, player: PlayerId, body: bytes) -> None:
        """See :meth:`Backend.send`."""
        super().send(player, body)
        self._changes.act()

    def _check(self, body: bytes) -> None:
        super()._check(body)
        if self._changes.words.too_many:
            raise TooMuchAtOnce(
                "16 MiB that this room has said wait until it rests and its standby has that: "
                "wait for the next event, or for `await table.commit()`, now and then"
            )

    def lock(self, *, locked: bool) -> None:
        """See :meth:`Backend.lock`."""
        super().lock(locked=locked)
        self._changes.act()

    def kick(self, player: PlayerId, ban_seconds: float = 0) -> None:
        """See :meth:`Backend.kick`."""
        self._changes.act()
        super().kick(player, ban_seconds)
