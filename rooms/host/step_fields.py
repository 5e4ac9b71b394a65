"""The changes of a surviving room since its last step: the fields of the next one."""

from __future__ import annotations

from typing import Any

import trio
from msgspec.structs import replace

from lastcall.core.room.image_copy import ImageCopy
from lastcall.core.room.roster import Seat
from lastcall.core.room.seat_images import capture_seat
from lastcall.host.images import capture, capture_alarms, capture_events
from lastcall.host.room_state import RoomState
from lastcall.host.stepped_inbox import SteppedInbox
from lastcall.ids import PlayerId
from lastcall.wire.images import EndImage, EventImage, Image, SeatImage


class StepFields:
    """The changes of one room."""

    __slots__ = ("_inbox", "_room", "alarms", "bans", "over", "seats", "worked")

    def __init__(self, room: RoomState, inbox: SteppedInbox) -> None:
        self._room = room
        self._inbox = inbox
        self.over: EndImage | None = None
        """How the room has ended, if it has."""
        self.seats: set[PlayerId] = set()
        """Of seats that were taken, have changed, or were freed."""
        self.worked: dict[PlayerId, None] = {}
        """Whose inputs were done."""
        self.alarms = self.bans = False
        """Whether these have changed."""

    def forget(self) -> None:
        """All changes are in a step."""
        self.seats.clear()
        self.worked.clear()
        self.alarms = self.bans = False

    def image(self, room: RoomState) -> Image:
        """The room's image as it is now; raises :class:`StateFailed`."""
        image = capture(room)
        seats = tuple(replace(seat, last_n=self._done_by(seat.player)) for seat in image.seats)
        return replace(image, seats=seats, events=self._events())

    def _done_by(self, player: PlayerId) -> int:
        seat = self._room.roster.find(player)
        return 0 if seat is None else self._inbox.progress.done(seat)

    def _events(self) -> tuple[EventImage, ...]:
        return tuple(capture_events(self._inbox.unfinished()))

    def fields(self, copy: ImageCopy) -> dict[str, Any]:
        """The fields of the step; raises :class:`StateFailed`."""
        room = self._room
        changes: dict[str, Any] = {}
        if self.over is None:
            self._add_state(copy, changes)
        elif copy.over is None:
            changes |= {"over": self.over, "events": ()}
        if room.history.seq != copy.seq:
            self._add_messages(copy, changes)
        if self.worked:
            find, done = room.roster.find, self._inbox.progress.done
            changes["done"] = {
                player: done(seat) for player in self.worked if (seat := find(player)) is not None
            }
        if self.seats:
            self._add_seats(copy, changes)
        if self.alarms or self.bans:
            self._add_times(changes)
        if room.started != copy.started:
            changes["started"] = room.started
        if room.roster.locked != copy.locked:
            changes["locked"] = room.roster.locked
        return changes

    def _add_state(self, copy: ImageCopy, changes: dict[str, Any]) -> None:
        room, inbox = self._room, self._inbox
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
        room, taken = self._room, self.seats
        if len(taken) > 1:
            seats = [seat for seat in room.roster if seat.player in taken]
        else:
            seats = [seat for player in taken if (seat := room.roster.find(player)) is not None]
        if seats:
            changes["seats"] = tuple(self._seat(seat) for seat in seats)
        freed = taken.difference(seat.player for seat in seats).intersection(copy.seats)
        if freed:
            changes["freed"] = tuple(sorted(freed))

    def _seat(self, seat: Seat) -> SeatImage:
        absence = self._room.host.disconnects.find(self._room, seat)
        return capture_seat(seat, absence, last_n=self._inbox.progress.done(seat))

    def _add_times(self, changes: dict[str, Any]) -> None:
        room, now = self._room, trio.current_time()
        if self.alarms:
            changes["alarms"] = capture_alarms(room.alarms, now)
        if self.bans:
            changes["bans"] = () if room.bans is None else room.bans.capture(now)
            changes["gone"] = () if room.gone is None else room.gone.capture(now)
