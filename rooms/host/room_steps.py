"""The steps of one surviving room: what has changed since the last one, and the words with it.

* A step is made when the room's function comes to rest, and when it commits: with the author's
  state, and the events in hand are done.
* A change by the host (seats, events that wait) is a step at the end of the request, or of the
  timer's turn, whether or not the room rests. If the room is in the middle of a step of its own,
  and has said or done anything in it, the host's change waits for the rest with it: else a player
  could hear of a message that may still be said in another way.
* Words wait for the step in which they were said. Without a change they wait for the last one.
* If the state cannot be encoded there are no steps, and words leave at once, until it can again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import trio
from msgspec.structs import replace

from lastcall.core.room.image_copy import ImageCopy
from lastcall.core.room.roster import NOWHERE, Seat
from lastcall.core.room.seat_images import capture_seat
from lastcall.errors import StateFailed
from lastcall.host.author_states import waiting_place
from lastcall.host.images import capture, capture_alarms, capture_events
from lastcall.host.protector import Protector
from lastcall.host.room_state import RoomState
from lastcall.host.stepped_inbox import SteppedInbox
from lastcall.host.words import Words
from lastcall.ids import LinkId, PlayerId, RoomId
from lastcall.wire import nodes
from lastcall.wire.images import EndImage, EventImage, Image, SeatImage, encode_image
from lastcall.wire.steps import RoomStep, encode_step


class RoomSteps:
    """One room's steps. ``on_begin`` is called when it has an image, and ``on_touch`` when
    :meth:`make` should be, at the end of a turn.

    Of the methods that say what has changed, none makes a step.
    """

    __slots__ = (
        "_acting",
        "_alarms",
        "_bans",
        "_copy",
        "_failing",
        "_finished",
        "_may_begin",
        "_n",
        "_on_begin",
        "_on_touch",
        "_over",
        "_protector",
        "_room",
        "_seats",
        "_to_ack",
        "_worked",
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
        self._copy: ImageCopy | None = None
        """The room as its steps say it; None while it has no image."""
        self._n = 0
        """The number of the last step."""
        self._acting = False
        """Whether the room has done or said something that is in no step."""
        self._seats: set[PlayerId] = set()
        """Of seats that were taken, have changed, or were freed since the last step."""
        self._worked: set[PlayerId] = set()
        """Whose inputs were done since the last step."""
        self._to_ack: set[PlayerId] = set()
        self._alarms = self._bans = False
        """Whether these have changed since the last step."""
        self._failing = False
        self._over: EndImage | None = None
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
        )
        return self.inbox

    @property
    def room(self) -> RoomState:
        """The room."""
        return self._room

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
        self._seats.add(seat.player)
        self._on_touch(self)

    def change_alarms(self) -> None:
        """The alarms are others; no step needs to be made for that alone."""
        self._alarms = True

    def change_bans(self) -> None:
        """The bans, or the seats that were taken away, are others."""
        self._bans = True
        self._on_touch(self)

    def renumber(self, seat: Seat) -> None:
        """The player's inputs count from 1 again."""
        self.inbox.progress.renumber(seat.player)

    def add(self, room: RoomId, seat: Seat) -> None:  # noqa: ARG002 - as PendingAcks.add
        """The room has accepted all inputs of ``seat`` up to the last; it is acked when done."""
        if self.inbox.progress.newest(seat.player) == seat.last_n:
            return
        self._to_ack.add(seat.player)
        self._worked.add(seat.player)
        self._on_touch(self)

    # steps

    def begin(self) -> None:
        """The room has an image from now on, if its state can be encoded."""
        image = self._room.host.author_states.attempt(self._room, self._capture)
        if image is not None:
            self._may_begin = False
            self._copy = ImageCopy(image, trio.current_time())
            self._forget_changes()
            self.words.hold(0)
            self._on_begin(self)
            self._protector.opened(self._room.id, self._room.epoch)

    def rest(self) -> None:
        """The room's function has come to rest: what it had in hand is done."""
        if self.inbox.hand:
            done = self.inbox.finish_hand()
            self._worked.update(done)
            self._to_ack.update(done)
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
            self._n = self._protector.step(self._room.id, encode_step(step))
        self.words.seal(self._n)

    async def end(self, end: EndImage) -> None:
        """The room's function is over: returns when its players may be told."""
        self._over, self._may_begin = end, False
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

    def _capture(self, room: RoomState) -> Image:
        image = capture(room)
        seats = tuple(replace(seat, last_n=self._done_by(seat.player)) for seat in image.seats)
        return replace(image, seats=seats, events=self._events())

    def _done_by(self, player: PlayerId) -> int:
        seat = self._room.roster.find(player)
        return 0 if seat is None else self.done(seat)

    def _events(self) -> tuple[EventImage, ...]:
        return tuple(capture_events(self.inbox.unfinished()))

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
        return self._acting and not self.inbox.rests and not self._failing and self._over is None

    def _step(self, copy: ImageCopy) -> RoomStep | None:
        """The changes since the last step; None if there are none, or while the state fails."""
        if self._failing and not self.inbox.rests and self._over is None:
            return None
        try:
            changes = self._changes(copy, self._room)
        except StateFailed as error:
            self._room.host.author_states.fail(self._room, error)
            self._change_all(copy)
            self._set_failing(failing=True)
            return None
        if self._failing:
            self._room.state_failing = False
            self._set_failing(failing=False)
        self._forget_changes()
        return RoomStep(**changes) if changes else None

    def _set_failing(self, *, failing: bool) -> None:
        if failing != self._failing:
            self._failing = failing
            self._protector.failing(self._room.id, failing=failing)

    def _changes(self, copy: ImageCopy, room: RoomState) -> dict[str, Any]:
        """The fields of the step; raises :class:`StateFailed`."""
        changes: dict[str, Any] = {}
        if self._over is None:
            self._add_state(copy, changes)
        elif copy.over is None:
            changes |= {"over": self._over, "events": ()}
        if room.history.seq != copy.seq:
            self._add_messages(copy, changes)
        if self._worked:
            find, done = room.roster.find, self.inbox.progress.done
            changes["done"] = {
                player: done(seat) for player in self._worked if (seat := find(player)) is not None
            }
        if self._seats:
            self._add_seats(copy, changes)
        if self._alarms or self._bans:
            self._add_times(changes)
        if room.started != copy.started:
            changes["started"] = room.started
        if room.roster.locked != copy.locked:
            changes["locked"] = room.roster.locked
        return changes

    def _add_state(self, copy: ImageCopy, changes: dict[str, Any]) -> None:
        room, inbox = self._room, self.inbox
        if inbox.rests:
            state = room.codec.encode_state(room.author_state)
            if state != copy.state:
                changes["state"] = state
        if copy.events or inbox.hand or len(inbox):
            self._add_events(copy, changes)

    def _add_messages(self, copy: ImageCopy, changes: dict[str, Any]) -> None:
        history = self._room.history
        said = history.since(copy.seq)
        changes["said"] = said
        if not said or said[-1][0] != history.seq:
            changes["seq"] = history.seq
        if history.forgotten != copy.forgotten:
            changes["forgotten"] = history.forgotten

    def _add_events(self, copy: ImageCopy, changes: dict[str, Any]) -> None:
        events, before = self._events(), copy.events
        if events[: len(before)] != before:
            changes["events"] = events
        elif len(events) > len(before):
            changes["more_events"] = events[len(before) :]

    def _add_seats(self, copy: ImageCopy, changes: dict[str, Any]) -> None:
        room, taken = self._room, self._seats
        if len(taken) > 1:
            seats = [seat for seat in room.roster if seat.player in taken]
        else:
            seats = [seat for player in taken if (seat := room.roster.find(player)) is not None]
        if seats:
            changes["seats"] = tuple(self._seat(seat) for seat in seats)
        freed = taken.difference(seat.player for seat in seats).intersection(copy.seats)
        if freed:
            changes["freed"] = tuple(freed)

    def _seat(self, seat: Seat) -> SeatImage:
        absence = self._room.host.disconnects.find(self._room, seat)
        return capture_seat(seat, absence, last_n=self.done(seat))

    def _add_times(self, changes: dict[str, Any]) -> None:
        room, now = self._room, trio.current_time()
        if self._alarms:
            changes["alarms"] = capture_alarms(room.alarms, now)
        if self._bans:
            changes["bans"] = () if room.bans is None else room.bans.capture(now)
            changes["gone"] = () if room.gone is None else room.gone.capture(now)

    def _change_all(self, copy: ImageCopy) -> None:
        """The next step has to say everything again."""
        self._seats.update(copy.seats, self._room.roster.players)
        self._alarms = self._bans = True

    def _forget_changes(self) -> None:
        self._seats.clear()
        self._worked.clear()
        self._alarms = self._bans = False
