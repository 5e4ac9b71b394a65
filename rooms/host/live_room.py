"""One running room: what its author's function sees of the node, and the task that runs it.

Everything here is synchronous but :meth:`LiveRoom.run`, the room's one task.
"""

from __future__ import annotations

from typing import Any

import msgspec
import structlog
import trio

from lastcall.author import Room
from lastcall.errors import MessageTooBig
from lastcall.host.codec import KindCodec
from lastcall.host.players import Players, RoomHost
from lastcall.host.replies import EPOCH
from lastcall.ids import PlayerId, RoomId
from lastcall.reasons import EndReason
from lastcall.runtime.loop_lag import ROOM
from lastcall.wire import nodes

__all__ = ["LiveRoom"]


class LiveRoom(Players):
    """A running room; the :class:`lastcall.author.RoomBackend` of its author's :class:`Room`."""

    __slots__ = ("_options", "_scope", "cancelled_as", "next_event", "table")

    def __init__(
        self,
        house: RoomHost,
        served: KindCodec,
        *,
        room_id: RoomId,
        options: Any,
        raw_options: bytes,
        age: int,
    ) -> None:
        super().__init__(house, served, room_id=room_id, raw_options=raw_options, age=age)
        self._options = options
        self.next_event = self.inbox.next  # of RoomBackend; each step between costs every input
        self._scope = trio.CancelScope()
        self.cancelled_as = EndReason.CUT
        self.table: Room | None = None
        """What the author's function has in hand, while it runs."""

    def cancel(self, reason: EndReason) -> None:
        """Ends the room from outside; its ``finally`` blocks run. The first reason holds."""
        if not self._scope.cancel_called:
            self.cancelled_as = reason
            self._scope.cancel()
        self.close()

    def picture(self, player: PlayerId) -> bytes:
        """What the author's ``state_for`` draws, as JSON; empty if there is none, or it fails."""
        if self.table is None or self.table.state_for is None:
            return b""
        try:
            body = msgspec.json.encode(self.table.state_for(player))
            self._check_size("picture", body)
        except BaseException as error:  # noqa: BLE001 - an author's code may raise anything
            structlog.get_logger().error(
                "room.state_failed", room=self.id, kind=self.served.kind.name, exc_info=error
            )
            return b""
        return body

    # What the author asks: lastcall.author.RoomBackend

    @property
    def players(self) -> tuple[PlayerId, ...]:
        """Who has a seat, in the order of joining."""
        return self.roster.players

    @property
    def seconds_left(self) -> float | None:
        """Seconds to the cut, or None while no drain is under way."""
        cut_at = self._house.cut_at
        return None if cut_at is None else max(0.0, cut_at - trio.current_time())

    def name_of(self, player: PlayerId) -> str:
        """The name the player gave, or an empty text."""
        seat = self.roster.find(player)
        return "" if seat is None else seat.name

    def send(self, body: bytes, to: PlayerId | None) -> None:
        """Numbers and keeps a message; one item goes to each link that has players it is for."""
        self._check_size("message", body)
        outbox = self._house.outbox
        if to is None:
            self.seq += 1
            self.history.add(self.seq, body, None)
            message = nodes.Message(self.id, EPOCH, self.seq, body)
            for link in self.roster.links:
                outbox(link, message)
        elif (seat := self.roster.find(to)) is not None:
            self.seq += 1
            self.history.add(self.seq, body, to)
            if not seat.away:
                outbox(seat.link, nodes.Message(self.id, EPOCH, self.seq, body, [to]))

    def lock(self, *, locked: bool) -> None:
        """Closes the room to new players, or opens it again."""
        self.roster.locked = locked
        self._house.doors_changed(self)

    def kick(self, player: PlayerId) -> None:
        """Ends one player's place; what he has said before is still read."""
        seat = self.roster.find(player)
        if seat is not None:
            self._release(seat, EndReason.KICKED)

    # The room's task

    async def run(self) -> None:
        """Runs the author's function to its end, whatever that is, and tells the players.

        Whatever the author's code raises, ``KeyboardInterrupt`` too, ends this room and no other:
        only the cancellation of the host's own task passes.
        """
        ROOM.set((self.served.kind.name, self.id))
        reason, result = None, b""
        try:
            with self._scope:  # all in one coroutine: each one more costs every input 0.1 µs
                returned = None
                async with trio.open_nursery() as nursery:
                    self.table = self._laid(nursery)
                    try:
                        returned = await self.served.kind.function(self.table)
                    finally:
                        self.close()
                    nursery.cancel_scope.cancel()
                result = self._encoded(returned)
                reason = EndReason.FINISHED
        except BaseException as error:  # noqa: BLE001 - no room may end the node
            passing, crash = _parted(error)
            if crash is not None:
                reason = None if self._scope.cancel_called else EndReason.CRASHED
                self._house.crashed(self, crash)
            if passing is not None:
                raise passing from None
        finally:
            self._end(reason or self.cancelled_as, result)

    def _laid(self, nursery: trio.Nursery) -> Room:
        """What the author's function gets."""
        return Room(
            self,
            room_id=self.id,
            kind=self.served.kind,
            options=self._options,
            nursery=nursery,
        )

    def _encoded(self, result: Any) -> bytes:
        """What the author's function has returned, as JSON."""
        try:
            body = msgspec.json.encode(result)
        except Exception as error:  # an author's types may raise anything
            name = self.served.kind.name
            raise TypeError(f"the result of {name!r} cannot be JSON: {error}") from error
        self._check_size("result", body)
        return body

    def _end(self, reason: EndReason, result: bytes) -> None:
        self.close()
        self.table = None  # it knows us: a circle would wait for the garbage collector
        ended = nodes.Ended(self.id, EPOCH, reason, result)
        for link in self.roster.links:
            self._house.outbox(link, ended)
        self.record_end(reason, result)
        self._house.ended(self, reason, result)

    def _check_size(self, what: str, body: bytes) -> None:
        limit = self._house.policy.message_bytes
        if len(body) > limit:
            raise MessageTooBig(f"a {what} of {len(body)} bytes; the limit is {limit} bytes")


def _parted(error: BaseException) -> tuple[BaseException | None, BaseException | None]:
    """What must pass through the room, and what is a crash of it."""
    if isinstance(error, BaseExceptionGroup):
        return error.split(trio.Cancelled)
    return (error, None) if isinstance(error, trio.Cancelled) else (None, error)
