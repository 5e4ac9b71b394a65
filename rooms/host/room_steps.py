"""The steps of one surviving room: what has changed since the last one, and the words with it.

* A step is made when the room's function comes to rest, and when it commits: with the author's
  state, and the events in hand are done.
* A change by the host (seats, events that wait) is a step at the end of the request, or of the
  timer's turn, whether or not the room rests. If the room is in the middle of a step of its own,
  and has said or done anything in it, the host's change waits for the rest with it: else a player
  could hear of a message that may still be said in another way.
* Words wait for the step in which they were said. Without a change they wait for the last one.
* While the state cannot be encoded, words wait until no other node has an image, which lacks them.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import trio

from lastcall.core.room.image_copy import ImageCopy
from lastcall.core.room.roster import NOWHERE
from lastcall.errors import StateFailed
from lastcall.host.changes import RoomChanges
from lastcall.host.protector import Protector
from lastcall.host.room_state import RoomState, notify_blocked
from lastcall.host.step_fields import StepFields
from lastcall.host.stepped_inbox import SteppedInbox
from lastcall.host.words import Words
from lastcall.ids import LinkId, PlayerId, RoomId
from lastcall.wire import nodes
from lastcall.wire.images import EndImage, encode_image
from lastcall.wire.steps import LOST_STEP, RoomStep, encode_step


class RoomSteps:
    """The step log of one room. ``on_begin`` is called when the room has an image, and ``on_touch``
    when :meth:`make` should be, at the end of a turn.
    """

    __slots__ = (
        "_copy",
        "_failing",
        "_fields",
        "_finished",
        "_may_begin",
        "_n",
        "_on_begin",
        "_protector",
        "changes",
        "rests",
        "room",
    )

    def __init__(
        self,
        room: RoomState,
        protector: Protector,
        *,
        on_touch: Callable[[RoomSteps], None],
        on_begin: Callable[[RoomSteps], None],
    ) -> None:
        self.room = room
        self._protector = protector
        self._on_begin = on_begin
        self._may_begin = True
        words = Words(room.host.outbox)
        inbox = SteppedInbox(
            room.host.policy,
            room.roster,
            words,
            on_room=self._notify_blocked,
            on_step=self.rest,
            is_own=self._is_own_task,
        )
        self.changes = RoomChanges(inbox, words, partial(on_touch, self))
        self._fields = StepFields(room, self.changes)
        self._copy: ImageCopy | None = None
        """The room as its steps say it; None while it has no image."""
        self._n = 0
        """The number of the last step."""
        self._failing = False
        self._finished = trio.Event()
        self.rests = 0
        """How often the room has come to rest."""

    def _notify_blocked(self, player: PlayerId | None) -> None:
        notify_blocked(self.changes.say, self.room.id, self.room.roster, player)

    def _is_own_task(self) -> bool:
        table = self.room.table
        return table is not None and trio.lowlevel.current_task() is table.nursery.parent_task

    @property
    def acts(self) -> bool:
        """Whether words wait for the room's rest, and not for an answer."""
        return self.changes.acting and self.changes.words.open > 0

    def begin(self) -> None:
        """The room has an image from now on, if its state can be encoded."""
        image = self.room.host.author_states.attempt(self.room, self._fields.image)
        if image is not None:
            self._may_begin = False
            self._copy = ImageCopy(image, trio.current_time())
            self.changes.forget()
            self.changes.words.hold(0)
            self._on_begin(self)
            self._protector.opened(self.room.id, self.room.epoch)

    def rest(self) -> None:
        """The room's function has come to rest: what it had in hand is done."""
        self.changes.rest()
        self.rests += 1
        if self._may_begin:
            self.begin()
        self.make()

    def make(self) -> None:
        """Makes a step of all that has changed, unless that has to wait for the room's rest."""
        copy, words = self._copy, self.changes.words
        if self._waits_for_rest and copy is not None:
            return
        if self.changes.to_ack:
            self._ack()
        if copy is not None and (step := self._step(copy)) is not None:
            copy.apply(step, trio.current_time())
            data = encode_step(step)
            self._n = self._protector.step(self.room.id, data)
            words.seal(self._n, len(data))
        else:
            if self._failing and copy is not None and words.open:
                # no image elsewhere has this: the words wait until those images are given back
                self._n = self._protector.step(self.room.id, LOST_STEP)
            words.seal(self._n)

    async def end(self, end: EndImage) -> None:
        """The room's function is over: returns when its players may be told."""
        self.changes.over, self._may_begin = end, False
        self.rest()
        if self._copy is not None:
            self._protector.ended(self.room.id)
            await self._finished.wait()

    def finish(self) -> None:
        """The players may be told how the room has ended."""
        self._copy = None
        self.changes.words.let_go()
        self._finished.set()

    def drop(self) -> None:
        """The room goes on elsewhere: nobody hears any more of it from here."""
        self._copy, self._may_begin = None, False
        self.changes.words.drop()
        self._finished.set()

    def image(self) -> bytes | None:
        """The encoded image of the room, with all steps so far; None if it has none."""
        return None if self._copy is None else encode_image(self._copy.image(trio.current_time()))

    def _ack(self) -> None:
        room, changes = self.room, self.changes
        done = changes.inbox.progress.done
        by_link: dict[LinkId, list[tuple[RoomId, PlayerId, int]]] = {}
        for player in changes.to_ack:
            seat = room.roster.find(player)
            if seat is not None and seat.link != NOWHERE and (n := done(seat)):
                by_link.setdefault(seat.link, []).append((room.id, player, n))
        for link, acks in by_link.items():
            changes.words.put(link, nodes.Acks(acks))
        changes.to_ack.clear()

    @property
    def _waits_for_rest(self) -> bool:
        """Whether the room is in the middle of a step of its own, which the host's cannot pass."""
        changes = self.changes
        busy = changes.acting and not changes.inbox.rests and not self._failing
        return busy and changes.over is None

    def _step(self, copy: ImageCopy) -> RoomStep | None:
        """The changes since the last step; None if there are none, or while the state fails."""
        changes = self.changes
        if self._failing and not changes.inbox.rests and changes.over is None:
            return None
        try:
            fields = self._fields.fields(copy)
        except StateFailed as error:
            self.room.host.author_states.fail(self.room, error)
            self._set_failing(failing=True)
            return None
        if self._failing:
            self.room.state_failing = False
            self._set_failing(failing=False)
        changes.forget()
        return RoomStep(**fields) if fields else None

    def _set_failing(self, *, failing: bool) -> None:
        if failing != self._failing:
            self._failing = failing
            self._protector.failing(self.room.id, failing=failing)
