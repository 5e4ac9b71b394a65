"""One running room: its parts, its end, and the task that runs its author's function.

Everything here is synchronous but :meth:`LiveRoom.run`, the room's task in the host.
"""

from __future__ import annotations

from typing import Any

import msgspec
import trio

from lastcall.author import Room
from lastcall.core.room.ended_rooms import EndedRoom
from lastcall.events import Draining
from lastcall.host.backend import Backend, SteppedBackend, check_size
from lastcall.host.codec import KindCodec
from lastcall.host.inputs import Inputs
from lastcall.host.players import Players
from lastcall.host.replies import batches_by_link, regroup
from lastcall.host.room_state import RoomHost, RoomState
from lastcall.host.room_tasks import enter_room, renderable
from lastcall.ids import RoomId
from lastcall.reasons import EndReason
from lastcall.runtime.cancellation import is_own_cancellation
from lastcall.wire import nodes
from lastcall.wire.images import EndImage
from lastcall.wire.values import encode_value


class LiveRoom:
    """A running room. ``raw_options`` are the JSON that ``options`` were decoded from."""

    __slots__ = (
        "_cancelled_as",
        "_crashes",
        "_departed",
        "_options",
        "_result",
        "_scope",
        "_task",
        "inputs",
        "players",
        "state",
    )

    def __init__(
        self,
        host: RoomHost,
        codec: KindCodec,
        *,
        room_id: RoomId,
        options: Any,
        raw_options: bytes,
        age: int,
        private: bool,
    ) -> None:
        self.state = RoomState(
            host, codec, room_id=room_id, raw_options=raw_options, age=age, private=private
        )
        self.players = Players(self.state)
        self.inputs = Inputs(self.state)
        self._options = options
        self._scope = trio.CancelScope()
        self._cancelled_as: EndReason | None = None
        self._crashes: list[BaseException] = []
        self._result = b""
        """As JSON; empty until the author's function has returned."""
        self._task: trio.lowlevel.Task | None = None
        self._departed: trio.Event | None = None
        """Of a room that has left this host: set when its tasks have ended."""

    @property
    def task(self) -> trio.lowlevel.Task | None:
        """The task of the author's function, while that runs."""
        return self._task

    def depart(self, host: RoomHost) -> trio.Event:
        """The room goes on elsewhere, from its image: cancels its function, and ends without a word
        to anybody. ``host`` hears what its ``finally`` blocks still do. The event is set at the end
        of its tasks.
        """
        self._departed = trio.Event()
        for seat in self.state.roster:
            self.state.roster.lose(seat, trio.current_time())
        self.state.host = host
        self._scope.cancel()
        return self._departed

    def cancel(self, reason: EndReason) -> None:
        """Ends the room from outside; its ``finally`` blocks run. The first reason holds."""
        if self._cancelled_as is None:
            self._cancelled_as = reason
            self._scope.cancel()
        self.state.close()

    def warn(self, seconds: float) -> None:
        """The node drains: the author's function gets the event, unless the room is given up."""
        if not self.give_up():
            self.state.inbox.put_control(Draining(seconds))

    def give_up(self) -> bool:
        """The node drains: ends a room that is not worth the wait; returns whether it has ended.

        A room without players is given up. So is one that never started: its players are told to
        join another room, because no opponent can join them here. One that survives moves with
        them to the node that has its copy, and in a private one they wait for somebody who has its
        id, and may still join.
        """
        state = self.state
        if not state.roster:
            self.cancel(EndReason.ABANDONED)
        elif not (state.started or state.closed or state.private or state.changes is not None):
            state.regrouped = True
            for link, seats in batches_by_link(state.roster):
                state.outbox(link, regroup(state, seats, state.raw_options))
            self._end_places(EndReason.ABANDONED)
            self.cancel(EndReason.ABANDONED)
        return self._cancelled_as is not None

    async def run(self) -> None:
        """Runs the author's function to its end, whatever that is, and tells the players.

        The function has a task of its own, since it may leave that task's nurseries and scopes in
        disorder: that ends this room and no other. Only the cancellation of the host's own task
        passes.
        """
        if self.state.over is None:
            try:
                with self._scope:
                    async with trio.open_nursery() as border:
                        border.start_soon(self._play, name=self.state.id)
            except BaseException as error:  # noqa: BLE001 - no room may end the node
                self._ended_by(error)
        end = self._close()
        if self.state.steps is not None and self._departed is None:
            await trio.lowlevel.checkpoint_if_cancelled()  # the node ends, and the room need not
            await self.state.steps.end(end)
        self._end(EndReason(end.reason), end.result)
        await trio.lowlevel.checkpoint_if_cancelled()

    async def _play(self) -> None:
        """The task of the author's function, around the nursery that the author sees."""
        state, kind = self.state, self.state.codec.kind
        self._task = trio.lowlevel.current_task()
        enter_room(kind.name, state.id, self._crash)
        try:
            async with trio.open_nursery() as nursery:
                changes = state.changes
                table: Room = Room(
                    Backend(state) if changes is None else SteppedBackend(state, changes),
                    room_id=state.id,
                    kind=kind,
                    options=self._options,
                    nursery=nursery,
                )
                state.table = table
                try:  # all in one coroutine: each one more costs every input 0.1 µs
                    if state.author_state is msgspec.UNSET:
                        state.author_state = state.codec.fresh_state(self._options)
                    returned = await kind.function(table)
                    self._result = self._encoded(returned)
                except BaseException as error:  # noqa: BLE001 - an author's code may raise anything
                    self._ended_by(error)
                    if nursery.cancel_scope.cancel_called and not self._scope.cancel_called:
                        self._result = b"null"  # the author has cancelled it: that is a return
                finally:
                    state.close()
                    nursery.cancel_scope.cancel()
        except BaseException as error:  # noqa: BLE001 - of the author's tasks
            self._ended_by(error)

    def _ended_by(self, error: BaseException) -> None:
        """Notes an error as a crash, unless it is the cancellation of the current task."""
        if not is_own_cancellation(error):
            self._crashes.append(renderable(error))

    def _crash(self, error: BaseException) -> None:
        """Ends the room for an error of a task that its nursery does not wait for."""
        self._crashes.append(error)
        self._scope.cancel()

    def _encoded(self, result: Any) -> bytes:
        """The result of the author's function, as JSON."""
        try:
            body = encode_value(result)
        except Exception as error:  # an author's types may raise anything
            kind = self.state.kind
            raise TypeError(f"the result of {kind!r} cannot be JSON: {error}") from error
        check_size(self.state, "result", body)
        return body

    def _close(self) -> EndImage:
        """The room's function is over, and so is its code; returns how it has ended."""
        state = self.state
        self._task = None
        state.close()
        state.host.alarms.forget(state)
        if state.table is not None:
            state.table.state_for = None  # mostly a closure around the table itself
            state.table = None
        end = state.over or EndImage(*self._how_it_ended())
        while self._crashes:  # their tracebacks hold this room
            state.host.on_crash(state, self._crashes.pop(0))
        return end

    def _end(self, reason: EndReason, result: bytes) -> None:
        """The players are told, unless the room goes on elsewhere."""
        state = self.state
        if self._departed is not None:
            self._departed.set()
            return
        ended = nodes.Ended(state.id, state.epoch, reason, result)
        for link in state.roster.links:
            state.outbox(link, ended)
        self._end_places(reason, result)
        state.host.ended(state, reason, result)

    def _how_it_ended(self) -> tuple[EndReason, bytes]:
        """Why the room has ended, and its result, as JSON; empty unless it finished."""
        if self._crashes:
            return self._cancelled_as or EndReason.CRASHED, b""
        if self._result:
            return EndReason.FINISHED, self._result
        return self._cancelled_as or EndReason.CUT, b""

    def _end_places(self, reason: EndReason, result: bytes = b"") -> None:
        """The host has the seats and the messages from now on, for players who resume later."""
        state = self.state
        if state.roster.present < len(state.roster):
            for seat in state.roster:
                state.host.disconnects.end(state, seat)
        ended = EndedRoom(
            state.id,
            state.kind,
            state.epoch,
            roster=state.roster.move_out(),
            history=state.history.move_out(),
            reason=reason,
            result=result,
            ended_at=trio.current_time(),
            gone=state.gone,
            regroup=state.raw_options if state.regrouped else None,
        )
        state.host.places_ended(state, ended)
