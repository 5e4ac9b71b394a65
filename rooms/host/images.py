"""A running room's image, and a room again from an image; see :mod:`lastcall.wire.images`.

The law: what is captured from a room that was restored from an image is that image. Players who had
a socket are away in the restored room until they, or their nodes, are back.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import trio

from lastcall.core.room.alarms import ALARMS_MAX, Alarms
from lastcall.core.room.bans import Bans
from lastcall.core.room.gone_seats import GoneSeats
from lastcall.core.room.seat_images import capture_seat, restore_seat
from lastcall.errors import ImageRefused, LastcallError, StateFailed
from lastcall.events import Alarm, Away, Back, Draining, Event, Joined, Left, Said
from lastcall.host.codec import KindCodec
from lastcall.host.live_room import LiveRoom
from lastcall.host.room_state import RoomHost, RoomState
from lastcall.wire.images import IMAGE_VERSION, AlarmImage, EventImage, Image, flaw
from lastcall.wire.values import encode_value

_CONTROLS: dict[str, type[Joined | Left | Away | Back]] = {
    "joined": Joined,
    "left": Left,
    "away": Away,
    "back": Back,
}


def capture(room: RoomState) -> Image:
    """The image of a room at rest, which it leaves unchanged.

    Raises :class:`StateFailed` if the author's state, or an input that waits, cannot be encoded.
    """
    now = trio.current_time()
    absence = room.host.disconnects.find
    return Image(
        v=IMAGE_VERSION,
        room=room.id,
        kind=room.kind,
        epoch=room.epoch,
        moves=room.moves,
        options=room.raw_options,
        state=room.codec.encode_state(room.author_state),
        seats=tuple(capture_seat(seat, absence(room, seat)) for seat in room.roster),
        history=room.history.capture(),
        alarms=capture_alarms(room.alarms, now),
        events=tuple(capture_events(room.inbox.waiting)),
        bans=() if room.bans is None else room.bans.capture(now),
        gone=() if room.gone is None else room.gone.capture(now),
        age=room.age,
        open_seconds=now - room.opened_at,
        started=room.started,
        locked=room.roster.locked,
        private=room.private,
    )


def restore(host: RoomHost, codec: KindCodec, image: Image) -> LiveRoom:
    """A room of ``host`` from ``image``; it does not run, and the host does not know of it yet.

    Raises :class:`ImageRefused` for an image that is not of a room of this kind.
    """
    if (problem := flaw(image)) is not None:
        raise ImageRefused(problem)
    try:
        room = LiveRoom(
            host,
            codec,
            room_id=image.room,
            options=codec.read_options(image.options),
            raw_options=image.options,
            age=image.age,
            private=image.private,
        )
        room.state.author_state = codec.read_state(image.state)
        _restore_seats(room.state, image)
        _restore_times(room.state, image)
        _restore_events(room.state, image.events)
    except (LastcallError, ValueError) as error:
        raise ImageRefused(str(error)) from error
    return room


def _restore_seats(room: RoomState, image: Image) -> None:
    now = trio.current_time()
    for seat in image.seats:
        if room.roster.add(restore_seat(seat, now)) is not None:
            seats = len(image.seats)
            raise ImageRefused(f"{seats} players; here the kind has {room.roster.seats_max}")
    room.roster.locked = image.locked
    room.over = image.over
    room.started = image.started or len(room.roster) >= room.codec.kind.starts
    room.history.restore(image.history)
    room.gone = GoneSeats.restore(image.gone, now)
    room.bans = Bans.restore(image.bans, now)


def _restore_times(room: RoomState, image: Image) -> None:
    now = trio.current_time()
    room.epoch, room.moves = image.epoch, image.moves
    room.opened_at = now - image.open_seconds
    if image.alarms:
        room.alarms = Alarms.restore(image.alarms, now)


def capture_alarms(alarms: Alarms | None, now: float) -> tuple[AlarmImage, ...]:
    """All alarms of a room; None: it has none."""
    return () if alarms is None else tuple(alarms.capture(now))


def capture_events(events: Iterable[Event]) -> Iterator[EventImage]:
    """The events but ``Draining``: where the room goes on, the node tells it anew.

    Raises :class:`StateFailed` for an input that cannot be encoded.
    """
    for event in events:
        match event:
            case Said(player, said):
                yield EventImage("said", player, _encoded(said))
            case Alarm(name):
                yield EventImage("alarm", alarm=name)
            case Draining():
                pass
            case _:
                yield EventImage(type(event).__name__.lower(), event.player)


def _encoded(said: object) -> bytes:
    try:
        return encode_value(said)
    except BaseException as error:  # an author's types may raise anything
        problem = f"an input that waits cannot be encoded again: {type(error).__name__}"
        raise StateFailed(problem) from error


def _restore_events(room: RoomState, events: Sequence[EventImage]) -> None:
    most = 2 * room.host.policy.inbox_events + 3 * room.roster.seats_max + ALARMS_MAX + 1
    if len(events) > most:
        raise ImageRefused(f"{len(events)} events wait; here at most {most} can")
    room.inbox.restore([_restore_event(room.codec, event) for event in events])


def _restore_event(codec: KindCodec, event: EventImage) -> Event:
    if event.what == "said":
        return Said(event.player, codec.read_input(event.input))
    return Alarm(event.alarm) if event.what == "alarm" else _CONTROLS[event.what](event.player)
