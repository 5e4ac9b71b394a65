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

import trio

from lastcall.core.room.image_copy import ImageCopy
from lastcall.core.room.roster import NOWHERE, Seat
from lastcall.errors import StateFailed
from lastcall.host.author_states import waiting_place
from lastcall.host.protector import Protector
from lastcall.host.room_state import RoomState
from lastcall.host.step_fields import StepFields
from lastcall.host.stepped_inbox import SteppedInbox
from lastcall.host.words import Words
from lastcall.ids import LinkId, PlayerId, RoomId
from lastcall.wire import nodes
from lastcall.wire.images import EndImage, encode_image
from lastcall.wire.steps import LOST_STEP, RoomStep, encode_step


class RoomSteps:
    """One room's steps. ``on_begin`` is called when it has an image, and ``on_touch`` when
    :meth:`make` should be, at the end of a turn.

    Of the methods that say what has changed, none makes a step.
    """

    __slots__ = (
        "_acting",
        "_copy",
        "_failing",
        "_fields",
        "_finished",
        "_may_begin",
        "_n",
        "_on_begin",
        "_on_touch",
        "_protector",
        "_room",
        "_to_ack",
        "inbox",
        "rests",
        "words",
    )

    def __init__(
        self,
        room: RoomState,
        protector: Protector,
        *,
        on_touch: Callable[[RoomSteps], None],
        on_begin: Callable[[RoomSteps], None],
    ) -> None:
        self._room = room
        self._protector = protector
        self._on_touch = on_touch
        self._on_begin = on_begin
        self._may_begin = True
        self.words = Words(room.host.outbox)
        self.inbox: SteppedInbox
        self._fields: StepFields
        self._copy: ImageCopy | None = None
        """The room as its steps say it; None while it has no image."""
        self._n = 0
        """The number of the last step."""
        self._acting = False
        """Whether the room has done or said something that is in no step."""
        self._to_ack: dict[PlayerId, None] = {}
        self._failing = False
        self._finished = trio.Event()
        self.rests = 0
        """How often the room has come to rest."""

    def open_inbox(self, on_room: Callable[[PlayerId | None], None]) -> SteppedInbox:
        """The room's inbox, which is made once."""
        self.inbox = SteppedInbox(
            self._room.host.policy,
            self._room.roster,
            self.words,
            on_room=on_room,
            on_step=self.rest,
            is_own=self._is_own_task,
        )
        self._fields = StepFields(self._room, self.inbox)
        return self.inbox

    @property
    def room(self) -> RoomState:
        """The room."""
        return self._room

    def _is_own_task(self) -> bool:
        table = self._room.table
        return table is not None and trio.lowlevel.current_task() is table.nursery.parent_task

    @property
    def acts(self) -> bool:
        """Whether words wait for the room's rest, and not for an answer."""
        return self._acting and self.words.open > 0

    def waiting_place(self) -> tuple[str, int]:
        """The file and the line where the room's function waits; an empty file if it does not."""
        table = self._room.table
        return waiting_place(None if table is None else table.nursery.parent_task)

    @property
    def full(self) -> bool:
        """Whether so many words wait that nobody may have a place now."""
        return self.words.full

    @property
    def too_many(self) -> bool:
        """Whether so many words wait that the room must say no more."""
        return self.words.too_many

    def done(self, seat: Seat) -> int:
        """The last input of the player that the room has done."""
        return self.inbox.progress.done(seat)

    @property
    def speak(self) -> Callable[[LinkId, nodes.Down], None]:
        """The outbox of the room's code, which says with :meth:`act` when it has said something."""
        return self.words.put

    def say(self, link: LinkId, item: nodes.Down) -> None:
        """The host says ``item`` for the room."""
        self.words.put(link, item)
        self._on_touch(self)

    # what has changed

    def act(self) -> None:
        """The room's code has said or done something."""
        if self.inbox.rests:  # one of its other tasks
            self._on_touch(self)
        else:
            self._acting = True

    def change_seat(self, seat: Seat) -> None:
        """The seat was taken or freed, or has changed."""
        self._fields.seats.add(seat.player)
        self._on_touch(self)

    def change_alarms(self) -> None:
        """The alarms are others; no step needs to be made for that alone."""
        self._fields.alarms = True

    def change_bans(self) -> None:
        """The bans, or the seats that were taken away, are others."""
        self._fields.bans = True
        self._on_touch(self)

    def renumber(self, seat: Seat) -> None:
        """The player's inputs count from 1 again."""
        self.inbox.progress.renumber(seat.player)

    def add(self, room: RoomId, seat: Seat) -> None:  # noqa: ARG002 - as PendingAcks.add
        """The room has accepted all inputs of ``seat`` up to the last; it is acked when done."""
        if self.inbox.progress.newest(seat.player) == seat.last_n:
            return
        self._to_ack[seat.player] = None
        self._fields.worked[seat.player] = None
        self._on_touch(self)

    # steps

    def begin(self) -> None:
        """The room has an image from now on, if its state can be encoded."""
        image = self._room.host.author_states.attempt(self._room, self._fields.image)
        if image is not None:
            self._may_begin = False
            self._copy = ImageCopy(image, trio.current_time())
            self._fields.forget()
            self.words.hold(0)
            self._on_begin(self)
            self._protector.opened(self._room.id, self._room.epoch)

    def rest(self) -> None:
        """The room's function has come to rest: what it had in hand is done."""
        if self.inbox.hand:
            done = self.inbox.finish_hand()
            self._fields.worked.update(dict.fromkeys(done))
            self._to_ack.update(dict.fromkeys(done))
        self._acting = False
        self.rests += 1
        if self._may_begin:
            self.begin()
        self.make()

    def make(self) -> None:
        """Makes a step of all that has changed, unless that has to wait for the room's rest."""
        copy = self._copy
        if self._waits_for_rest and copy is not None:
            return
        if self._to_ack:
            self._ack()
        if copy is not None and (step := self._step(copy)) is not None:
            copy.apply(step, trio.current_time())
            data = encode_step(step)
            self._n = self._protector.step(self._room.id, data)
            self.words.seal(self._n, len(data))
        else:
            if self._failing and copy is not None and self.words.open:
                # no image elsewhere has this: the words wait until those images are given back
                self._n = self._protector.step(self._room.id, LOST_STEP)
            self.words.seal(self._n)

    async def end(self, end: EndImage) -> None:
        """The room's function is over: returns when its players may be told."""
        self._fields.over, self._may_begin = end, False
        self.rest()
        if self._copy is not None:
            self._protector.ended(self._room.id)
            await self._finished.wait()

    def finish(self) -> None:
        """The players may be told how the room has ended."""
        self._copy = None
        self.words.let_go()
        self._finished.set()

    def drop(self) -> None:
        """The room goes on elsewhere: nobody hears any more of it from here."""
        self._copy, self._may_begin = None, False
        self.words.drop()
        self._finished.set()

    def image(self) -> bytes | None:
        """The encoded image of the room, with all steps so far; None if it has none."""
        return None if self._copy is None else encode_image(self._copy.image(trio.current_time()))

    def _ack(self) -> None:
        room, done = self._room, self.inbox.progress.done
        by_link: dict[LinkId, list[tuple[RoomId, PlayerId, int]]] = {}
        for player in self._to_ack:
            seat = room.roster.find(player)
            if seat is not None and seat.link != NOWHERE and (n := done(seat)):
                by_link.setdefault(seat.link, []).append((room.id, player, n))
        for link, acks in by_link.items():
            self.words.put(link, nodes.Acks(acks))
        self._to_ack.clear()

    @property
    def _waits_for_rest(self) -> bool:
        """Whether the room is in the middle of a step of its own, which the host's cannot pass."""
        return (
            self._acting
            and not self.inbox.rests
            and not self._failing
            and self._fields.over is None
        )

    def _step(self, copy: ImageCopy) -> RoomStep | None:
        """The changes since the last step; None if there are none, or while the state fails."""
        if self._failing and not self.inbox.rests and self._fields.over is None:
            return None
        try:
            changes = self._fields.fields(copy)
        except StateFailed as error:
            self._room.host.author_states.fail(self._room, error)
            self._set_failing(failing=True)
            return None
        if self._failing:
            self._room.state_failing = False
            self._set_failing(failing=False)
        self._fields.forget()
        return RoomStep(**changes) if changes else None

    def _set_failing(self, *, failing: bool) -> None:
        if failing != self._failing:
            self._failing = failing
            self._protector.failing(self._room.id, failing=failing)
