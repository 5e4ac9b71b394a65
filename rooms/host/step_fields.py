"""The fields of a surviving room's next step, and its first image."""

from __future__ import annotations

from typing import Any

import trio
from msgspec.structs import replace

from lastcall.core.room.image_copy import ImageCopy
from lastcall.core.room.roster import Seat
from lastcall.core.room.seat_images import capture_seat
from lastcall.host.changes import RoomChanges
from lastcall.host.images import capture, capture_alarms, capture_events
from lastcall.host.room_state import RoomState
from lastcall.ids import PlayerId
from lastcall.wire.images import EventImage, Image, SeatImage


class StepFields:
    """Reads from a room, and from its changes, what the next step has to say."""

    __slots__ = ("_changes", "_inbox", "_room")

    def __init__(self, room: RoomState, changes: RoomChanges) -> None:
        self._room = room
        self._changes = changes
        self._inbox = changes.inbox

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
        room, changes = self._room, self._changes
        fields: dict[str, Any] = {}
        if changes.over is None:
            self._add_state(copy, fields)
        elif copy.over is None:
            fields |= {"over": changes.over, "events": ()}
        if room.history.seq != copy.seq:
            self._add_messages(copy, fields)
        if changes.worked:
            find, done = room.roster.find, self._inbox.progress.done
            seats = ((player, find(player)) for player in changes.worked)
            fields["done"] = {player: done(seat) for player, seat in seats if seat is not None}
        if changes.seats:
            self._add_seats(copy, fields)
        if changes.alarms or changes.bans:
            self._add_times(fields)
        if room.started != copy.started:
            fields["started"] = room.started
        if room.roster.locked != copy.locked:
            fields["locked"] = room.roster.locked
        return fields

    def _add_state(self, copy: ImageCopy, fields: dict[str, Any]) -> None:
        room, inbox = self._room, self._inbox
        if inbox.rests:
            state = room.codec.encode_state(room.author_state)
            if state != copy.state:
                fields["state"] = state
        if copy.events or inbox.hand or len(inbox):
            self._add_events(copy, fields)

    def _add_messages(self, copy: ImageCopy, fields: dict[str, Any]) -> None:
        history = self._room.history
        said = history.since(copy.seq)
        fields["said"] = said
        if not said or said[-1][0] != history.seq:
            fields["seq"] = history.seq
        if history.forgotten != copy.forgotten:
            fields["forgotten"] = history.forgotten

    def _add_events(self, copy: ImageCopy, fields: dict[str, Any]) -> None:
        events, before = self._events(), copy.events
        if events[: len(before)] != before:
            fields["events"] = events
        elif len(events) > len(before):
            fields["more_events"] = events[len(before) :]

    def _add_seats(self, copy: ImageCopy, fields: dict[str, Any]) -> None:
        room, taken = self._room, self._changes.seats
        if len(taken) > 1:
            seats = [seat for seat in room.roster if seat.player in taken]
        else:
            seats = [seat for player in taken if (seat := room.roster.find(player)) is not None]
        if seats:
            fields["seats"] = tuple(self._seat(seat) for seat in seats)
        freed = taken.difference(seat.player for seat in seats).intersection(copy.seats)
        if freed:
            fields["freed"] = tuple(sorted(freed))

    def _seat(self, seat: Seat) -> SeatImage:
        absence = self._room.host.disconnects.find(self._room, seat)
        return capture_seat(seat, absence, last_n=self._inbox.progress.done(seat))

    def _add_times(self, fields: dict[str, Any]) -> None:
        room, now = self._room, trio.current_time()
        if self._changes.alarms:
            fields["alarms"] = capture_alarms(room.alarms, now)
        if self._changes.bans:
            fields["bans"] = () if room.bans is None else room.bans.capture(now)
            fields["gone"] = () if room.gone is None else room.gone.capture(now)
