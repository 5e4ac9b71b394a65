"""The surviving rooms of a host: their steps, and what the node's protector says about them."""

from __future__ import annotations

import trio

from lastcall.host.author_states import waiting_place
from lastcall.host.protector import Protector
from lastcall.host.room_state import RoomState
from lastcall.host.room_steps import RoomSteps
from lastcall.ids import LinkId, RoomId
from lastcall.runtime.rated_log import RatedLog
from lastcall.runtime.ticks import next_tick
from lastcall.wire import nodes

LOOK_SECONDS = 0.5
SLOW_LOOKS = 3
"""A room whose words have waited for its rest at this many looks is logged: after 1 to 1.5 s."""


class ProtectedRooms:
    """The rooms of the kinds that survive, on a node that has a protector.

    The protector calls :meth:`leave`, :meth:`image` and :meth:`finished`; and it calls
    :meth:`lastcall.host.moves.Moves.drop` and :meth:`lastcall.host.moves.Moves.promote`. A room
    that is unknown here is ignored.
    """

    def __init__(self, protector: Protector | None) -> None:
        self._protector = protector
        self._by_id: dict[RoomId, RoomSteps] = {}
        self._touched: dict[RoomSteps, None] = {}
        self._wake = trio.Event()
        self._slow = RatedLog("room.slow_commit")

    def __len__(self) -> int:
        return len(self._by_id)

    def protect(self, room: RoomState) -> RoomSteps | None:
        """Makes the steps of ``room`` from now on; None if it does not survive."""
        if self._protector is None or not room.codec.kind.survives:
            return None
        return RoomSteps(room, self._protector, on_touch=self._touch, on_begin=self._begun)

    def remove(self, room: RoomId) -> RoomSteps | None:
        """The room runs no more."""
        steps = self._by_id.pop(room, None)
        if steps is not None:
            self._touched.pop(steps, None)
        return steps

    def leave(self, room: RoomId, upto: int) -> None:
        """The words of the room's steps up to ``upto`` leave: its standby has them."""
        if (steps := self._by_id.get(room)) is not None:
            steps.changes.words.leave(upto)

    def image(self, room: RoomId) -> bytes | None:
        """The room's encoded image, with all steps that it has made; None if it has none."""
        steps = self._by_id.get(room)
        return None if steps is None else steps.image()

    def finished(self, room: RoomId) -> None:
        """A room that has ended: its last words leave, and its players are told."""
        if (steps := self._by_id.get(room)) is not None:
            steps.finish()

    def asked(self, link: LinkId, item: nodes.Up, room: RoomId) -> bool:
        """Whether ``item`` was answered, since it is about a room whose image is kept here."""
        return self._protector is not None and self._protector.asked(link, item, room)

    def voted(self, link: LinkId, vote: nodes.Vote) -> None:
        """An api node has answered; without a protector, it was not asked."""
        if self._protector is not None:
            self._protector.voted(link, vote)

    def flush(self) -> None:
        """Makes the steps of the rooms that have changed; called after each request."""
        while self._touched:
            touched, self._touched = self._touched, {}
            for steps in touched:
                steps.make()

    async def watch(self) -> None:
        """Until cancelled: makes the steps of rooms that timers or other tasks have changed."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._find_slow)
            while True:
                await self._wake.wait()
                self._wake = trio.Event()
                self.flush()

    def _begun(self, steps: RoomSteps) -> None:
        self._by_id[steps.room.id] = steps

    def _touch(self, steps: RoomSteps) -> None:
        self._touched[steps] = None
        self._wake.set()

    async def _find_slow(self) -> None:
        """Logs each step that holds its words back for too long, once."""
        acting: dict[tuple[RoomSteps, int], int] = {}
        """How often each step was seen that goes on."""
        while True:
            await next_tick(LOOK_SECONDS)
            now = [(each, each.rests) for each in self._by_id.values() if each.acts]
            acting = {each: acting.get(each, 0) + 1 for each in now}
            for steps in [steps for (steps, _), looks in acting.items() if looks == SLOW_LOOKS]:
                room = steps.room
                task = None if room.table is None else room.table.nursery.parent_task
                file, line = waiting_place(task)
                self._slow.warning(kind=room.kind, room=room.id, file=file, line=line)
